"""Bindings in the store: what counts, what is current, what is pending (spec section 2).

Owns the ``current``, ``history`` and ``boxes`` tables. A name's row in ``current`` always equals
:func:`holo.core.binding.settle` of every stored statement that counts; it is kept by settling what was there with what
arrives, and made anew from history where the chain in effect changed in a way that alters what counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from holo.core import binding as rules
from holo.core import tree
from holo.core.binding import Binding, Partial, Standing, settle
from holo.core.cid import Cid
from holo.core.envelope import Record
from holo.core.errors import Rejected
from holo.core.keys import Kid
from holo.core.limits import PENDING_PER_SIGNER
from holo.core.policy import Policy
from holo.core.state import Cited, shown_pending
from holo.store.layout import ANY_PATH, Boxed, NamespaceRow, Past
from holo.store.policies import PolicyCache
from holo.store.records import RecordsReader
from holo.store.records_writer import RecordsWriter
from holo.store.wording import worded

NotCounting = Literal["sealed-out", "waiting"]
Positions: TypeAlias = Mapping[Cid, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Change:
    """What admitting a complete statement did.

    ``counts``: None, "sealed-out" or "waiting" where it does not count. ``endorsers`` are all that are held of it.
    """

    new: bool
    counts: NotCounting | None
    endorsers: Collection[Kid]
    after: tuple[Standing, ...]


def admit_complete(
    records: RecordsWriter,
    cache: PolicyCache,
    row: NamespaceRow,
    binding: Binding,
    positions: tuple[int, ...],
    record: Record,
    had: Mapping[Kid, bytes] | None,
    before: tuple[Standing, ...],
) -> Change:
    """Store a complete statement or its further endorsements, and settle its name again.

    ``had`` are the endorsements that are held of it, None where it is not; ``before`` is what is current.
    """
    ns, path = row.ns, binding.name.path
    policy = cache.get(records, binding.policy)
    kids = [policy.signers[at].key for at in positions]
    new = [kid for kid in kids if kid not in had] if had else kids
    past = Past(binding.rev, binding.id, binding.cid, binding.policy)
    if had is None:
        records.put_payload(binding.id, binding.statement.bytes)
        records.put_past(ns, path, past)
    for kid in new:
        records.put_endorsement(binding.id, kid, record.endorsements[kid])
    endorsers = [*had, *new] if had else new
    if had:
        positions = policy.positions(endorsers, binding.name.handle, binding.name.tag)
    found = _standing_of(records, cache, row, path, past, positions)
    if isinstance(found, str):
        return Change(bool(new), found, endorsers, before)
    after = settle([found, *(item for item in before if item.id != binding.id)])
    if after != before:
        put_current(records, cache, row, path, after)
        records.mark_dirty(ns, path)
    return Change(bool(new), None, endorsers, after)


def admit_partial(
    records: RecordsWriter,
    cache: PolicyCache,
    row: NamespaceRow,
    binding: Binding,
    positions: tuple[int, ...],
    record: Record,
) -> bool:
    """Put a statement below its threshold into its endorsers' mailboxes. Returns whether anything was new.

    Raises ``pending-full`` where no endorser has room.
    """
    ns, path = row.ns, binding.name.path
    policy = cache.get(records, binding.policy)
    new = kept = False
    for at in positions:
        kid = policy.signers[at].key
        mine = {item.id: item for item in records.box(ns, path, binding.policy, kid)}
        if binding.id in mine:
            kept = True
            continue
        item = Boxed(binding.policy, kid, binding.rev, binding.id, record.endorsements[kid])
        keep = {p.id for p in rules.mailbox(_partial(box) for box in (*mine.values(), item))}
        if binding.id not in keep:
            continue
        new = kept = True
        records.put_box(ns, path, item)
        for evicted in mine.keys() - keep:
            records.delete_box(ns, path, mine[evicted])
            _drop_payload(records, policy, path, mine[evicted])
    if not kept:
        raise Rejected(
            "pending-full", f"{PENDING_PER_SIGNER} with a higher rev or a smaller id", subject=str(binding.name)
        )
    if new:
        records.put_payload(binding.id, binding.statement.bytes)
        records.mark_dirty(ns, path)
    return new


def settle_again(
    records: RecordsWriter,
    cache: PolicyCache,
    row: NamespaceRow,
    entered: Sequence[Cid],
    left: Sequence[Cid],
    *,
    everything: bool,
) -> None:
    """Make names anew from their history, under the chain now in effect: those that wait for a policy that entered.

    Every name where ``everything`` that counts may have changed, as by a seal or another branch. Who cites a policy
    that left then is not looked up: whatever name it is, it waits.
    """
    paths: set[str] = set()
    for policy in entered:
        for path in list(records.waiting(row.ns, policy)):
            records.delete_waiting(row.ns, policy, path)
            paths.add(path)
    for policy in left:
        records.put_waiting(row.ns, policy, ANY_PATH)
    if everything or ANY_PATH in paths:
        sealed = _Sealed(records, cache, row)
        for path in list(records.paths(row.ns)):
            _settle_name(records, cache, row, path, sealed.of(path))
    else:
        for path in sorted(paths):
            _settle_name(records, cache, row, path)


class _Sealed:
    """What the latest seal in effect keeps, asked for one name after another in order: its tree is read once."""

    def __init__(self, records: RecordsReader, cache: PolicyCache, row: NamespaceRow) -> None:
        seal = None if row.sealing is None else cache.get(records, row.sealing).seal
        self._entries = iter(()) if seal is None else tree.iterate(records.node, seal)
        self._next = next(self._entries, None)

    def of(self, path: str) -> Positions:
        """Statement → positions of the endorsers that the seal lists, of this name."""
        key = path.encode()
        while self._next is not None and self._next[0] < key:
            self._next = next(self._entries, None)
        return _positions_in(self._next[1]) if self._next is not None and self._next[0] == key else {}


def _settle_name(
    records: RecordsWriter, cache: PolicyCache, row: NamespaceRow, path: str, sealed: Positions | None = None
) -> None:
    before = records.current(row.ns, path)
    after = settle(standings_that_count(records, cache, row, path, sealed))
    if after != before:
        put_current(records, cache, row, path, after)
    if after != before or next(records.boxes(row.ns, path), None) is not None:
        records.mark_dirty(row.ns, path)


def put_current(
    records: RecordsWriter, cache: PolicyCache, row: NamespaceRow, path: str, standings: tuple[Standing, ...]
) -> None:
    """Make ``standings`` what is current of a name, with what is worded of them."""
    records.put_current(row.ns, path, standings, wording_of(records, cache, row, path, standings))


def wording_of(
    records: RecordsReader, cache: PolicyCache, row: NamespaceRow, path: str, standings: tuple[Standing, ...]
) -> bytes:
    """What is worded of a name's standings, see :mod:`holo.store.wording`; empty where it has none."""
    if not standings:
        return b""
    return worded(row.ns, path, row.genesis, cache.get(records, standings[0].policy), standings)


