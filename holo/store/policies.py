"""Policies in the store: admission, the chain in effect, and seals (spec section 2).

Owns the ``namespaces``, ``policies`` and ``seals`` tables. Which branch holds and how far it is in effect is decided
by :mod:`holo.core.chain`; this module gives it the set and writes down the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from holo.core import binding as bindings
from holo.core import limits, tree
from holo.core.chain import Chain, Known, ancestors, decide_chain
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Record
from holo.core.errors import Missing, Rejected
from holo.core.keys import Kid
from holo.core.policy import Policy, check_child, check_genesis, counted_keys, decode_policy
from holo.core.state import Cited, parse_current
from holo.core.tree_node import Branch, decode_node, links_of
from holo.store.layout import NamespaceRow, Past, PolicyRow
from holo.store.records import RecordsReader
from holo.store.records_writer import RecordsWriter


class PolicyCache:
    """Parsed policies by id. What an id names never changes, so an entry is never stale."""

    def __init__(self) -> None:
        self._parsed: dict[Cid, Policy] = {}
        self._bytes = 0

    def get(self, records: RecordsReader, policy: Cid) -> Policy:
        """The policy with this id, which must be held."""
        found = self._parsed.get(policy)
        if found is None:
            payload = records.payload(policy)
            if payload is None:
                raise Missing("policy-unknown", str(policy), subject=str(policy))
            self._bytes += len(payload)
            if len(self._parsed) >= limits.POLICIES_PARSED or self._bytes > limits.POLICIES_PARSED_BYTES:
                self._parsed.clear()
                self._bytes = len(payload)
            found = self._parsed[policy] = decode_policy(payload)
        return found

    def known(self, records: RecordsReader, ns: str) -> dict[Cid, Known]:
        """Every valid policy of a namespace with its endorsers."""
        return {
            cid: Known(self.get(records, cid), frozenset(records.endorsements(cid)))
            for cid, _ in list(records.policy_rows(ns))
        }


def admit_policy(
    records: RecordsWriter,
    cache: PolicyCache,
    policy: Policy,
    record: Record,
    together: Sequence[tuple[Policy, Record]] = (),
) -> bool:
    """Store a complete policy of a hosted namespace, or its further endorsements. Returns whether anything was new.

    ``together`` are the policies that stand or fall with it; those that descend from it speak for it.
    Raises ``policy-parent-unknown``, ``policy-rivals-full``, ``policies-full``, ``policy-seq-invalid``,
    ``policy-foreign``, ``policy-seal-required``, ``policy-incomplete`` or ``genesis-foreign``; then nothing was
    written.
    """
    known = cache.known(records, policy.ns)
    endorsers = set(record.endorsements)
    if policy.prev is None:
        check_genesis(policy, endorsers)
        counted = counted_keys(policy, ())
    else:
        if policy.prev not in known:
            raise Rejected("policy-parent-unknown", str(policy.prev), subject=str(policy.prev))
        check_child(known[policy.prev].policy, policy, endorsers)
        counted = counted_keys(policy, ancestors(policy, known))
        if policy.id not in known:
            _require_room(policy, [endorsers, *_said_below(policy, together)], known)
    had = known[policy.id].endorsers if policy.id in known else frozenset[Kid]()
    new = (endorsers & counted) - had
    if policy.id not in known:
        records.put_payload(policy.id, policy.statement.bytes)
        records.put_policy_row(policy.ns, policy.id, PolicyRow(policy.seq, in_effect=False, sealed=False))
    for kid in new:
        records.put_endorsement(policy.id, kid, record.endorsements[kid])
    return bool(new) or policy.id not in known


def host_namespace(records: RecordsWriter, genesis: Policy) -> None:
    """Begin to host a namespace whose genesis was just admitted."""
    row = NamespaceRow(
        ns=genesis.ns,
        genesis=genesis.id,
        policy=genesis.id,
        policy_seq=0,
        sealing=None,
        sealing_seq=0,
        held=None,
        state=None,
    )
    records.put_namespace(row)


def decide(records: RecordsReader, cache: PolicyCache, row: NamespaceRow, seals: Seals) -> Chain:
    """The chain of a namespace as its stored policies decide it."""

    def satisfied(policy: Policy) -> bool:
        found = records.policy_row(row.ns, policy.id)
        return found is not None and (found.sealed or seals.complete(row.ns, policy))

    return decide_chain(row.genesis, cache.known(records, row.ns), satisfied)


def write_chain(records: RecordsWriter, row: NamespaceRow, chain: Chain) -> tuple[NamespaceRow, list[Cid], list[Cid]]:
    """Write down which policies are in effect. Returns the namespace's new row, who entered into effect, who left."""
    in_effect = {policy.id for policy in chain.policies[: chain.effective + 1]}
    sealed = {policy.id for policy in chain.policies[: chain.effective + 1] if policy.seal is not None}
    latest = chain.sealing
    entered: list[Cid] = []
    left: list[Cid] = []
    for cid, old in list(records.policy_rows(row.ns)):
        # Only the latest seal in effect was certainly checked; earlier ones are implied by nothing and need nothing.
        new = replace(old, in_effect=cid in in_effect, sealed=old.sealed or (cid in sealed and cid == _id(latest)))
        if new != old:
            records.put_policy_row(row.ns, cid, new)
        if new.in_effect != old.in_effect:
            (entered if new.in_effect else left).append(cid)
    new_row = replace(
        row,
        policy=chain.policy.id,
        policy_seq=chain.policy.seq,
        sealing=_id(latest),
        sealing_seq=latest.seq if latest else 0,
        held=chain.held,
    )
    if new_row != row:
        records.put_namespace(new_row)
    return new_row, entered, left


