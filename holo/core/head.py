"""Heads and the logs they belong to: what a node signs about everything it holds (spec sections 3 and 5).

A head commits to a catalog and to the receipts so far. A log begins with a log-genesis, which names the node; a
node that lost its memory begins another one, visibly, instead of forking the first. Two heads of one log that
cannot both be honest are evidence against their signer. :class:`Anchors` is whom a reader believes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holo.core import limits
from holo.core.cid import Cid
from holo.core.envelope import Statement, encode_envelope, endorse, make_statement, open_envelope
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.keys import Kid, SigningKey, did_of
from holo.core.log import EMPTY_ROOT, HASH_BYTES

HEAD_TYPE: Final = "head"
LOG_GENESIS_TYPE: Final = "log-genesis"


@dataclass(frozen=True, slots=True)
class Signed:
    """Something a node signed. ``id`` is the CID of its payload, ``signer`` whose signature was verified."""

    id: Cid
    signer: Kid
    statement: Statement


@dataclass(frozen=True, slots=True)
class Head(Signed):
    """A signed tree head: the catalog and the log of receipts at one moment.

    ``seq`` counts the heads of a log from 0; ``prev`` is the head before, None for the first. ``log_size`` receipts
    have the RFC 9162 root ``log_root``.
    """

    log: Cid
    seq: int
    prev: Cid | None
    catalog: Cid
    log_size: int
    log_root: bytes
    at_ms: int


@dataclass(frozen=True, slots=True)
class LogGenesis(Signed):
    """The beginning of a node's log. ``prev_log`` is its log before this one, ``prev_head`` the last head of that."""

    node: Kid
    nonce: bytes
    prev_log: Cid | None
    prev_head: Cid | None


@dataclass(frozen=True, slots=True)
class Anchors:
    """What a verification starts from: keys of nodes, and geneses of namespaces, that the reader trusts.

    ``exposed`` are keys that the reader holds evidence against; they count where the reader's policy denies such keys.
    """

    nodes: frozenset[Kid] = frozenset()
    genesis: frozenset[Cid] = frozenset()
    exposed: frozenset[Kid] = frozenset()

    def require_node(self, signer: Kid) -> None:
        """Raises ``anchor-missing`` unless ``signer`` is trusted: then nothing is known, neither good nor bad."""
        if signer not in self.nodes:
            raise Rejected("anchor-missing", f"signed by {did_of(signer)}", subject=did_of(signer))


def make_head(
    *, log: Cid, seq: int, prev: Cid | None, catalog: Cid, log_size: int, log_root: bytes, at_ms: int
) -> Statement:
    """The payload of a head, for the log's node to sign."""
    return make_statement(
        {
            "v": 1,
            "type": HEAD_TYPE,
            "log": log,
            "seq": seq,
            "prev": prev,
            "catalog": catalog,
            "log_size": log_size,
            "log_root": log_root,
            "at_ms": at_ms,
        }
    )


def make_log_genesis(
    *, node: Kid, nonce: bytes, prev_log: Cid | None = None, prev_head: Cid | None = None
) -> Statement:
    """The payload of a log-genesis, for ``node`` to sign. ``nonce`` is 16 random bytes."""
    return make_statement(
        {
            "v": 1,
            "type": LOG_GENESIS_TYPE,
            "node": bytes(node),
            "nonce": nonce,
            "prev_log": prev_log,
            "prev_head": prev_head,
        }
    )


def sign(statement: Statement, key: SigningKey) -> bytes:
    """The COSE_Sign1 of ``statement`` by ``key``."""
    return encode_envelope(statement.type, key.kid, statement.bytes, endorse(statement, key))


def open_head(envelope: bytes) -> Head:
    """The head in a COSE_Sign1, its signature verified. Whether its signer is to be trusted is asked elsewhere."""
    statement, signer, _ = open_envelope(envelope, HEAD_TYPE, limits.HEAD_BYTES)
    return parse_head(statement, signer)


def open_log_genesis(envelope: bytes) -> LogGenesis:
    """The log-genesis in a COSE_Sign1, its signature verified as that of the node it names."""
    statement, signer, _ = open_envelope(envelope, LOG_GENESIS_TYPE, limits.HEAD_BYTES)
    return parse_log_genesis(statement, signer)


def parse_head(statement: Statement, signer: Kid) -> Head:
    """The head a statement says. Raises ``field-*`` or ``receipt-invalid`` with the place."""
    fields = Fields(statement.value, "payload", _HEAD_FIELDS)
    seq, prev = fields.integer("seq"), fields.link_or_null("prev")
    log_size, log_root = fields.integer("log_size"), fields.data("log_root", HASH_BYTES)
    if (seq == 0) != (prev is None):
        raise Rejected("receipt-invalid", "seq is 0 exactly where prev is null", at="payload.prev")
    if (log_size == 0) != (log_root == EMPTY_ROOT):
        raise Rejected("receipt-invalid", "the root does not go with the size of the log", at="payload.log_root")
    return Head(
        id=statement.id,
        signer=signer,
        statement=statement,
        log=fields.link("log"),
        seq=seq,
        prev=prev,
        catalog=fields.link("catalog"),
        log_size=log_size,
        log_root=log_root,
        at_ms=fields.integer("at_ms"),
    )


def parse_log_genesis(statement: Statement, signer: Kid) -> LogGenesis:
    """The log-genesis a statement says. Raises ``field-*`` or ``receipt-invalid`` with the place."""
    fields = Fields(statement.value, "payload", _LOG_GENESIS_FIELDS)
    node, prev_log, prev_head = fields.key("node"), fields.link_or_null("prev_log"), fields.link_or_null("prev_head")
    if node != signer:
        raise Rejected("receipt-invalid", "signed by another key than the node's", at="payload.node")
    if prev_log is None and prev_head is not None:
        raise Rejected("receipt-invalid", "a head without a log before", at="payload.prev_head")
    return LogGenesis(
        id=statement.id,
        signer=signer,
        statement=statement,
        node=node,
        nonce=fields.data("nonce", limits.NONCE_BYTES),
        prev_log=prev_log,
        prev_head=prev_head,
    )


def contradiction(one: Head, other: Head) -> str | None:
    """What is contradictory between two heads, in a few words, or None.

    Only heads of one log by one signer can contradict each other. That two roots of different sizes belong to one
    growing log takes a consistency proof, which is not here: so None does not say that the heads agree.
    """
    if one.log != other.log or one.signer != other.signer or one.id == other.id:
        return None
    older, newer = sorted((one, other), key=lambda head: (head.seq, head.id))
    if older.seq == newer.seq:
        return "one seq, two heads"
    if older.seq + 1 == newer.seq and newer.prev != older.id:
        return "prev is not the head before"
    if older.log_size > newer.log_size:
        return "the log shrank"
    if older.log_size == newer.log_size and older.log_root != newer.log_root:
        return "one size, two roots"
    return None


_HEAD_FIELDS: Final = ("v", "type", "log", "seq", "prev", "catalog", "log_size", "log_root", "at_ms")
_LOG_GENESIS_FIELDS: Final = ("v", "type", "node", "nonce", "prev_log", "prev_head")
