"""A namespace worked out from the set of all that arrived: the reference any store is compared with.

It keeps every record and derives the state from all of them at once, so that order of arrival cannot matter: there is
none. It is written for being read beside section 2 of the specification, not for speed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from holo.core import tree
from holo.core.binding import Binding, Partial, judge, mailbox, parse_binding, settle, standing
from holo.core.chain import Chain, Known, ancestors, decide_chain
from holo.core.cid import Cid
from holo.core.envelope import Record
from holo.core.errors import Missing, Rejected
from holo.core.keys import Kid
from holo.core.policy import Policy, check_child, check_genesis, counted_keys, parse_policy
from holo.core.resolve import Candidate, NamespaceView
from holo.core.state import Cited, NamespaceState, cited_value, endorsers_value, shown_pending
from tests.records import binding_record, policy_record

Complete: TypeAlias = Mapping[Cid, tuple[Binding, set[Kid]]]
"""statement → the binding and its endorsers, for statements that arrived with their threshold."""


@dataclass(frozen=True)
class Derived:
    """The state of a namespace, from everything known of it. `current` and `pending` are by path (`handle/tag`)."""

    known: dict[Cid, Known]
    chain: Chain
    current: dict[str, tuple[Candidate, ...]]
    pending: dict[str, list[Cited]]
    state: NamespaceState
    objects: dict[Cid, bytes]

    def view(self, path: str) -> NamespaceView:
        """What a decision about one name depends on."""
        return NamespaceView(
            genesis=self.state.genesis,
            policy=self.chain.policy.id,
            policy_seq=self.chain.policy.seq,
            policies=self.known.keys(),
            held=self.chain.held,
            current=self.current.get(path, ()),
            pending=len(self.pending.get(path, ())),
        )


class Namespace:
    """Everything that arrived about one namespace. `learn` adds a record; `derive` works the state out of the set.

    A policy must be learned before what cites it is judged, as everywhere; in a set that is always so.
    """

    def __init__(self, ns: str = "acme", **genesis: Any) -> None:
        """A namespace with the genesis that `policy_record(ns, **genesis)` makes, already learned."""
        self.ns = ns
        self.records: list[Record] = []
        self.nodes: dict[Cid, bytes] = {}
        record = policy_record(ns, **genesis)
        self.genesis = parse_policy(record.statement)
        self.latest = self.genesis
        self.learn(record)

    def learn(self, record: Record) -> Record:
        """Take a record in, whatever it is worth."""
        self.records.append(record)
        return record

    def amend(self, parent: Policy | None = None, **policy: Any) -> Policy:
        """Learn a successor of `parent` (the latest policy) made by `policy_record`, and return it."""
        record = self.learn(policy_record(self.ns, parent or self.latest, **policy))
        self.latest = parse_policy(record.statement)
        return self.latest

    def bind(
        self, path: str, cid: Cid | None, rev: int = 1, *, policy: Policy | None = None, **binding: Any
    ) -> Binding:
        """Learn a binding of `path` (`handle:tag`) under `policy` (the latest), made by `binding_record`."""
        cited = (policy or self.latest).id
        record = self.learn(binding_record(self.genesis.id, cited, f"{self.ns}/{path}", cid, rev=rev, **binding))
        return parse_binding(record.statement)

    def seal_tree(self, keep: Mapping[str, Sequence[Cited]] | None = None, *, learn: bool = True) -> Cid:
        """The root of a seal's tree over `keep`, all that is current if None; its nodes are learned unless told not."""
        if keep is None:
            keep = {path: cited_of(candidates) for path, candidates in self.derive().current.items()}
        made = tree.build((path.encode(), cited_value(cited)) for path, cited in keep.items())
        if learn:
            self.nodes.update(made.added)
        return made.root

    # --- the state as a function of the set

    def derive(self) -> Derived:
        """The state of the namespace."""
        known = self._known()
        complete, partial = self._split(known)
        chain = decide_chain(self.genesis.id, known, lambda policy: self._satisfied(policy, known, complete))
        current = {path: settled(found) for path, found in self._counting(chain, complete).items()}
        pending = self._pending(chain, partial, current)
        return committed(self.ns, self.genesis.id, known, chain, current, pending)

    def candidates(self, path: str) -> list[Candidate]:
        """Every complete statement of a name that counts, of whatever revision."""
        known = self._known()
        complete, _ = self._split(known)
        return self._counting(self.derive().chain, complete).get(path, [])

    def endorsements(self, statement: Cid) -> dict[Kid, bytes]:
        """Every signature of a statement that arrived."""
        return {
            who: signature
            for record in self.records
            if record.statement.id == statement
            for who, signature in record.endorsements.items()
        }

    def payload(self, statement: Cid) -> bytes | None:
        """The payload of a statement that arrived."""
        return next((record.statement.bytes for record in self.records if record.statement.id == statement), None)

    def _known(self) -> dict[Cid, Known]:
        """Every valid policy, with the endorsers that count, from records that were complete by themselves.

        The bound on rivals per parent is left out: it depends on the order of arrival, as any bound on storage does.
        """
        known: dict[Cid, Known] = {}
        policies = [(parse_policy(r.statement), r) for r in self.records if r.statement.type == "policy"]
        for policy, record in sorted(policies, key=lambda item: item[0].seq):
            endorsers = frozenset(record.endorsements)
            try:
                if policy.prev is None:
                    check_genesis(policy, endorsers)
                    if policy.id != self.genesis.id:
                        continue
                elif policy.prev in known:
                    check_child(known[policy.prev].policy, policy, endorsers)
                else:
                    continue
            except Rejected:
                continue
            had = known[policy.id].endorsers if policy.id in known else frozenset[Kid]()
            known[policy.id] = Known(policy, had | endorsers & counted_keys(policy, ancestors(policy, known)))
        return known

    def _split(
        self, known: Mapping[Cid, Known]
    ) -> tuple[dict[Cid, tuple[Binding, set[Kid]]], list[tuple[Binding, Kid]]]:
        """(complete statements with their endorsers, endorsements that came without enough others)."""
        complete: dict[Cid, tuple[Binding, set[Kid]]] = {}
        partial: list[tuple[Binding, Kid]] = []
        for record in self.records:
            if record.statement.type != "binding":
                continue
            binding = parse_binding(record.statement)
            if binding.policy not in known or binding.genesis != self.genesis.id:
                continue
            policy = known[binding.policy].policy
            try:
                positions, need = judge(binding, policy, record.endorsements)
            except Rejected:
                continue
            kids = {policy.signers[at].key for at in positions}
            if len(positions) >= need:
                complete.setdefault(binding.id, (binding, set()))[1].update(kids)
            else:
                partial += [(binding, who) for who in kids]
        return complete, partial

    def _satisfied(self, sealing: Policy, known: Mapping[Cid, Known], complete: Complete) -> bool:
        """Whether all that a seal names is here and valid."""
        earlier = {policy.id: policy for policy in ancestors(sealing, known)}
        assert sealing.seal is not None
        try:
            tree.check_tree(self._node, sealing.seal)
            for path, value in tree.iterate(self._node, sealing.seal):
                for statement, positions in value:
                    binding, endorsers = complete[statement]
                    policy = earlier[binding.policy]
                    kids = [policy.signers[at].key for at in positions]
                    allowed = policy.positions(kids, binding.name.handle, binding.name.tag)
                    need = policy.threshold_for(binding.name.tag)
                    named = binding.name.path.encode() == path
                    if not (named and list(allowed) == positions and len(positions) >= need and endorsers >= set(kids)):
                        return False
        except (Missing, Rejected, KeyError, IndexError, TypeError, ValueError):
            return False
        return True

    def _counting(self, chain: Chain, complete: Complete) -> dict[str, list[Candidate]]:
        """Every complete statement that counts, by path."""
        found: dict[str, list[Candidate]] = {}
        sealing = chain.sealing
        for binding, endorsers in complete.values():
            index = chain.index_of(binding.policy)
            if index is None:
                continue
            policy = chain.policies[index]
            positions = policy.positions(endorsers, binding.name.handle, binding.name.tag)
            if sealing is not None and policy.seq < sealing.seq:
                assert sealing.seal is not None
                kept = dict(tree.get(self._node, sealing.seal, binding.name.path.encode()) or ())
                if binding.id not in kept:
                    continue
                positions = tuple(kept[binding.id])
            found.setdefault(binding.name.path, []).append(Candidate(standing(binding, policy, positions), policy))
        return found

    def _pending(
        self, chain: Chain, partial: Iterable[tuple[Binding, Kid]], current: Mapping[str, tuple[Candidate, ...]]
    ) -> dict[str, list[Cited]]:
        boxes: dict[tuple[str, Kid, Cid], dict[Cid, Binding]] = {}
        for binding, who in partial:
            boxes.setdefault((binding.name.path, who, binding.policy), {})[binding.id] = binding
        kept: dict[str, dict[Cid, tuple[int, Policy, set[int]]]] = {}
        sealing_seq = chain.sealing.seq if chain.sealing else 0
        for (path, who, cited), box in boxes.items():
            index = chain.index_of(cited)
            floor = current[path][0].standing.rev if path in current else 0
            if index is None or index < sealing_seq:
                continue
            policy = chain.policies[index]
            position = [signer.key for signer in policy.signers].index(who)
            for item in mailbox(Partial(binding.id, binding.rev) for binding in box.values()):
                if item.rev > floor:
                    kept.setdefault(path, {}).setdefault(item.id, (item.rev, policy, set()))[2].add(position)
        return {path: _shown(found) for path, found in kept.items()}

    def _node(self, cid: Cid) -> bytes:
        if cid not in self.nodes:
            raise Missing("node-missing", str(cid))
        return self.nodes[cid]


