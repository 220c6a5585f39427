"""Typed reads of the records environment over one snapshot. What lies where is said in :mod:`holo.store.layout`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cbor2

from holo.core.binding import Standing
from holo.core.cid import CID_BYTES, Cid
from holo.core.errors import Missing
from holo.core.keys import KID_BYTES, Kid
from holo.store.environment import Reader, after_prefix
from holo.store.layout import (
    ANY_PATH,
    Boxed,
    NamespaceRow,
    Past,
    PolicyRow,
    ascending,
    box_prefix,
    decode_box,
    decode_namespace,
    decode_standings,
    decode_wording,
    descending,
    endorsements_key,
    log_key,
    name_key,
    seq_key,
    waiting_key,
)


class RecordsReader:
    """Typed reads over one snapshot."""

    __slots__ = ("_r",)

    def __init__(self, reader: Reader) -> None:
        self._r = reader

    # --- rows as they lie, for those who have tables of their own

    def row(self, table: str, key: bytes) -> bytes | None:
        data = self._r.get(table, key)
        return None if data is None else bytes(data)

    def rows_under(
        self, table: str, prefix: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Rows whose keys begin with ``prefix``, in order of key or in ``reverse``."""
        return self.rows_between(table, prefix, after_prefix(prefix), reverse=reverse, limit=limit)

    def rows_between(
        self, table: str, start: bytes, stop: bytes | None, *, reverse: bool = False, limit: int | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Rows with ``start`` ≤ key < ``stop``, in order of key or in ``reverse``."""
        for key, value in self._r.range(table, start, stop, reverse=reverse, limit=limit):
            yield bytes(key), bytes(value)

    # --- statements

    def payload(self, statement: Cid) -> bytes | None:
        return self._r.get("statements", statement)

    def payloads(self) -> Iterator[tuple[Cid, bytes]]:
        """Every stored statement."""
        for key, value in self._r.range("statements", b""):
            if len(key) == CID_BYTES:
                yield Cid(key), value

    def all_endorsements(self) -> Iterator[tuple[Cid, Kid, bytes]]:
        """Every endorsement of a complete record."""
        for key, value in self._r.range("statements", b""):
            if len(key) == CID_BYTES + KID_BYTES:
                yield Cid(key[:CID_BYTES]), Kid(key[CID_BYTES:]), value

    def endorsements(self, statement: Cid) -> dict[Kid, bytes]:
        """kid → signature of a complete record."""
        prefix = endorsements_key(statement)
        return {Kid(key[CID_BYTES:]): value for key, value in self._r.range("statements", prefix, after_prefix(prefix))}

    # --- namespaces and policies

    def namespace(self, ns: str) -> NamespaceRow | None:
        data = self._r.get("namespaces", ns.encode())
        return None if data is None else decode_namespace(ns, data)

    def namespace_bytes(self, ns: bytes) -> bytes | None:
        """The row of a hosted namespace as it lies there, see :func:`~holo.store.layout.decode_namespace`."""
        return self._r.get("namespaces", ns)

    def namespaces(self, prefix: str = "", after: str = "") -> Iterator[NamespaceRow]:
        """Hosted namespaces in order, those with ``prefix``, strictly after ``after``."""
        start = max(prefix.encode(), after.encode() + b"\0" if after else b"")
        for key, value in self._r.range("namespaces", start, after_prefix(prefix.encode())):
            yield decode_namespace(bytes(key).decode(), value)

    def namespace_count(self) -> int:
        return self._r.count("namespaces")

    def conflicts(self, ns: str) -> list[Cid]:
        """Rival geneses that were offered under a hosted name."""
        prefix = ns.encode() + b"\0"
        return [Cid(key[len(prefix) :]) for key, _ in self._r.range("conflicts", prefix, after_prefix(prefix))]

    def policy_row(self, ns: str, policy: Cid) -> PolicyRow | None:
        data = self._r.get("policies", ns.encode() + b"\0" + policy)
        return None if data is None else PolicyRow(*cbor2.loads(data))

    def policy_rows(self, ns: str) -> Iterator[tuple[Cid, PolicyRow]]:
        prefix = ns.encode() + b"\0"
        for key, value in self._r.range("policies", prefix, after_prefix(prefix)):
            yield Cid(key[len(prefix) :]), PolicyRow(*cbor2.loads(value))

    # --- names

    def current(self, ns: str, path: str) -> tuple[Standing, ...]:
        data = self._r.get("current", name_key(ns, path))
        return () if data is None else decode_standings(data)

    def current_bytes(self, key: bytes) -> bytes | None:
        """The row of a name as it lies there, see :func:`~holo.store.layout.decode_worded`; ``key`` is its key."""
        return self._r.get("current", key)

    def wording(self, ns: str, path: str) -> bytes:
        """What is worded of a name, see :mod:`holo.store.wording`."""
        data = self._r.get("current", name_key(ns, path))
        return b"" if data is None else decode_wording(data)

    def currents(self, ns: str, prefix: str = "", after: str = "") -> Iterator[tuple[str, tuple[Standing, ...]]]:
        """(path, standings) in order of path, those with ``prefix``, strictly after ``after``."""
        skip = len(ns) + 1
        start = max(name_key(ns, prefix), name_key(ns, after) + b"\0" if after else b"")
        for key, value in self._r.range("current", start, after_prefix(name_key(ns, prefix))):
            yield bytes(key[skip:]).decode(), decode_standings(value)

    def history(self, ns: str, path: str, after: bytes = b"") -> Iterator[tuple[bytes, Past]]:
        """(position, past) newest revision first; ``after`` a position continues behind it."""
        prefix = name_key(ns, path) + b"\0"
        start = prefix + after + b"\0" if after else prefix
        for key, value in self._r.range("history", start, after_prefix(prefix)):
            position = bytes(key[len(prefix) :])
            cid, policy = cbor2.loads(value)
            yield position, Past(ascending(position), Cid(position[8:]), None if cid is None else Cid(cid), Cid(policy))

    def past(self, ns: str, path: str, rev: int, statement: Cid) -> bool:
        """Whether this complete statement is held."""
        return self._r.get("history", name_key(ns, path) + b"\0" + descending(rev) + statement) is not None

    def waiting(self, ns: str, policy: Cid) -> Iterator[str]:
        """The paths of names that cite a policy that is not in effect; ``ANY_PATH`` first where any name may."""
        prefix = waiting_key(ns, policy, "")
        for key, _ in self._r.range("waiting", prefix, after_prefix(prefix)):
            yield key[len(prefix) :].decode()

    def waits(self, ns: str, policy: Cid, path: str) -> bool:
        """Whether a name is known to wait for a policy."""
        return any(self._r.contains("waiting", waiting_key(ns, policy, either)) for either in (path, ANY_PATH))

    def boxes(self, ns: str, path: str) -> Iterator[Boxed]:
        """All partial endorsements of a name."""
        prefix = name_key(ns, path) + b"\0"
        for key, value in self._r.range("boxes", prefix, after_prefix(prefix)):
            yield decode_box(key[len(prefix) :], value)

    def has_boxes(self, key: bytes) -> bool:
        """Whether there is a partial endorsement of the name with this key."""
        prefix = key + b"\0"
        return any(True for _ in self._r.range("boxes", prefix, after_prefix(prefix), limit=1))

    def box(self, ns: str, path: str, policy: Cid, kid: Kid) -> list[Boxed]:
        """What one signer's mailbox for a name and cited policy holds, in its order."""
        prefix = box_prefix(ns, path, policy, kid)
        skip = len(name_key(ns, path)) + 1
        return [decode_box(key[skip:], value) for key, value in self._r.range("boxes", prefix, after_prefix(prefix))]

    def boxed(self, ns: str, path: str, policy: Cid, rev: int, statement: Cid, kids: Iterable[Kid]) -> dict[Kid, bytes]:
        """kid → signature of those of ``kids`` in whose mailboxes a partial statement is."""
        found = {}
        for kid in kids:
            signature = self._r.get("boxes", box_prefix(ns, path, policy, kid) + descending(rev) + statement)
            if signature is not None:
                found[kid] = bytes(signature)
        return found

    def paths(self, ns: str) -> Iterator[str]:
        """Every path with a complete or partial statement, each once, in order."""
        yield from _merged(self._paths_in("history", ns), self._paths_in("boxes", ns))

    def box_paths(self, ns: str, prefix: str = "", after: str = "") -> Iterator[str]:
        """Every path with a partial statement."""
        yield from self._paths_in("boxes", ns, prefix, after)

    def _paths_in(self, db: str, ns: str, prefix: str = "", after: str = "") -> Iterator[str]:
        skip = len(ns) + 1
        at = name_key(ns, after) + b"\1" if after else name_key(ns, prefix)
        stop = after_prefix(name_key(ns, prefix))
        while True:
            found = next(iter(self._r.range(db, at, stop, limit=1)), None)
            if found is None:
                return
            key = bytes(found[0])
            path = key[skip : key.index(b"\0", skip)]
            yield path.decode()
            at = key[:skip] + path + b"\1"

    # --- proofs and trees

    def node(self, cid: Cid) -> bytes:
        """A tree node, namespace state, catalog or seal node. Raises ``node-missing``."""
        data = self._r.get("nodes", cid) or self._r.get("seals", cid)
        if data is None:
            raise Missing("node-missing", str(cid), subject=str(cid))
        return bytes(data)

    def nodes(self) -> Iterator[tuple[Cid, bytes]]:
        """Every node kept for heads."""
        for key, value in self._r.range("nodes", b""):
            yield Cid(key), bytes(value)

    def revived_at(self, cid: Cid) -> int | None:
        """The number of the last head that put a node which was there; None where none did."""
        data = self._r.get("revived", cid)
        return None if data is None else int.from_bytes(data, "big")

    def sealed_node(self, cid: Cid) -> bytes | None:
        return self._r.get("seals", cid)

    def has_node(self, cid: Cid) -> bool:
        return self._r.get("nodes", cid) is not None

    def catalog_head(self, catalog: Cid) -> int | None:
        """The number of the last head that cites this catalog, if there ever was one."""
        data = self._r.get("catalogs", catalog)
        return None if data is None else int.from_bytes(data, "big")

    def dirty(self) -> Iterator[tuple[str, str | None]]:
        """(ns, path) changed since the last head; path None for the namespace itself."""
        for key, _ in self._r.range("dirty", b""):
            ns, _, path = bytes(key).partition(b"\0")
            yield ns.decode(), None if path == b"\0" else path.decode()

    def dirty_count(self) -> int:
        return self._r.count("dirty")

    # --- receipts and heads

    def log_hash(self, log: int, level: int, index: int) -> bytes:
        data = self._r.get("hashes", log_key(log) + bytes((level,)) + index.to_bytes(8, "big"))
        if data is None:
            raise Missing("node-missing", f"log {log}, level {level}, index {index}")
        return bytes(data)

    def log_genesis(self, log: int) -> bytes | None:
        return self._r.get("logs", log_key(log))

    def receipt(self, log: int, seq: int) -> bytes | None:
        return self._r.get("receipts", seq_key(log, seq))

    def receipt_place(self, receipt: Cid) -> tuple[int, int] | None:
        """(log number, seq) of a receipt id."""
        data = self._r.get("receipt_ids", receipt)
        return None if data is None else (int.from_bytes(data[:4], "big"), int.from_bytes(data[4:], "big"))

    def receipts(self, log: int, since: int = 0, *, type: str | None = None) -> Iterator[tuple[int, bytes]]:
        """(seq, envelope) of one log from seq ``since`` on, of one type where given."""
        if type is None:
            for key, value in self._r.range("receipts", seq_key(log, since), after_prefix(log_key(log))):
                yield int.from_bytes(key[4:], "big"), bytes(value)
            return
        prefix = type.encode() + b"\0"
        stop = after_prefix(prefix + log_key(log))
        for key, _ in self._r.range("receipt_types", prefix + seq_key(log, since), stop):
            seq = int.from_bytes(key[-8:], "big")
            yield seq, bytes(self._r.get("receipts", seq_key(log, seq)) or b"")

    def receipts_about(self, subject: bytes, log: int = 0, since: int = 0) -> Iterator[tuple[int, int, bytes]]:
        """(log number, seq, envelope) about a statement, ``ns`` or ``ns/path``, from (log, since) on."""
        start = subject + seq_key(log, since)
        if isinstance(subject, Cid):
            found = self._r.range("statements", start, endorsements_key(subject))
        else:
            found = self._r.range("receipt_subjects", start, after_prefix(subject))
        for key, _ in found:
            place = key[len(subject) :]
            if len(place) == 12:  # a longer subject may share the prefix
                data = self._r.get("receipts", place)
                yield int.from_bytes(place[:4], "big"), int.from_bytes(place[4:], "big"), data or b""

    def log_size(self, log: int) -> int:
        """How many receipts a log has."""
        last = self._r.last("receipts", log_key(log))
        return 0 if last is None else int.from_bytes(last[0][4:], "big") + 1

    def head(self, log: int, seq: int) -> bytes | None:
        return self._r.get("heads", seq_key(log, seq))

    def heads(self, log: int, since: int = 0) -> Iterator[tuple[int, bytes]]:
        for key, value in self._r.range("heads", seq_key(log, since), after_prefix(log_key(log))):
            yield int.from_bytes(key[4:], "big"), bytes(value)

    def meta(self, key: str) -> Any:
        """A small value of the node itself, or None."""
        data = self._r.get("meta", key.encode())
        return None if data is None else cbor2.loads(data)

    def buried(self, before: int) -> Iterator[tuple[int, Cid]]:
        """(head number, CID) of nodes that heads numbered below ``before`` were the first not to reach."""
        for key, _ in self._r.range("buried", b"", before.to_bytes(8, "big")):
            yield int.from_bytes(key[:8], "big"), Cid(key[8:])


def _merged(left: Iterator[str], right: Iterator[str]) -> Iterator[str]:
    """Two ordered iterations as one, each item once."""
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a <= b):
            assert a is not None
            yield a
            if a == b:
                b = next(right, None)
            a = next(left, None)
        else:
            yield b
            b = next(right, None)