def boxed(records: RecordsReader, policy: Policy, path: str, rev: int, statement: Cid) -> dict[Kid, bytes]:
    """kid → signature of the signers in whose mailboxes a partial statement is that cites ``policy``."""
    kids = (signer.key for signer in policy.signers)
    return records.boxed(policy.ns, path, policy.id, rev, statement, kids)


def pending(
    records: RecordsReader, cache: PolicyCache, row: NamespaceRow, path: str
) -> list[tuple[Cid, int, dict[int, bytes]]]:
    """What a name's mailbox shows: (statement, rev, position → signature), by (rev descending, id).

    Only under policies in effect from the latest seal on, and only revs above the current one: lower ones can never
    become current, and leaving them out makes this a function of the set whatever was completed in between. As many
    as one tree value has room for, whoever else endorses them.
    """
    current = records.current(row.ns, path)
    floor = current[0].rev if current else 0
    found: dict[Cid, tuple[int, Policy, dict[int, bytes]]] = {}
    policies: dict[Cid, Policy | None] = {}
    for item in records.boxes(row.ns, path):
        if item.rev <= floor:
            continue
        if item.policy not in policies:
            policies[item.policy] = cache.get(records, item.policy) if _may_count(records, row, item.policy) else None
        policy = policies[item.policy]
        if policy is None:
            continue
        position = policy.position_of(item.kid)
        assert position is not None, "only listed signers have a mailbox"
        found.setdefault(item.id, (item.rev, policy, {}))[2][position] = item.signature
    ordered = sorted(found, key=lambda cid: (-found[cid][0], cid))
    waiting = [(Cited(cid, tuple(sorted(found[cid][2]))), len(found[cid][1].signers)) for cid in ordered]
    shown = [cited.statement for cited in shown_pending(waiting)]
    return [(cid, found[cid][0], found[cid][2]) for cid in shown]