def _in_order(waiting: Mapping[Cid, tuple[int, set[int]]]) -> list[Cited]:
    """statement → (rev, positions), by (rev descending, id)."""
    ordered = sorted(waiting.items(), key=lambda item: (-item[1][0], item[0]))
    return [Cited(statement, tuple(sorted(positions))) for statement, (_, positions) in ordered]


def settled(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The one or two of these candidates for one name that are current."""
    by_id = {candidate.standing.id: candidate for candidate in candidates}
    return tuple(by_id[item.id] for item in settle(candidate.standing for candidate in by_id.values()))


def _shown(found: Mapping[Cid, tuple[int, Policy, set[int]]]) -> list[Cited]:
    """What a name shows of what waits for it: statement → (rev, the policy it cites, positions)."""
    ordered = sorted(found.items(), key=lambda item: (-item[1][0], item[0]))
    return shown_pending(
        (Cited(statement, tuple(sorted(positions))), len(policy.signers))
        for statement, (_, policy, positions) in ordered
    )


def cited_of(candidates: Iterable[Candidate]) -> list[Cited]:
    """Candidates as trees cite them."""
    return [Cited(candidate.standing.id, candidate.standing.positions) for candidate in candidates]


def committed(
    ns: str,
    genesis: Cid,
    known: dict[Cid, Known],
    chain: Chain,
    current: dict[str, tuple[Candidate, ...]],
    pending: dict[str, list[Cited]],
) -> Derived:
    """The state object over these contents, and every tree it points to. The contents are not judged."""
    policies = tree.build((bytes(cid), endorsers_value(item.endorsers)) for cid, item in known.items())
    bindings = tree.build((path.encode(), cited_value(cited_of(found))) for path, found in current.items())
    waiting = tree.build((path.encode(), cited_value(found)) for path, found in pending.items())
    state = NamespaceState(
        ns=ns,
        genesis=genesis,
        policy=chain.policy.id,
        held=chain.held,
        policies=policies.root,
        bindings=bindings.root,
        pending=waiting.root,
        count=len(current),
    )
    made = state.as_statement()
    objects = {**policies.added, **bindings.added, **waiting.added, made.id: made.bytes}
    return Derived(known, chain, current, pending, state, objects)
