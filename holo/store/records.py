"""The records environment as typed tables: what is stored, under which key, in which form (docs/spec has no say here).

Nothing in this module decides anything. Keys sort the way they are read: names in order, revisions newest first,
logs by number and sequence. The layout is private to one node and carries a schema version.

====================  =====================================================  =====================================
table                 key                                                    value
====================  =====================================================  =====================================
statements            statement id                                           payload
endorsements          statement id, kid                                      signature (complete records only)
namespaces            ns                                                     :class:`NamespaceRow`
conflicts             ns 0 rival genesis                                     empty
policies              ns 0 policy id                                         :class:`PolicyRow`
current               ns 0 path                                              one or two standings
history               ns 0 path 0 rev descending, statement id               [cid, policy]
boxes                 ns 0 path 0 policy digest, key, rev descending, id     signature (partial records only)
receipts              log number, seq                                        envelope
receipt_ids           receipt id                                             log number, seq
receipt_types         type 0 log number, seq                                 empty
receipt_subjects      subject id, log number, seq                            empty
logs                  log number                                             envelope of the log-genesis
hashes                log number, level, index                               32 bytes of the RFC 9162 tree
heads                 log number, seq                                        envelope
nodes                 CID                                                    tree node, namespace state or catalog
dead                  head number, CID                                       empty (nodes a head no longer reaches)
dead_at               CID                                                    the head number it died at
catalogs              catalog CID                                            number of the last head that cites it
seals                 CID                                                    tree node of a seal, never collected
dirty                 ns 0 path, or ns 0 0 for the namespace itself          empty
====================  =====================================================  =====================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import cbor2

from holo.core import limits
from holo.core.binding import Standing
from holo.core.chain import HeldCode
from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Missing
from holo.core.keys import Kid
from holo.store.environment import Reader, Writer

DATABASES: Final = (
    "meta", "statements", "endorsements", "namespaces", "conflicts", "policies", "current", "history", "boxes",
    "receipts", "receipt_ids", "receipt_types", "receipt_subjects", "logs", "hashes", "heads",
    "nodes", "dead", "dead_at", "catalogs", "seals", "dirty",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NamespaceRow:
    """A hosted namespace. ``waiting`` says that statements citing a policy not in effect may be stored."""

    ns: str
    genesis: Cid
    policy: Cid
    policy_seq: int
    sealing: Cid | None
    sealing_seq: int
    held: tuple[HeldCode, Cid] | None
    waiting: bool
    state: Cid | None  # the namespace state of the last head, or None before the first

    with_ = replace


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A valid policy. ``in_effect`` says whether it is in the chain in effect; ``sealed`` that its seal is satisfied."""

    seq: int
    in_effect: bool
    sealed: bool


@dataclass(frozen=True, slots=True)
class Past:
    """One admitted complete statement of a name."""

    rev: int
    id: Cid
    cid: Cid | None
    policy: Cid


@dataclass(frozen=True, slots=True)
class Boxed:
    """One partial endorsement in a mailbox."""

    policy: Cid
    kid: Kid
    rev: int
    id: Cid
    signature: bytes


