"""What proofs are read from: one view of this node's store, as :mod:`holo.core.bundle` asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holo.core.cid import Cid
from holo.core.consumer import ConsumerPolicy
from holo.core.errors import Missing, Overloaded, Rejected
from holo.core.head import Head
from holo.core.keys import Kid
from holo.core.receipt import Logged
from holo.store.bindings import boxed
from holo.store.view import View


class Proofs:
    """A :class:`~holo.core.bundle.BundleSource` over one snapshot; every proof leads to its newest head.

    ``consumer`` is the reader's own pack, which no store has.
    """

    def __init__(self, view: View, consumer: ConsumerPolicy | None = None) -> None:
        newest = view.head()
        if newest is None:
            raise Overloaded("overloaded", "the node has not signed its first head yet")
        self.newest, self._envelope = newest
        self._view = view
        self._consumer = consumer

    def object(self, cid: Cid) -> bytes:
        """A catalog, namespace state, tree node or the reader's pack."""
        if self._consumer is not None and cid == self._consumer.id:
            return self._consumer.statement.bytes
        return self._view.object(cid)

    def payload(self, statement: Cid) -> bytes:
        """The payload of a policy or a binding."""
        return self._view.object(statement)

    def endorsements(self, statement: Cid) -> Mapping[Kid, bytes]:
        """All known signatures of a statement, pending ones included."""
        found = self._view.records.endorsements(statement)
        try:
            binding = self._view.binding(statement)
        except Rejected:
            return found  # a policy: it has no mailbox
        policy = self._view.policy(binding.policy)
        return boxed(self._view.records, policy, binding.name.path, binding.rev, statement) | found

    def head(self, cid: Cid) -> bytes:
        """The envelope of the newest head."""
        if cid != self.newest.id:
            raise Missing("not-found", f"head {cid!s}", subject=str(cid))
        return self._envelope

    def log_genesis(self, cid: Cid) -> bytes:
        """The envelope of the current log's genesis."""
        log = self._view.log
        envelope = self._view.records.log_genesis(log.number)
        if cid != log.id or envelope is None:
            raise Missing("not-found", f"log {cid!s}", subject=str(cid))
        return envelope

    def covering_head(self, receipt: Logged) -> Cid:
        """The newest head."""
        return self.newest.id

    def inclusion(self, receipt: Logged, head: Head) -> Sequence[bytes]:
        """The proof that the log of ``head`` holds this receipt."""
        return self._view.inclusion(receipt.id, head.log_size)[2]