class Seals:
    """Whether a seal's tree, statements and endorsements are all held and valid.

    The answer is a function of what the store holds. ``missing`` only remembers, per sealing policy of one held
    namespace, what the last look did not find, so that a large seal is not walked again for every record that arrives
    meanwhile. To forget is always right; to remember is, as long as all that comes is told to :meth:`arrived`.
    """

    def __init__(self, records: RecordsReader, cache: PolicyCache, missing: dict[Cid, set[Cid]]) -> None:
        self._records = records
        self._cache = cache
        self._missing = missing

    def arrived(self, item: Cid) -> bool:
        """Note that a statement or node came. Returns whether some seal has nothing left to wait for."""
        ready = False
        for waiting in self._missing.values():
            if item in waiting:
                waiting.discard(item)
                ready = ready or not waiting
        return ready

    def complete(self, ns: str, policy: Policy) -> bool:
        """Whether everything ``policy``'s seal names is held and valid here."""
        if self._missing.get(policy.id):
            return False
        missing = set[Cid]()
        # Counted as they come, since a small hostile tree can name one thing 2^50 times; an invalid one ends it.
        for item in islice(self._lacking(ns, policy), limits.SEAL_MISSING):
            missing.add(item)
            if item == policy.seal:
                break
        if missing:
            self._missing[policy.id] = missing
        else:
            self._missing.pop(policy.id, None)
        return not missing

    def keep_nodes(self, records: RecordsWriter, policy: Policy, nodes: Sequence[bytes]) -> bool:
        """Keep the seal's tree, as far as it is among ``nodes``, where nothing is collected.

        Returns whether there was anything to keep. Nodes of this node's own trees do not count unless they are given:
        which of those there are depends on when heads were signed, and that must not decide.
        """
        assert policy.seal is not None
        kept = False
        given = {Cid.of(DAG_CBOR, data): data for data in nodes}
        for cid, data, known in _reachable(policy.seal, records.sealed_node, given):
            if not known:
                records.put_sealed_node(cid, data)
                kept = True
            self.arrived(cid)
        return kept

    def _lacking(self, ns: str, policy: Policy) -> Iterator[Cid]:
        """What is missing or invalid, at least one of each kind found; an invalid seal lacks its own root for ever."""
        assert policy.seal is not None
        absent: list[Cid] = []

        def read(cid: Cid) -> bytes:
            data = self._records.sealed_node(cid)
            if data is None:
                absent.append(cid)
                raise Missing("node-missing", str(cid))
            return data

        try:
            tree.check_tree(read, policy.seal)
            earlier = {item.id for item in self._earlier(policy)}
            for key, value in tree.iterate(read, policy.seal):
                for cited in parse_current(value):
                    yield from self._entry_lacks(ns, key, cited, earlier, policy.seal)
        except Missing:
            yield from absent
        except Rejected:
            yield policy.seal

    def _earlier(self, policy: Policy) -> Iterator[Policy]:
        while policy.prev is not None:
            policy = self._cache.get(self._records, policy.prev)
            yield policy

    def _entry_lacks(self, ns: str, key: bytes, cited: Cited, earlier: set[Cid], root: Cid) -> Iterator[Cid]:
        statement = cited.statement
        try:
            past = self._newest(ns, key, statement) or self._parsed(ns, key, statement)
        except Rejected:
            yield root
            return
        if past is None:
            yield statement
            return
        if past.policy not in earlier:
            yield root
            return
        policy = self._cache.get(self._records, past.policy)
        path = key.decode()
        if not _positions_valid(cited.positions, policy, path):
            yield root
            return
        endorsed = self._records.endorsements(statement)
        complete = self._records.past(ns, path, past.rev, statement)
        if not complete or any(policy.signers[at].key not in endorsed for at in cited.positions):
            yield statement

    def _newest(self, ns: str, key: bytes, statement: Cid) -> Past | None:
        """A complete statement of the name ``key`` that is its newest, as most that seals name are."""
        if not key.isascii() or b"\0" in key:
            return None
        found = next(self._records.history(ns, key.decode()), None)
        return found[1] if found is not None and found[1].id == statement else None

    def _parsed(self, ns: str, key: bytes, statement: Cid) -> Past | None:
        """Any stored statement; None where it is not held. Raises where it is not one of the name ``key``."""
        payload = self._records.payload(statement)
        if payload is None:
            return None
        item = bindings.decode_binding(payload)
        if item.name.namespace != ns or item.name.path.encode() != key:
            raise Rejected("tree-invalid", f"{statement!s} is of {item.name}")
        return Past(item.rev, item.id, item.cid, item.policy)