class RecordsReader:
    """Typed reads over one snapshot."""

    def __init__(self, reader: Reader) -> None:
        self._r = reader

    # --- statements

    def payload(self, statement: Cid) -> bytes | None:
        return self._r.get("statements", statement)

    def endorsements(self, statement: Cid) -> dict[Kid, bytes]:
        """kid → signature of a complete record."""
        found = self._r.range("endorsements", statement, _after(statement))
        return {Kid(bytes(key[36:])): bytes(value) for key, value in found}

    # --- namespaces and policies

    def namespace(self, ns: str) -> NamespaceRow | None:
        data = self._r.get("namespaces", ns.encode())
        return None if data is None else _namespace_row(ns, data)

    def namespaces(self, prefix: str = "", after: str = "") -> Iterator[NamespaceRow]:
        """Hosted namespaces in order, those with ``prefix``, strictly after ``after``."""
        start = max(prefix.encode(), after.encode() + b"\0" if after else b"")
        for key, value in self._r.range("namespaces", start, _after(prefix.encode())):
            yield _namespace_row(bytes(key).decode(), value)

    def namespace_count(self) -> int:
        return self._r.count("namespaces")

    def conflicts(self, ns: str) -> list[Cid]:
        """Rival geneses that were offered under a hosted name."""
        prefix = ns.encode() + b"\0"
        return [Cid(key[len(prefix) :]) for key, _ in self._r.range("conflicts", prefix, _after(prefix))]

    def policy_row(self, ns: str, policy: Cid) -> PolicyRow | None:
        data = self._r.get("policies", ns.encode() + b"\0" + policy)
        return None if data is None else PolicyRow(*cbor2.loads(data))

    def policy_rows(self, ns: str) -> Iterator[tuple[Cid, PolicyRow]]:
        prefix = ns.encode() + b"\0"
        for key, value in self._r.range("policies", prefix, _after(prefix)):
            yield Cid(key[len(prefix) :]), PolicyRow(*cbor2.loads(value))

    # --- names

    def current(self, ns: str, path: str) -> tuple[Standing, ...]:
        data = self._r.get("current", name_key(ns, path))
        return () if data is None else _standings(data)

    def currents(self, ns: str, prefix: str = "", after: str = "") -> Iterator[tuple[str, tuple[Standing, ...]]]:
        """(path, standings) in order of path, those with ``prefix``, strictly after ``after``."""
        skip = len(ns) + 1
        start = max(name_key(ns, prefix), name_key(ns, after) + b"\0" if after else b"")
        for key, value in self._r.range("current", start, _after(name_key(ns, prefix))):
            yield bytes(key[skip:]).decode(), _standings(value)

    def history(self, ns: str, path: str, after: bytes = b"") -> Iterator[tuple[bytes, Past]]:
        """(position, past) newest revision first; ``after`` a position continues behind it."""
        prefix = name_key(ns, path) + b"\0"
        start = prefix + after + b"\0" if after else prefix
        for key, value in self._r.range("history", start, _after(prefix)):
            position = bytes(key[len(prefix) :])
            cid, policy = cbor2.loads(value)
            yield position, Past(_rev(position), Cid(position[8:]), None if cid is None else Cid(cid), Cid(policy))

    def past(self, ns: str, path: str, rev: int, statement: Cid) -> bool:
        """Whether this complete statement is held."""
        return self._r.get("history", name_key(ns, path) + b"\0" + _inverse(rev) + statement) is not None

    def boxes(self, ns: str, path: str) -> Iterator[Boxed]:
        """All partial endorsements of a name."""
        prefix = name_key(ns, path) + b"\0"
        for key, value in self._r.range("boxes", prefix, _after(prefix)):
            yield _boxed(key[len(prefix) :], value)

    def paths(self, ns: str) -> Iterator[str]:
        """Every path with a complete or partial statement, each once, in order."""
        yield from _merged(self._paths_in("history", ns), self._paths_in("boxes", ns))

    def box_paths(self, ns: str, prefix: str = "", after: str = "") -> Iterator[str]:
        """Every path with a partial statement."""
        yield from self._paths_in("boxes", ns, prefix, after)

    def _paths_in(self, db: str, ns: str, prefix: str = "", after: str = "") -> Iterator[str]:
        skip = len(ns) + 1
        at = name_key(ns, after) + b"\1" if after else name_key(ns, prefix)
        stop = _after(name_key(ns, prefix))
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
        data = self._r.get("hashes", _log_key(log) + bytes((level,)) + index.to_bytes(8, "big"))
        if data is None:
            raise Missing("node-missing", f"log {log}, level {level}, index {index}")
        return bytes(data)

    def log_genesis(self, log: int) -> bytes | None:
        return self._r.get("logs", _log_key(log))

    def receipt(self, log: int, seq: int) -> bytes | None:
        return self._r.get("receipts", _seq_key(log, seq))

    def receipt_place(self, receipt: Cid) -> tuple[int, int] | None:
        """(log number, seq) of a receipt id."""
        data = self._r.get("receipt_ids", receipt)
        return None if data is None else (int.from_bytes(data[:4], "big"), int.from_bytes(data[4:], "big"))

    def receipts(self, log: int, since: int = 0, *, type: str | None = None) -> Iterator[tuple[int, bytes]]:
        """(seq, envelope) of one log from seq ``since`` on, of one type where given."""
        if type is None:
            for key, value in self._r.range("receipts", _seq_key(log, since), _after(_log_key(log))):
                yield int.from_bytes(key[4:], "big"), bytes(value)
            return
        prefix = type.encode() + b"\0"
        stop = _after(prefix + _log_key(log))
        for key, _ in self._r.range("receipt_types", prefix + _seq_key(log, since), stop):
            seq = int.from_bytes(key[-8:], "big")
            yield seq, bytes(self._r.get("receipts", _seq_key(log, seq)) or b"")

    def receipts_about(self, subject: bytes, log: int = 0, since: int = 0) -> Iterator[tuple[int, int, bytes]]:
        """(log number, seq, envelope) about a subject, from (log, since) on."""
        for key, _ in self._r.range("receipt_subjects", subject + _seq_key(log, since), _after(subject)):
            place = bytes(key[len(subject) :])
            if len(place) == 12:  # a longer subject may share the prefix
                data = self._r.get("receipts", place)
                yield int.from_bytes(place[:4], "big"), int.from_bytes(place[4:], "big"), bytes(data or b"")

    def head(self, log: int, seq: int) -> bytes | None:
        return self._r.get("heads", _seq_key(log, seq))

    def heads(self, log: int, since: int = 0) -> Iterator[tuple[int, bytes]]:
        for key, value in self._r.range("heads", _seq_key(log, since), _after(_log_key(log))):
            yield int.from_bytes(key[4:], "big"), bytes(value)

    def meta(self, key: str) -> Any:
        """A small value of the node itself, or None."""
        data = self._r.get("meta", key.encode())
        return None if data is None else cbor2.loads(data)

    def dead(self, before: int) -> Iterator[tuple[int, Cid]]:
        """(head number, CID) of nodes that died at heads numbered below ``before``."""
        for key, _ in self._r.range("dead", b"", before.to_bytes(8, "big")):
            yield int.from_bytes(key[:8], "big"), Cid(key[8:])


