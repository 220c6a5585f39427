"""The layout of the records environment: which tables, under which keys, in which form (the spec has no say here).

Nothing in this module decides anything. Keys sort the way they are read: names in order, revisions newest first,
logs by number and sequence. The layout is private to one node and carries a schema version.

====================  =====================================================  =====================================
table                 key                                                    value
====================  =====================================================  =====================================
statements            statement id                                           payload
statements            statement id, kid                                      signature (complete records only)
statements            statement id, log number, seq                          empty (a receipt about it)
namespaces            ns                                                     :class:`NamespaceRow`
conflicts             ns 0 rival genesis                                     empty
policies              ns 0 policy id                                         :class:`PolicyRow`
current               ns 0 path                                              wording, one or two standings
history               ns 0 path 0 rev descending, statement id               [cid, policy]
waiting               ns 0 policy id, path                                   empty (a policy not in effect is cited)
boxes                 ns 0 path 0 policy digest, key, rev descending, id     signature (partial records only)
receipts              log number, seq                                        envelope
receipt_ids           receipt id                                             log number, seq
receipt_types         type 0 log number, seq                                 empty
receipt_subjects      ns, or ns/path, log number, seq                        empty
logs                  log number                                             envelope of the log-genesis
hashes                log number, level, index                               32 bytes of the RFC 9162 tree
heads                 log number, seq                                        envelope
nodes                 CID                                                    tree node, namespace state or catalog
buried                head number, CID                                       empty (nodes that head no longer reaches)
revived               CID                                                    the last head number it came back at
catalogs              catalog CID                                            number of the last head that cites it
seals                 CID                                                    tree node of a seal, never collected
dirty                 ns 0 path, or ns 0 0 for the namespace itself          empty
peer_logs             kid, log-genesis id                                    [envelope of it, its number]
peer_logs             kid, kid of a node it was first to tell of             empty
peer_heads            kid, log-genesis id, seq                               envelope
convergences          kid, number                                            envelope
evidence              kid                                                    id of what stands against it
evidence              id                                                     the object
evidence              255, kid                                               empty (changed since the last head)
====================  =====================================================  =====================================

What belongs to one statement lies in one place, because a place that nothing else is near costs two pages to write.
``endorsements`` is empty since schema 2, and ``waiting`` new; since schema 3 ``current`` begins with a wording
(:mod:`holo.store.wording`), and ``buried`` and ``revived`` stand for ``dead`` and ``dead_at``, which are empty: when a
node died was to be found by its id, at the price of a page for each.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

import cbor2

from holo.core.binding import Standing
from holo.core.chain import HeldCode
from holo.core.cid import DAG_CBOR, Cid
from holo.core.keys import KID_PREFIX, Kid
from holo.core.limits import INT_MAX

DATABASES: Final = (
    "meta", "statements", "endorsements", "namespaces", "conflicts", "policies", "current", "history", "waiting",
    "boxes", "receipts", "receipt_ids", "receipt_types", "receipt_subjects", "logs", "hashes", "heads",
    "nodes", "dead", "dead_at", "buried", "revived", "catalogs", "seals", "dirty",
    "peer_logs", "peer_heads", "convergences", "evidence",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NamespaceRow:
    """A hosted namespace."""

    ns: str
    genesis: Cid
    policy: Cid
    policy_seq: int
    sealing: Cid | None
    sealing_seq: int
    held: tuple[HeldCode, Cid] | None
    state: Cid | None  # the namespace state of the last head, or None before the first


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A valid policy. ``in_effect``: in the chain in effect; ``sealed``: its seal is satisfied."""

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


def name_key(ns: str, path: str) -> bytes:
    """The key of a name: a namespace has no zero byte, so names of one namespace are contiguous."""
    return ns.encode() + b"\0" + path.encode()


def descending(rev: int) -> bytes:
    """A rev as eight bytes that sort the highest first."""
    return (INT_MAX - rev).to_bytes(8, "big")


def ascending(position: bytes) -> int:
    """The rev that eight descending bytes are."""
    return INT_MAX - int.from_bytes(position[:8], "big")


def log_key(log: int) -> bytes:
    """The prefix of a log's keys."""
    return log.to_bytes(4, "big")


def seq_key(log: int, seq: int) -> bytes:
    """The key of a log's entry or head."""
    return log.to_bytes(4, "big") + seq.to_bytes(8, "big")


def endorsements_key(statement: Cid) -> bytes:
    """What the keys of a statement's endorsements begin with: its id and what every kid begins with."""
    return statement + KID_PREFIX


ANY_PATH: Final = ""
"""Stands in ``waiting`` for every name of a namespace, and sorts before each."""


def waiting_key(ns: str, policy: Cid, path: str) -> bytes:
    """The key of a name that waits for a policy."""
    return ns.encode() + b"\0" + policy + path.encode()