def own_nodes(records: RecordsReader, policy: Policy, given: Sequence[bytes]) -> tuple[list[bytes], bool]:
    """(nodes of a seal's tree that this node's own trees hold, whether the tree is whole with them and ``given``).

    None where the seal is known to be satisfied: then nothing of it is needed any more.
    """
    assert policy.seal is not None
    row = records.policy_row(policy.ns, policy.id)
    if row is not None and row.sealed:
        return [], True
    brought = {Cid.of(DAG_CBOR, data): data for data in (*given, tree.EMPTY_NODE)}
    whole = True

    def find(cid: Cid) -> bytes | None:
        nonlocal whole
        data = records.node(cid) if cid not in brought and records.has_node(cid) else None
        whole = whole and (data is not None or cid in brought)
        return data

    found = [data for _, data, own in _reachable(policy.seal, find, brought) if own]
    return found, whole


def _reachable(
    root: Cid, find: Callable[[Cid], bytes | None], given: Mapping[Cid, bytes]
) -> Iterator[tuple[Cid, bytes, bool]]:
    """(id, bytes, whether known) of every node of a tree that ``find`` knows or that is among ``given``, root first.

    What ``find`` knows was checked when it came; what is given is checked here. No node, nothing below it.
    """
    stack, seen = [root], {root}
    while stack:
        cid = stack.pop()
        data = find(cid)
        known = data is not None
        data = given.get(cid) if data is None else data
        if data is None:
            continue
        try:
            links = links_of(data) if known else _checked_links(data)
        except Rejected:
            continue
        if links is None:
            continue
        yield cid, data, known
        fresh = dict.fromkeys(link for link in links if link not in seen)
        seen.update(fresh)
        stack += fresh


def _checked_links(data: bytes) -> list[Cid]:
    node = decode_node(data)
    return [link for _, _, link in node.children] if isinstance(node, Branch) else []


def _positions_valid(positions: tuple[int, ...], policy: Policy, path: str) -> bool:
    """Whether a seal's list of positions, which is ascending, is one a complete record of this name could have."""
    if positions[-1] >= len(policy.signers):
        return False
    handle, _, tag = path.rpartition("/")
    kids = [policy.signers[at].key for at in positions]
    return policy.positions(kids, handle, tag) == positions and len(positions) >= policy.threshold_for(tag)


def _said_below(policy: Policy, together: Sequence[tuple[Policy, Record]]) -> list[set[Kid]]:
    """Who endorses each policy among ``together`` that descends from ``policy``."""
    line, found = {policy.id}, []
    for other, record in sorted(together, key=lambda item: item[0].seq):
        if other.prev in line:
            line.add(other.id)
            found.append(set(record.endorsements))
    return found


def _require_room(policy: Policy, spoken: list[set[Kid]], known: dict[Cid, Known]) -> None:
    """Policies per parent and per namespace are bounded; those their parent's recovery keys endorse on their own.

    ``spoken`` holds who endorses the policy, and who each of those that come with it below it: as where rivals are
    decided, it is the branch that recovery speaks for. Whoever holds the roots alone, retired ones perhaps, cannot use
    up the room of the recovery keys. Endorsed later, a policy changes its class; so both classes together are bounded
    too, or room could be made without end.
    """
    assert policy.prev is not None
    parent = known[policy.prev].policy
    backed = any(parent.recovery.met_by(endorsers) for endorsers in spoken)
    others = [(item.policy, _is_backed(item, known)) for item in known.values()]
    rivals = [(1, its) for other, its in others if other.prev == parent.id]
    if not _has_room(rivals, 1, backed, limits.RIVALS_PER_PARENT):
        raise Rejected("policy-rivals-full", f"{len(rivals)} children of {parent.id!s}", subject=str(parent.id))
    if not _has_room([(1, its) for _, its in others], 1, backed, limits.POLICIES_PER_NAMESPACE):
        raise Rejected("policies-full", f"{len(others)} policies of {policy.ns}", subject=policy.ns)
    sizes = [(len(other.statement.bytes), its) for other, its in others]
    if not _has_room(sizes, len(policy.statement.bytes), backed, limits.POLICIES_PER_NAMESPACE_BYTES):
        raise Rejected("policies-full", f"{sum(size for size, _ in sizes)} bytes of policies", subject=policy.ns)


def _is_backed(item: Known, known: dict[Cid, Known]) -> bool:
    """Whether the recovery threshold of its parent endorses a policy."""
    prev = item.policy.prev
    return prev is not None and known[prev].policy.recovery.met_by(item.endorsers)


def _has_room(there: list[tuple[int, bool]], more: int, backed: bool, limit: int) -> bool:
    """Whether ``more`` fits its class, of ``limit``, and both classes together, given (amount, class) of each."""
    of_class = sum(amount for amount, its in there if its == backed)
    return of_class + more <= limit and sum(amount for amount, _ in there) + more <= 2 * limit


def _id(policy: Policy | None) -> Cid | None:
    return None if policy is None else policy.id
