"""A node's log without a store: it signs receipts and heads, is put back from copies, and lies where it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from holo.core import log as rfc9162
from holo.core import tree
from holo.core.cid import Cid
from holo.core.envelope import Statement
from holo.core.head import Head, make_head, make_log_genesis, open_head, sign
from holo.core.keys import SigningKey
from holo.core.receipt import make_denial_receipt
from holo.core.state import Catalog
from holo.core.witness import HeadNote
from tests.records import AT_MS, key, kid

EMPTY = Catalog(tree.EMPTY, tree.EMPTY).as_statement()


@dataclass(frozen=True)
class Log:
    """A log as far as it goes: the ids of its receipts, and its heads with their envelopes."""

    genesis: Statement
    receipts: tuple[Cid, ...] = ()
    heads: tuple[Head, ...] = ()
    envelopes: tuple[bytes, ...] = ()

    def read(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree."""
        if not level:
            return rfc9162.leaf_hash(self.receipts[index])
        return rfc9162.node_hash(self.read(level - 1, 2 * index), self.read(level - 1, 2 * index + 1))

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """The proof that it began so."""
        return tuple(rfc9162.consistency_proof(old, new, self.read))


@dataclass
class SigningNode:
    """A node that signs. ``log`` is where it is; ``signed`` has every envelope of a head or receipt it ever signed."""

    name: str = "node"
    signer: SigningKey | None = None
    log: Log = field(init=False)
    signed: list[bytes] = field(default_factory=list)
    logs: int = 0

    def __post_init__(self) -> None:
        self.log = self._new_log(None)

    @property
    def key(self) -> SigningKey:
        """Its key."""
        return self.signer or key(self.name)

    def receipt(self, what: str = "", catalog: Statement = EMPTY) -> bytes:
        """Log that somebody was refused something."""
        statement = make_denial_receipt(
            log=self.log.genesis.id, seq=len(self.log.receipts), at_ms=AT_MS, action="publish", subject=None,
            code="not-permitted", rule=what, requester=kid("mallory"),
        )  # fmt: skip
        return self.logged(statement)

    def logged(self, statement: Statement) -> bytes:
        """Sign a receipt for the next place of the log."""
        self.log = replace(self.log, receipts=(*self.log.receipts, statement.id))
        self.signed.append(sign(statement, self.key))
        return self.signed[-1]

    def head(self, catalog: Cid = EMPTY.id, at_ms: int = AT_MS) -> bytes:
        """Sign a head over the log as it is."""
        heads, size = self.log.heads, len(self.log.receipts)
        statement = make_head(
            log=self.log.genesis.id, seq=len(heads), prev=heads[-1].id if heads else None, catalog=catalog,
            log_size=size, log_root=rfc9162.root(size, self.log.read), at_ms=at_ms,
        )  # fmt: skip
        envelope = sign(statement, self.key)
        self.log = replace(self.log, heads=(*heads, open_head(envelope)), envelopes=(*self.log.envelopes, envelope))
        self.signed.append(envelope)
        return envelope

    def restore(self, copy: Log) -> None:
        """Be put back from a copy, as an honest node is: in a new log that names the one it had."""
        self.log = self._new_log(copy)

    def note(self, seq: int, since: int = 0) -> HeadNote:
        """A head of the log it is at, as it is passed on to whoever has it at size ``since``."""
        size = self.log.heads[seq].log_size
        proof = self.log.consistency(since, size) if 0 < since < size else ()
        return HeadNote(self.log.envelopes[seq], self.genesis, since, proof)

    @property
    def genesis(self) -> bytes:
        """The envelope of the genesis of the log it is at."""
        return sign(self.log.genesis, self.key)

    def _new_log(self, before: Log | None) -> Log:
        self.logs += 1
        genesis = make_log_genesis(
            node=self.key.kid,
            nonce=self.logs.to_bytes(16, "big"),
            prev_log=before.genesis.id if before else None,
            prev_head=before.heads[-1].id if before and before.heads else None,
        )
        return Log(genesis)