class RecordsWriter(RecordsReader):
    """Typed writes inside one transaction. Reads see what was written before."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(writer)
        self._w = writer

    def put_payload(self, statement: Cid, payload: bytes) -> None:
        self._w.put("statements", statement, payload)

    def delete_payload(self, statement: Cid) -> None:
        self._w.delete("statements", statement)

    def put_endorsement(self, statement: Cid, kid: Kid, signature: bytes) -> None:
        self._w.put("endorsements", statement + kid, signature)

    def put_namespace(self, row: NamespaceRow) -> None:
        held = None if row.held is None else [row.held[0], bytes(row.held[1])]
        sealing = None if row.sealing is None else bytes(row.sealing)
        state = None if row.state is None else bytes(row.state)
        value = [
            bytes(row.genesis),
            bytes(row.policy),
            row.policy_seq,
            sealing,
            row.sealing_seq,
            held,
            row.waiting,
            state,
        ]
        self._w.put("namespaces", row.ns.encode(), cbor2.dumps(value))

    def put_conflict(self, ns: str, genesis: Cid) -> None:
        self._w.put("conflicts", ns.encode() + b"\0" + genesis, b"")

    def put_policy_row(self, ns: str, policy: Cid, row: PolicyRow) -> None:
        self._w.put("policies", ns.encode() + b"\0" + policy, cbor2.dumps([row.seq, row.in_effect, row.sealed]))

    def put_current(self, ns: str, path: str, standings: tuple[Standing, ...]) -> None:
        if not standings:
            self._w.delete("current", name_key(ns, path))
            return
        value = [
            [bytes(s.id), s.rev, None if s.cid is None else bytes(s.cid), bytes(s.policy), list(s.positions), s.first]
            for s in standings
        ]
        self._w.put("current", name_key(ns, path), cbor2.dumps(value))

    def put_past(self, ns: str, path: str, past: Past) -> None:
        key = name_key(ns, path) + b"\0" + _inverse(past.rev) + past.id
        self._w.put("history", key, cbor2.dumps([None if past.cid is None else bytes(past.cid), bytes(past.policy)]))

    def put_box(self, ns: str, path: str, item: Boxed) -> None:
        self._w.put("boxes", _box_key(ns, path, item), item.signature)

    def delete_box(self, ns: str, path: str, item: Boxed) -> None:
        self._w.delete("boxes", _box_key(ns, path, item))

    def put_node(self, cid: Cid, data: bytes) -> None:
        self._w.put("nodes", cid, data)
        self._w.delete("dead_at", cid)

    def put_sealed_node(self, cid: Cid, data: bytes) -> None:
        self._w.put("seals", cid, data)

    def bury_node(self, cid: Cid, head: int) -> None:
        """Note that the head numbered ``head`` no longer reaches this node."""
        number = head.to_bytes(8, "big")
        self._w.put("dead", number + cid, b"")
        self._w.put("dead_at", cid, number)

    def collect_node(self, cid: Cid, head: int) -> bool:
        """Delete a node that died at ``head``, unless it has come back since. Returns whether it was deleted."""
        number = head.to_bytes(8, "big")
        self._w.delete("dead", number + cid)
        if self._w.get("dead_at", cid) != number:
            return False
        self._w.delete("dead_at", cid)
        return self._w.delete("nodes", cid)

    def put_catalog(self, catalog: Cid, head: int) -> None:
        self._w.put("catalogs", catalog, head.to_bytes(8, "big"))

    def mark_dirty(self, ns: str, path: str | None) -> None:
        self._w.put("dirty", ns.encode() + b"\0" + (b"\0" if path is None else path.encode()), b"")

    def clear_dirty(self, ns: str, path: str | None) -> None:
        self._w.delete("dirty", ns.encode() + b"\0" + (b"\0" if path is None else path.encode()))

    def put_log_hash(self, log: int, level: int, index: int, value: bytes) -> None:
        self._w.put("hashes", _log_key(log) + bytes((level,)) + index.to_bytes(8, "big"), value)

    def put_log_genesis(self, log: int, envelope: bytes) -> None:
        self._w.put("logs", _log_key(log), envelope)

    def put_receipt(self, log: int, seq: int, receipt: Cid, type: str, subjects: list[bytes], envelope: bytes) -> None:
        place = _seq_key(log, seq)
        self._w.put("receipts", place, envelope)
        self._w.put("receipt_ids", receipt, place)
        self._w.put("receipt_types", type.encode() + b"\0" + place, b"")
        for subject in subjects:
            self._w.put("receipt_subjects", subject + place, b"")

    def put_head(self, log: int, seq: int, envelope: bytes) -> None:
        self._w.put("heads", _seq_key(log, seq), envelope)

    def put_meta(self, key: str, value: Any) -> None:
        self._w.put("meta", key.encode(), cbor2.dumps(value))


def name_key(ns: str, path: str) -> bytes:
    """The key of a name: a namespace has no zero byte, so names of one namespace are contiguous."""
    return ns.encode() + b"\0" + path.encode()


def _after(prefix: bytes) -> bytes | None:
    """The first key behind every key that starts with ``prefix``; None for the end."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None