def box_prefix(ns: str, path: str, policy: Cid, kid: Kid) -> bytes:
    """What the keys of one mailbox begin with."""
    return name_key(ns, path) + b"\0" + policy.digest + kid[2:]


def box_key(ns: str, path: str, item: Boxed) -> bytes:
    """The key of a partial endorsement."""
    return box_prefix(ns, path, item.policy, item.kid) + descending(item.rev) + item.id


def decode_box(key: bytes, signature: bytes) -> Boxed:
    """The partial endorsement of a key's part behind its name, and its value."""
    key = bytes(key)
    return Boxed(
        policy=Cid.from_digest(DAG_CBOR, key[:32]),
        kid=Kid(KID_PREFIX + key[32:64]),
        rev=ascending(key[64:72]),
        id=Cid(key[72:]),
        signature=bytes(signature),
    )


def encode_namespace(row: NamespaceRow) -> bytes:
    """The bytes of a row."""
    held = None if row.held is None else [row.held[0], bytes(row.held[1])]
    sealing = None if row.sealing is None else bytes(row.sealing)
    state = None if row.state is None else bytes(row.state)
    value = [bytes(row.genesis), bytes(row.policy), row.policy_seq, sealing, row.sealing_seq, held, state]
    return cbor2.dumps(value)


def decode_namespace(ns: str, data: bytes) -> NamespaceRow:
    """The row these bytes are."""
    genesis, policy, policy_seq, sealing, sealing_seq, held, state = cbor2.loads(data)
    return NamespaceRow(
        ns=ns,
        genesis=Cid(genesis),
        policy=Cid(policy),
        policy_seq=policy_seq,
        sealing=None if sealing is None else Cid(sealing),
        sealing_seq=sealing_seq,
        held=None if held is None else (held[0], Cid(held[1])),
        state=None if state is None else Cid(state),
    )


def deciding_bytes(row: NamespaceRow, data: bytes) -> bytes:
    """The part of a row's bytes that decisions about names may depend on: all but ``state``, the last item."""
    return data[: -len(cbor2.dumps(None if row.state is None else bytes(row.state)))]


def encode_current(standings: tuple[Standing, ...], wording: bytes) -> bytes:
    """The bytes of a name's row; ``wording`` is what :mod:`holo.store.wording` says of them."""
    return cbor2.dumps(
        [
            wording,
            *(
                [
                    bytes(s.id),
                    s.rev,
                    None if s.cid is None else bytes(s.cid),
                    bytes(s.policy),
                    list(s.positions),
                    s.first,
                ]
                for s in standings
            ),
        ]
    )


_USUAL: Final = struct.Struct("3s52s52s52s3s36xB3sB34x2s36ssB2s34x")
_USUAL_HEADS: Final = (b"\x82\x58\x9c", b"\x86\x58\x24", b"\x58\x24\x01", b"\x58\x24", b"\x81", b"\x58\x22")

Worded: TypeAlias = tuple[bytes, bytes, bytes, bytes, int | None, int, int]
"""What answers say of a name with one standing: (policy, statement, decision, content, its codec, rev, signers).

The policy is an id, the next three are the last 52 characters of theirs as text; a tombstone has no codec, and its
content is empty.
"""


def decode_worded(data: bytes) -> Worded | None:
    """What is worded in a name's row; None where nothing is."""
    if len(data) == _USUAL.size:  # the usual row is read in a third of the time
        row, statement, decision, content, one, rev, cid, codec, before, policy, at, position, kid = _USUAL.unpack(data)
        if (row, one, cid, before, at, kid) == _USUAL_HEADS and rev < 24 and position < 24:
            return policy, statement, decision, content, codec, rev, 1
    wording, (_, rev, cid, policy, positions, _), *_ = cbor2.loads(data)
    if not wording:
        return None
    codec = None if cid is None else cid[1]
    return policy, wording[:52], wording[52:104], wording[104:], codec, rev, len(positions)


def decode_wording(data: bytes) -> bytes:
    """The wording in a name's row, whole."""
    wording: bytes = cbor2.loads(data)[0]
    return wording


def decode_one_standing(data: bytes) -> tuple[bytes, int, bytes | None, bytes, int] | None:
    """(id, rev, cid, policy, number of positions) of a name with one standing; None where it has more."""
    _, *standings = cbor2.loads(data)
    if len(standings) != 1:
        return None
    id, rev, cid, policy, positions, _ = standings[0]
    return id, rev, cid, policy, len(positions)


def decode_standings(data: bytes) -> tuple[Standing, ...]:
    """The standings in a name's row."""
    _, *standings = cbor2.loads(data)
    return tuple(
        Standing(Cid(id), rev, None if cid is None else Cid(cid), Cid(policy), tuple(positions), Kid(first))
        for id, rev, cid, policy, positions, first in standings
    )