def not_counting(records: RecordsReader, cache: PolicyCache, row: NamespaceRow, binding: Binding) -> NotCounting | None:
    """Why a stored complete statement does not count, or None where it does."""
    past = Past(binding.rev, binding.id, binding.cid, binding.policy)
    found = _standing_of(records, cache, row, binding.name.path, past)
    return found if isinstance(found, str) else None


def standings_that_count(
    records: RecordsReader, cache: PolicyCache, row: NamespaceRow, path: str, sealed: Positions | None = None
) -> Iterator[Standing]:
    """The standings of the highest rev that counts. ``sealed`` is what the latest seal keeps, where it is known."""
    top: int | None = None
    for _, past in records.history(row.ns, path):
        if top is not None and past.rev < top:
            return
        found = _standing_of(records, cache, row, path, past, sealed=sealed)
        if isinstance(found, Standing):
            top = past.rev
            yield found


def _standing_of(
    records: RecordsReader,
    cache: PolicyCache,
    row: NamespaceRow,
    path: str,
    past: Past,
    positions: tuple[int, ...] | None = None,
    sealed: Positions | None = None,
) -> Standing | NotCounting:
    """The standing of a stored complete statement, or why it does not count: "waiting" or "sealed-out".

    ``positions`` are those of all endorsers that are held of it, ``sealed`` what the latest seal keeps of its name,
    where the caller knows them.
    """
    policy_row = records.policy_row(row.ns, past.policy)
    assert policy_row is not None
    if not policy_row.in_effect:
        return "waiting"
    policy = cache.get(records, past.policy)
    if row.sealing is not None and policy_row.seq < row.sealing_seq:
        if sealed is None:
            sealed = sealed_positions(records, cache, row, path)
        if past.id not in sealed:
            return "sealed-out"
        positions = sealed[past.id]
    elif positions is None:
        handle, _, tag = path.rpartition("/")
        positions = policy.positions(records.endorsements(past.id), handle, tag)
    return Standing(past.id, past.rev, past.cid, past.policy, positions, policy.signers[positions[0]].key)


def sealed_positions(records: RecordsReader, cache: PolicyCache, row: NamespaceRow, path: str) -> Positions:
    """What the latest seal in effect keeps of a name: statement → positions of the endorsers it lists."""
    if row.sealing is None:
        return {}
    seal = cache.get(records, row.sealing).seal
    assert seal is not None
    return _positions_in(tree.get(records.node, seal, path.encode()) or [])


def _positions_in(value: tree.Value) -> Positions:
    return {entry[0]: tuple(entry[1]) for entry in value}


def _may_count(records: RecordsReader, row: NamespaceRow, policy: Cid) -> bool:
    found = records.policy_row(row.ns, policy)
    return found is not None and found.in_effect and found.seq >= row.sealing_seq


def _partial(box: Boxed) -> Partial:
    return Partial(box.id, box.rev)


def _drop_payload(records: RecordsWriter, policy: Policy, path: str, gone: Boxed) -> None:
    """Forget the payload of an evicted statement that no other mailbox holds and that never became complete."""
    if not records.past(policy.ns, path, gone.rev, gone.id) and not boxed(records, policy, path, gone.rev, gone.id):
        records.delete_payload(gone.id)
