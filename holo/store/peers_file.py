"""The nodes a home links with, and the tickets it gave out: ``peers.json`` and ``tickets.json`` (spec 8.3, 8.5).

``peers.json`` maps the did:key of a peer to its addresses, a name if it has one, and when it was added. Of a ticket
only a hash of its secret is kept, until it expires; once spent, with the key that spent it. ``successors`` keeps the
statements by which keys of peers followed each other, so that two of one key are noticed. All of them are replaced as
a whole, under a lock of their own: verbs of the command line change them beside the running node, which notices.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from holo.core import keys
from holo.core.address import check_address
from holo.core.cid import Cid
from holo.core.errors import HoloError, Missing, Rejected
from holo.core.keys import Kid
from holo.core.limits import ADDRESSES_PER_PEER, INT_MAX, PEERS, TICKETS_OPEN
from holo.core.successor import Handover, Successor, follow, read_handovers, write_handovers
from holo.store.home import Home, read_small, write_atomically
from holo.store.trust import check_label

_ID_CHARS: Final = 64
_HANDOVERS: Final = 1024  # of some 500 bytes each


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Peer:
    """A pinned node: its key, where it may be found, what it is called here ("" = nothing), since when it is pinned."""

    kid: Kid
    addresses: tuple[str, ...]
    name: str = ""
    added_ms: int = 0

    @property
    def did(self) -> str:
        """The peer's ``did:key``."""
        return keys.did_of(self.kid)


@dataclass(frozen=True, slots=True)
class OpenTicket:
    """A ticket given out: until when it counts, and who has spent it."""

    expires_ms: int
    spent_by: Kid | None = None


