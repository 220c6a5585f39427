"""Deriving a namespace again from a catalog and proofs, believing nothing but hashes and signatures (spec section 4).

Two parts: policies from the genesis on, and one name under the chain they lead to. Everything is read through
:class:`~holo.core.bundle_contents.Tracked`, so that making a bundle and verifying it read the same things.

What no proof in hand can show is left to the caller to state: whether all that a seal names is held, whether a policy
that nobody showed exists, and whether there is a newer head.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from holo.core import limits, tree
from holo.core.binding import Binding, decode_binding, settle, standing
from holo.core.bundle_contents import Tracked
from holo.core.chain import Chain, Known, decide_chain
from holo.core.cid import Cid
from holo.core.envelope import Statement, verify_endorsement
from holo.core.errors import Rejected
from holo.core.keys import Kid, did_of
from holo.core.names import Name
from holo.core.policy import Policy, check_child, check_genesis, counted_keys, decode_policy
from holo.core.resolve import Candidate
from holo.core.state import Cited, NamespaceState, parse_current, parse_endorsers, parse_pending, shown_pending

_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True, slots=True)
class Realm:
    """A namespace derived again: its state object, its policies with their endorsers, and the chain they lead to."""

    state: NamespaceState
    known: dict[Cid, Known]
    chain: Chain


class Rederivation:
    """Derives policies and names again; what was verified once is not verified twice."""

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = tracked
        self._policies: dict[Cid, Policy] = {}
        self._verified: set[tuple[Cid, Kid]] = set()

    # --- policies

    def policies(self, state: NamespaceState) -> dict[Cid, Known]:
        """Every policy the state commits to, each a valid step from the genesis, with exactly the endorsers listed."""
        read = node_reader(self._tracked)
        total = tree.check_tree(read, state.policies)
        if not 1 <= total <= limits.BUNDLE_POLICIES:
            raise Rejected("bundle-invalid", f"{total} policies where 1 to {limits.BUNDLE_POLICIES} are allowed")
        listed = [
            (self.policy(Cid.from_bytes(key)), parse_endorsers(value))
            for key, value in tree.iterate(read, state.policies)
        ]
        listed.sort(key=lambda item: item[0].seq)
        known: dict[Cid, Known] = {}
        lineages: dict[Cid, list[Policy]] = {}
        for policy, endorsers in listed:
            if policy.prev is None and policy.id != state.genesis:
                raise _broken(policy.id, "a second genesis")
            parent = None if policy.prev is None else known.get(policy.prev)
            lineages[policy.id] = _lineage(parent.policy, lineages) if parent else []
            self._require_valid(policy, state.ns, endorsers, lineages[policy.id])
            known[policy.id] = Known(policy, frozenset(endorsers))
        assert state.genesis in known  # at least one policy, and each leads back to it
        return known

    def chain(self, state: NamespaceState, known: dict[Cid, Known]) -> Chain:
        """The chain the policies lead to, which must be what the state says of policy and hold.

        Whether a seal is satisfied is taken from the state: exactly those up to the policy it says is in effect.
        """
        if state.policy not in known:
            raise _broken(state.policy, "the policy in effect is not among the policies")
        seq = known[state.policy].policy.seq
        chain = decide_chain(state.genesis, known, lambda sealing: sealing.seq <= seq)
        if chain.policy.id != state.policy:
            raise _broken(state.policy, f"the policies lead to {chain.policy.id}")
        if chain.held != state.held:
            raise _broken(state.policy, f"the policies leave the namespace {_held_text(chain)}")
        return chain

    def ancestry(self, policy: Cid) -> list[Policy]:
        """The policies from the genesis to ``policy``, each valid with all the signatures there are of it."""
        path = [self.policy(policy)]
        while path[-1].prev is not None:
            if len(path) > limits.BUNDLE_POLICIES:
                raise Rejected("bundle-invalid", f"more than {limits.BUNDLE_POLICIES} policies in a row")
            path.append(self.policy(path[-1].prev))
        path.reverse()
        lineages: dict[Cid, list[Policy]] = {}
        for index, item in enumerate(path):
            lineages[item.id] = _lineage(path[index - 1], lineages) if index else []
            counted = counted_keys(item, lineages[item.id])
            endorsers = sorted(kid for kid in self._tracked.signers(item.id) if kid in counted)
            self._require_valid(item, path[0].ns, endorsers, lineages[item.id])
        return path

    def policy(self, cid: Cid) -> Policy:
        """The policy ``cid``, parsed."""
        if cid not in self._policies:
            self._policies[cid] = _parsed(cid, decode_policy, self._tracked.payload(cid))
        return self._policies[cid]

    def _require_valid(self, policy: Policy, ns: str, endorsers: Collection[Kid], lineage: list[Policy]) -> None:
        try:
            if policy.ns != ns:
                raise Rejected("policy-foreign", f"{policy.ns} where the namespace is {ns}")
            if policy.prev is None:
                check_genesis(policy, endorsers)
            elif not lineage:
                raise Rejected("policy-parent-unknown", str(policy.prev))
            else:
                check_child(lineage[0], policy, endorsers)
            if not counted_keys(policy, lineage).issuperset(endorsers):
                raise Rejected("policy-invalid", "it lists an endorser that does not count")
        except Rejected as error:
            error.at = _within(policy.id, error.at)
            raise
        self.require_endorsed(policy.statement, endorsers)

    # --- names

    def current(self, realm: Realm, name: Name) -> tuple[Candidate, ...]:
        """What is current of a name: each statement complete, counting under the latest seal, and settled."""
        found = tuple(self._candidate(realm, name, cited) for cited in self._cited(realm, name))
        kept = self._sealed(realm, name)
        sealing = realm.chain.sealing
        for candidate in found:
            if sealing is None or candidate.policy.seq >= sealing.seq:
                continue
            if Cited(candidate.standing.id, candidate.standing.positions) not in kept:
                raise _broken(candidate.standing.id, "the latest seal does not hold it with these endorsers")
        standings = tuple(candidate.standing for candidate in found)
        if settle([*standings, *(self._candidate(realm, name, cited).standing for cited in kept)]) != standings:
            raise _broken(realm.state.bindings, f"{name} is not settled by its current statements and its seal")
        return found

    def pending(self, realm: Realm, name: Name) -> int:
        """How many statements of a name without a current one wait for signatures, each looked at."""
        value = self._looked_up(realm.state.pending, name)
        order, waiting = [], []
        sealing = realm.chain.sealing
        for cited in parse_pending(value):
            binding, policy = self._statement(realm, name, cited)
            if sealing is not None and policy.seq < sealing.seq:
                raise _broken(binding.id, "it waits under a policy from before the latest seal")
            order.append((-binding.rev, binding.id))
            waiting.append((cited, len(policy.signers)))
        if order != sorted(order):
            raise _broken(realm.state.pending, "what waits is not in order")
        if shown_pending(waiting) != [cited for cited, _ in waiting]:
            raise _broken(realm.state.pending, "more waits than a name shows")
        return len(order)

    def _cited(self, realm: Realm, name: Name) -> tuple[Cited, ...]:
        cited = parse_current(self._looked_up(realm.state.bindings, name))
        if tree.count(node_reader(self._tracked), realm.state.bindings) != realm.state.count:
            raise _broken(realm.state.bindings, f"it does not hold the {realm.state.count} names it is said to")
        return cited

    def _sealed(self, realm: Realm, name: Name) -> tuple[Cited, ...]:
        """What the latest seal keeps of a name."""
        sealing = realm.chain.sealing
        if sealing is None or sealing.seal is None:
            return ()
        return parse_current(self._looked_up(sealing.seal, name))

    def _candidate(self, realm: Realm, name: Name, cited: Cited) -> Candidate:
        binding, policy = self._statement(realm, name, cited)
        need = policy.threshold_for(name.tag)
        if len(cited.positions) < need:
            raise _broken(binding.id, f"{len(cited.positions)} of {need} endorsements")
        return Candidate(standing(binding, policy, cited.positions), policy)

    def _statement(self, realm: Realm, name: Name, cited: Cited) -> tuple[Binding, Policy]:
        """A statement of ``name`` under a policy in effect, endorsed by the allowed signers at these positions."""
        binding = self.binding(cited.statement)
        if binding.name != replace(name, cid=None):
            raise _broken(binding.id, f"it is about {binding.name}")
        if binding.genesis != realm.state.genesis:
            raise _broken(binding.id, "it names another genesis")
        index = realm.chain.index_of(binding.policy)
        if index is None:
            raise _broken(binding.id, "it cites a policy that is not in effect")
        policy = realm.chain.policies[index]
        if cited.positions[-1] >= len(policy.signers):
            raise _broken(binding.id, "a position beyond the policy's signers")
        kids = [policy.signers[at].key for at in cited.positions]
        if policy.positions(kids, name.handle, name.tag) != cited.positions:
            raise _broken(binding.id, "an endorser that may not write this name")
        self.require_endorsed(binding.statement, kids)
        return binding, policy

    def binding(self, cid: Cid) -> Binding:
        """The binding ``cid``, parsed."""
        return _parsed(cid, decode_binding, self._tracked.payload(cid))

    def require_endorsed(self, statement: Statement, kids: Iterable[Kid]) -> None:
        """Raises unless each of ``kids`` signed ``statement``."""
        for kid in kids:
            if (statement.id, kid) in self._verified:
                continue
            if not verify_endorsement(statement, kid, self._tracked.signature(statement.id, kid)):
                raise Rejected("signature-invalid", f"by {did_of(kid)}", at=f"statement {statement.id}")
            self._verified.add((statement.id, kid))

    def _looked_up(self, root: Cid, name: Name) -> list[object]:
        return look_up(self._tracked, root, name.path.encode()) or []


def look_up(tracked: Tracked, root: Cid, key: bytes) -> list[object] | None:
    """What the tree under ``root`` proves about ``key``: its value, or None for its absence."""
    try:
        nodes = tree.prove(node_reader(tracked), root, key)
        return tree.check_proof(root, key, nodes)
    except Rejected as error:
        error.at = error.at or f"tree {root}"
        raise


def node_reader(tracked: Tracked) -> tree.Read:
    """Reads tree nodes that may come from anybody, each checked before anything walks it."""

    def read(cid: Cid) -> bytes:
        data = tracked.object(cid)
        try:
            tree.decode_node(data)
        except Rejected as error:
            error.at = f"object {cid}"
            raise
        return data

    return read


def _lineage(parent: Policy, lineages: dict[Cid, list[Policy]]) -> list[Policy]:
    """Ancestors enough to say whose endorsement counts: the parent, then one for each other set of recovery keys."""
    return [parent, *(item for item in lineages[parent.id] if item.recovery.keys != parent.recovery.keys)]


def _parsed(cid: Cid, decode: Callable[[bytes], _Parsed], payload: bytes) -> _Parsed:
    try:
        return decode(payload)
    except Rejected as error:
        error.at = _within(cid, error.at)
        raise


def _within(statement: Cid, at: str | None) -> str:
    return f"statement {statement}" + (f" {at}" if at else "")


def _broken(subject: Cid, detail: str) -> Rejected:
    return Rejected("bundle-invalid", detail, subject=str(subject), at=f"statement {subject}")


def _held_text(chain: Chain) -> str:
    return "not held" if chain.held is None else f"held by {chain.held[0]} at {chain.held[1]}"