def _inverse(rev: int) -> bytes:
    return (limits.INT_MAX - rev).to_bytes(8, "big")


def _rev(position: bytes) -> int:
    return limits.INT_MAX - int.from_bytes(position[:8], "big")


def _log_key(log: int) -> bytes:
    return log.to_bytes(4, "big")


def _seq_key(log: int, seq: int) -> bytes:
    return log.to_bytes(4, "big") + seq.to_bytes(8, "big")


def _box_key(ns: str, path: str, item: Boxed) -> bytes:
    return name_key(ns, path) + b"\0" + item.policy.digest + item.kid[2:] + _inverse(item.rev) + item.id


def _boxed(key: bytes, signature: bytes) -> Boxed:
    key = bytes(key)
    return Boxed(
        policy=Cid.from_digest(DAG_CBOR, key[:32]),
        kid=Kid(b"\xed\x01" + key[32:64]),
        rev=_rev(key[64:72]),
        id=Cid(key[72:]),
        signature=bytes(signature),
    )


def _namespace_row(ns: str, data: bytes) -> NamespaceRow:
    genesis, policy, policy_seq, sealing, sealing_seq, held, waiting, state = cbor2.loads(data)
    return NamespaceRow(
        ns=ns,
        genesis=Cid(genesis),
        policy=Cid(policy),
        policy_seq=policy_seq,
        sealing=None if sealing is None else Cid(sealing),
        sealing_seq=sealing_seq,
        held=None if held is None else (held[0], Cid(held[1])),
        waiting=waiting,
        state=None if state is None else Cid(state),
    )


def _standings(data: bytes) -> tuple[Standing, ...]:
    return tuple(
        Standing(Cid(id), rev, None if cid is None else Cid(cid), Cid(policy), tuple(positions), Kid(first))
        for id, rev, cid, policy, positions, first in cbor2.loads(data)
    )


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