class PeersFile:
    """The peers and tickets of a home. Every method reads the files afresh, and writes durably or not at all.

    Every method raises ``profile-invalid`` for a file that is broken: it is the owner's to mend.
    """

    def __init__(self, home: Home, clock_ms: Callable[[], int] = _now_ms) -> None:
        self._home = home
        self.path = home.path / "peers.json"
        self._tickets = home.path / "tickets.json"
        self._successors = home.path / "successors"
        self._clock_ms = clock_ms

    # -- peers

    def stamp(self) -> object:
        """Something that is equal for as long as ``peers.json`` is the same file."""
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def peers(self) -> dict[Kid, Peer]:
        """Every peer, in the order they were added."""
        found = [_peer(self.path, did, entry) for did, entry in _read(self.path, "peers").items()]
        if len(found) > PEERS:
            raise _broken(self.path, f"{len(found)} peers where at most {PEERS} are kept")
        return {peer.kid: peer for peer in found}

    def addresses(self) -> dict[Kid, tuple[str, ...]]:
        """The addresses of every peer."""
        return {kid: peer.addresses for kid, peer in self.peers().items()}

    def find(self, name: str) -> Peer:
        """The peer of this name or did:key. Raises ``not-found``."""
        for peer in self.peers().values():
            if name in (peer.name, peer.did):
                return peer
        raise Missing("not-found", f"{name} is not in {self.path}", subject=name)

    def add(self, peer: Kid, addresses: Sequence[str], name: str = "") -> bool:
        """Pin a peer, or give it more addresses, the new ones first, or a name; False where nothing was new.

        Raises ``address-invalid``, ``label-invalid``, ``key-exists`` where another peer has the name, ``peers-full``.
        """
        with self._locked():
            before = self.peers()
            after = self._with(before, peer, addresses, name)
            if after == before:
                return False
            self._write_peers(after)
            return True

    def remove(self, peer: Kid) -> bool:
        """Pin a peer no longer; False where it was not pinned."""
        with self._locked():
            found = self.peers()
            if found.pop(peer, None) is None:
                return False
            self._write_peers(found)
            return True

    def succeed(self, old: Kid, new: Kid) -> bool:
        """Pin ``new`` in the place of ``old``, with its addresses and name; False where ``old`` is not pinned."""
        with self._locked():
            found = self.peers()
            if old not in found:
                return False
            _replace(found, old, new)
            self._write_peers(found)
            return True

    def learn(self, given: Sequence[Handover]) -> list[tuple[Peer, Peer]]:
        """Keep statements of successors; pin in the place of each peer the key it has handed over to: (before, after).

        Raises ``not-found`` where they are about no peer, and nothing is kept then. Raises ``successor-invalid`` where
        a key of theirs is known to have handed over to two: then neither is followed from now on.
        """
        with self._locked():
            found = self.peers()
            known = self._handovers()
            told_of = {*found, *(key for item in known.values() for key in _keys(item))}
            if all(told_of.isdisjoint(_keys(item)) for item in given):
                raise Missing("not-found", f"none of these keys is in {self.path}", subject=str(self.path))
            known.update((item.statement.id, item) for item in given)
            if len(known) > _HANDOVERS:
                raise Rejected("peers-full", f"{len(known)} statements where {self._successors} has room for fewer")
            statements = [item.statement for item in known.values()]
            ends = {kid: follow(kid, statements) for kid in found}
            write_atomically(self._successors, write_handovers(known.values()))
            _refuse_rivals(statements, {item.statement.node for item in given})
            changed = {old: new for old, new in ends.items() if old != new}
            before = dict(found)
            for old, new in changed.items():
                _replace(found, old, new)
            if changed:
                self._write_peers(found)
            return [(before[old], found[new]) for old, new in changed.items()]

    def _handovers(self) -> dict[Cid, Handover]:
        data = read_small(self._successors)
        return {} if data is None else {item.statement.id: item for item in read_handovers(data)}

    def _with(self, found: Mapping[Kid, Peer], peer: Kid, addresses: Sequence[str], name: str) -> dict[Kid, Peer]:
        for address in addresses:
            check_address(address)
        if name:
            check_label(name)
            if any(other.name == name and other.kid != peer for other in found.values()):
                raise Rejected("key-exists", f"another peer is called {name}", subject=name)
        if peer not in found and len(found) >= PEERS:
            raise Rejected("peers-full", f"{len(found)} are in {self.path}")
        entry = found.get(peer) or Peer(peer, (), "", self._clock_ms())
        if not set(entry.addresses).issuperset(addresses):
            merged = tuple(dict.fromkeys((*addresses, *entry.addresses)))
            entry = replace(entry, addresses=merged[:ADDRESSES_PER_PEER])
        return {**found, peer: replace(entry, name=name or entry.name)}

    # -- tickets

    def open_ticket(self, ticket: bytes, expires_ms: int) -> None:
        """Let the ticket of this id be used once until ``expires_ms``. Raises ``peers-full``."""
        with self._locked():
            found = self._unexpired()
            if len(found) >= TICKETS_OPEN:
                raise Rejected("peers-full", f"{len(found)} tickets are open; the oldest of them expire by themselves")
            self._write_tickets({**found, ticket: OpenTicket(expires_ms)})

    def spend_ticket(self, ticket: bytes, peer: Kid, addresses: Sequence[str]) -> None:
        """Pin ``peer`` for the ticket of this id. Once a peer has done so, the same peer may do it again, no other.

        Raises ``ticket-unknown``, ``ticket-expired``, ``ticket-spent``, ``peers-full``.
        """
        with self._locked():
            given = self._open_tickets().get(ticket)
            if given is None:
                raise Rejected("ticket-unknown")
            if given.expires_ms <= self._clock_ms():
                raise Rejected("ticket-expired")
            if given.spent_by not in (None, peer):
                raise Rejected("ticket-spent")
            before = self.peers()
            after = self._with(before, peer, addresses, "")
            # Spent first: whatever happens in between, no second key gets in by it, and the first may come again.
            if given.spent_by is None:
                self._write_tickets({**self._unexpired(), ticket: replace(given, spent_by=peer)})
            if after != before:
                self._write_peers(after)

    def _unexpired(self) -> dict[bytes, OpenTicket]:
        now_ms = self._clock_ms()
        return {ticket: given for ticket, given in self._open_tickets().items() if given.expires_ms > now_ms}

    def _open_tickets(self) -> dict[bytes, OpenTicket]:
        """Those in the file, spent or not; expired ones stay in it until it is written again."""
        found = {}
        for text, entry in _read(self._tickets, "tickets").items():
            if len(text) != _ID_CHARS or text.strip("0123456789abcdef"):
                raise _broken(self._tickets, f"{text!r} is not the id of a ticket")
            found[bytes.fromhex(text)] = _open_ticket(self._tickets, entry)
        return found

    # -- the files

    def _write_peers(self, found: Mapping[Kid, Peer]) -> None:
        peers = {}
        for peer in found.values():
            name = {"name": peer.name} if peer.name else {}
            peers[peer.did] = {"addresses": list(peer.addresses), **name, "added_ms": peer.added_ms}
        _write(self.path, "peers", peers)

    def _write_tickets(self, found: Mapping[bytes, OpenTicket]) -> None:
        tickets = {}
        for ticket, given in found.items():
            spent = {"spent_by": keys.did_of(given.spent_by)} if given.spent_by else {}
            tickets[ticket.hex()] = {"expires_ms": given.expires_ms, **spent}
        _write(self._tickets, "tickets", tickets)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone with the two files. Held for as long as it takes to write them, so waiting for it is short."""
        path = self._home.create().path / "peers.lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _keys(handover: Handover) -> tuple[Kid, Kid]:
    return handover.statement.node, handover.statement.successor


def _refuse_rivals(statements: Sequence[Successor], nodes: Collection[Kid]) -> None:
    """Raises ``successor-invalid`` where one of ``nodes`` has handed over to two keys."""
    for node in sorted(nodes):
        rivals = sorted({keys.did_of(item.successor) for item in statements if item.node == node})
        if len(rivals) > 1:
            did = keys.did_of(node)
            detail = f"{did} has handed over to {' and '.join(rivals)}; neither is followed: ask its operator"
            raise Rejected("successor-invalid", detail, subject=did)


def _replace(found: dict[Kid, Peer], old: Kid, new: Kid) -> None:
    """Put ``new`` in the place of ``old``, with the addresses and the name of both."""
    before, already = found.pop(old), found.pop(new, None)
    merged = tuple(dict.fromkeys((*(already.addresses if already else ()), *before.addresses)))
    found[new] = replace(before, kid=new, addresses=merged[:ADDRESSES_PER_PEER])


def _read(path: Path, table: str) -> dict[str, Any]:
    data = read_small(path)
    if data is None:
        return {}
    try:
        value = json.loads(data)
        if value["v"] != 1 or not isinstance(value[table], dict):
            raise ValueError("another version, or no table")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _broken(path, str(error)) from None
    found: dict[str, Any] = value[table]
    return found


def _write(path: Path, table: str, entries: Mapping[str, Any]) -> None:
    write_atomically(path, json.dumps({"v": 1, table: entries}, indent=1).encode() + b"\n")


def _peer(path: Path, did: str, entry: Any) -> Peer:
    try:
        kid = keys.parse_did(did)
        addresses, name, added_ms = entry["addresses"], entry.get("name", ""), entry.get("added_ms", 0)
        if not isinstance(addresses, list) or len(addresses) > ADDRESSES_PER_PEER:
            raise ValueError(f"addresses are a list of at most {ADDRESSES_PER_PEER}")
        if type(added_ms) is not int or not 0 <= added_ms <= INT_MAX or not isinstance(name, str):
            raise ValueError("name is a text and added_ms a number")
        for address in addresses:
            check_address(address if isinstance(address, str) else "")
        if name:
            check_label(name)
    except HoloError as error:
        raise _broken(path, f"{did}: {error.detail}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(path, f"{did}: {error}") from None
    return Peer(kid, tuple(addresses), name, added_ms)


def _open_ticket(path: Path, entry: Any) -> OpenTicket:
    try:
        expires_ms, spent_by = entry["expires_ms"], entry.get("spent_by")
        if type(expires_ms) is not int:
            raise ValueError("expires_ms is a number")
        return OpenTicket(expires_ms, None if spent_by is None else keys.parse_did(str(spent_by)))
    except HoloError as error:
        raise _broken(path, error.detail) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(path, str(error)) from None


def _broken(path: Path, what: str) -> Rejected:
    return Rejected("profile-invalid", f"{path}: {what}", subject=str(path))
