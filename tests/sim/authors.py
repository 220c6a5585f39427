"""The people of a simulation: they read what a node shows them, sign what should come next, and send it to that node.

What a node acknowledges is a promise and is remembered here: the statement, the receipt, who gave it and when. What
was sent and never answered may be there or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from holo.core import tree
from holo.core.cid import Cid
from holo.core.envelope import Record, endorse, make_record, make_statement
from holo.core.errors import HoloError
from holo.core.names import Name
from holo.core.policy import Policy
from holo.roles.registry import Incoming
from holo.store.ledger import Outcome
from holo.store.view import View
from tests.records import EVERYTHING, content, key, kid, policy_record
from tests.sim.host import Host
from tests.sim.plan import PEOPLE, Step

_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Promise:
    """What a node acknowledged: a statement stood as ``state`` in it at ``at_s``, says entry ``seq`` of a log."""

    node: int
    at_s: float
    statement: Cid
    ns: str
    state: str
    receipt: Cid


@dataclass
class Authors:
    """Everybody who writes, and what they were promised."""

    geneses: dict[str, Record]
    promises: list[Promise] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    forbidden: set[Cid] = field(default_factory=set)

    async def carry_out(self, step: Step, hosts: Sequence[Host]) -> None:
        """Do what a step says, at one node or at two at once."""
        host = hosts[step.node]
        if not host.up:
            return
        records = self._records(step, host)
        other = hosts[step.args["other"] % len(hosts)] if "other" in step.args else host
        async with trio.open_nursery() as nursery:
            if not records:
                return
            if len(records) == 2 and other is not host:
                nursery.start_soon(self._send, host, records[:1])
                nursery.start_soon(self._send, other, records[1:])
            else:
                nursery.start_soon(self._send, host, records)

    async def _send(self, host: Host, records: Sequence[tuple[Record, tuple[bytes, ...]]]) -> None:
        incoming = [
            Incoming(
                "policy" if record.statement.type == "policy" else "binding",
                record.envelopes(),
                compare_and_swap=True,
                nodes=nodes,
            )
            for record, nodes in records
        ]
        with trio.move_on_after(_PATIENCE_S):
            try:
                results = await host.admit(incoming)
            except HoloError as error:
                self._refuse(error.code)
                return
            for result in results:
                if isinstance(result, Outcome):
                    at_s = trio.current_time()
                    promise = Promise(host.number, at_s, result.statement, result.ns, result.state, result.receipt.id)
                    self.promises.append(promise)
                else:
                    self._refuse(result.code)

    def _refuse(self, code: str) -> None:
        self.refused[code] = self.refused.get(code, 0) + 1

    # --- what is written

    def _records(self, step: Step, host: Host) -> list[tuple[Record, tuple[bytes, ...]]]:
        """What the step has somebody write, each record with the nodes of its seal."""
        assert host.registry is not None
        ns = step.args["ns"]
        if step.kind == "begin":
            return [(self.geneses[ns], ())] if ns in self.geneses else []
        with host.registry.view() as view:
            row = view.records.namespace(ns)
            if row is None:
                return []
            policy = view.policy(row.policy)
            at = _Desk(view, row.genesis, policy, step, host.clock_ms())
            made = getattr(self, f"_{step.kind}")(at)
        return [item if isinstance(item, tuple) else (item, ()) for item in made]

    def _publish(self, at: _Desk) -> list[Record]:
        return [at.binding(at.who)]

    def _yank(self, at: _Desk) -> list[Record]:
        return [at.binding(at.who, yank=True)]

    def _pair(self, at: _Desk) -> list[Record]:
        return [at.binding(at.who, at.whom)]

    def _propose(self, at: _Desk) -> list[Record]:
        return [at.binding(at.who, path=at.path.rpartition("/")[0] + "/stable")]

    def _burst(self, at: _Desk) -> list[Record]:
        return [at.binding(at.who, path=f"many/n{number}/v1") for number in range(at.step.args["count"])]

    def _rival(self, at: _Desk) -> list[Record]:
        """Two truths about one revision, by two signers or by one, at two nodes at once."""
        return [at.binding(at.who), at.binding(at.whom, text=f"rival {at.text}")]

    def _cosign(self, at: _Desk) -> list[Record]:
        """The first proposal that lacks this signer, with all endorsements that the node has of it."""
        for path in at.view.pending_paths(at.ns):
            handle, _, tag = path.rpartition("/")
            for entry in at.view.pending(Name(at.ns, handle, tag)):
                if kid(at.who) not in entry.endorsements:
                    statement = entry.binding.statement
                    return [Record(statement, {**entry.endorsements, kid(at.who): endorse(statement, key(at.who))})]
        return []

    def _forbidden(self, at: _Desk) -> list[Record]:
        """A binding by somebody whom no policy names."""
        record = at.binding("mallory")
        self.forbidden.add(record.statement.id)
        return [record]

    # --- policies

    def _amend(self, at: _Desk) -> list[Record]:
        missing = [who for who in PEOPLE if at.policy.position_of(kid(who)) is None]
        return [at.successor(signers=[*at.signers, *missing[:1]])] if missing else []

    def _rivals(self, at: _Desk) -> list[Record]:
        """Two successors of one policy, at two nodes at once."""
        missing = [who for who in PEOPLE if at.policy.position_of(kid(who)) is None]
        return [at.successor(signers=[*at.signers, who]) for who in missing[:2]]

    def _decide(self, at: _Desk) -> list[Record]:
        """What recovery keys say where there are rivals: the first of them, endorsed by them too."""
        row = at.view.namespace(at.ns)
        known = [cid for cid, _ in at.view.records.policy_rows(at.ns)]
        children = sorted(cid for cid in known if at.view.policy(cid).prev == row.policy)
        if len(children) < 2:
            return []
        return [make_record(at.view.policy(children[0]).statement, key("root"), key("recovery"))]

    def _seal(self, at: _Desk) -> list[tuple[Record, tuple[bytes, ...]]]:
        """What is current stays but for the name at hand, and somebody may sign no more."""
        kept = [
            (path.encode(), [[item.id, list(item.positions)] for item in standings])
            for path, standings in at.view.records.currents(at.ns)
            if path != at.path
        ]
        made = tree.build(kept)
        signers = [who for who in at.signers if who != at.who] or ["alice"]
        record = at.successor(signers=signers, seal=made.root)
        return [(record, tuple(made.added.values()))]


@dataclass(frozen=True)
class _Desk:
    """What an author has before them: the node's state of a namespace, and what they mean to do."""

    view: View
    genesis: Cid
    policy: Policy
    step: Step
    at_ms: int

    @property
    def ns(self) -> str:
        return self.policy.ns

    @property
    def path(self) -> str:
        path: str = self.step.args["path"]
        return path

    @property
    def who(self) -> str:
        who: str = self.step.args["who"]
        return who

    @property
    def whom(self) -> str:
        whom: str = self.step.args["whom"]
        return whom

    @property
    def text(self) -> str:
        text: str = self.step.args["text"]
        return text

    @property
    def signers(self) -> list[str]:
        """The names of those who may sign, in order."""
        names = {kid(name): name for name in PEOPLE}
        return [names[signer.key] for signer in self.policy.signers]

    def binding(self, *by: str, path: str | None = None, text: str | None = None, yank: bool = False) -> Record:
        """The next revision of a name."""
        path = self.path if path is None else path
        handle, _, tag = path.rpartition("/")
        current = [entry.binding for entry in self.view.current(Name(self.ns, handle, tag))]
        value: dict[str, Any] = {
            "v": 1,
            "type": "binding",
            "ns": self.ns,
            "genesis": self.genesis,
            "handle": handle,
            "tag": tag,
            "rev": max((item.rev for item in current), default=0) + 1,
            "prev": [item.id for item in current],
            "cid": None if yank else content(text or self.text),
            "policy": self.policy.id,
            "at_ms": self.at_ms,
            "meta": {},
        }
        return make_record(make_statement(value), *(key(who) for who in dict.fromkeys(by)))

    def successor(self, *, signers: Sequence[str], seal: Cid | None = None) -> Record:
        """The next policy, signed by the roots."""
        return policy_record(
            self.ns,
            self.policy,
            signers=dict.fromkeys(signers, EVERYTHING),
            thresholds=[(("stable",), 2)],
            seal=seal,
        )


def genesis_of(ns: str) -> Record:
    """How a namespace begins: two people may sign, and stable names need two."""
    return policy_record(ns, signers=dict.fromkeys(("alice", "bob"), EVERYTHING), thresholds=[(("stable",), 2)])
