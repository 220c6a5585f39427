"""The policy chain: which branch holds, how far it is in effect, and whether the namespace is held (spec section 2).

Everything here is a function of the set of valid policies with their endorsers, and of which seals are satisfied.
Order of arrival cannot matter because it is not an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from holo.core.cid import Cid
from holo.core.keys import Kid
from holo.core.policy import Policy

HeldCode = Literal["rivals", "seal"]


@dataclass(frozen=True, slots=True)
class Known:
    """A valid policy and the kids known to endorse it (counted ones only)."""

    policy: Policy
    endorsers: frozenset[Kid]


@dataclass(frozen=True, slots=True)
class Chain:
    """The decided branch, genesis first.

    ``effective`` is the index of the policy in effect; later ones are known but wait. ``held`` is None, or
    ("rivals", the parent whose children rival), or ("seal", the policy whose seal is incomplete).
    """

    policies: tuple[Policy, ...]
    effective: int
    held: tuple[HeldCode, Cid] | None

    @property
    def policy(self) -> Policy:
        """The policy in effect."""
        return self.policies[self.effective]

    @property
    def sealing(self) -> Policy | None:
        """The policy in effect whose seal is the latest, or None where nothing was ever sealed."""
        return latest_seal(self.policies[: self.effective + 1])

    def index_of(self, policy: Cid) -> int | None:
        """The index of a policy among those in effect, or None."""
        for index, item in enumerate(self.policies[: self.effective + 1]):
            if item.id == policy:
                return index
        return None


def latest_seal(policies: Iterable[Policy]) -> Policy | None:
    """The last of ``policies`` (genesis first) that carries a seal."""
    found = None
    for policy in policies:
        if policy.seal is not None:
            found = policy
    return found


def ancestors(policy: Policy, known: Mapping[Cid, Known]) -> list[Policy]:
    """All ancestors of ``policy``, nearest first. Every parent is known: policies are admitted after their parents."""
    found = []
    while policy.prev is not None:
        policy = known[policy.prev].policy
        found.append(policy)
    return found


def decide_chain(genesis: Cid, known: Mapping[Cid, Known], satisfied: Callable[[Policy], bool]) -> Chain:
    """The chain of a namespace, from all its valid policies.

    ``satisfied(policy)`` says whether everything the policy's seal names is held here and valid. It is asked only of
    sealing policies of the decided branch, latest first.
    """
    children: dict[Cid, list[Cid]] = {}
    for cid, item in known.items():
        if item.policy.prev is not None:
            children.setdefault(item.policy.prev, []).append(cid)
    ballots = Ballots(known)
    policies = [known[genesis].policy]
    rivals_at: Cid | None = None
    while (below := children.get(policies[-1].id)) is not None:
        winner = below[0] if len(below) == 1 else _winner(policies[-1], below, ballots, children)
        if winner is None:
            rivals_at = policies[-1].id
            break
        policies.append(known[winner].policy)
    effective, unsatisfied = _effective(policies, satisfied)
    held: tuple[HeldCode, Cid] | None = None
    if rivals_at is not None:
        held = ("rivals", rivals_at)
    elif unsatisfied is not None:
        held = ("seal", unsatisfied)
    return Chain(tuple(policies), effective, held)


def _effective(policies: list[Policy], satisfied: Callable[[Policy], bool]) -> tuple[int, Cid | None]:
    """(index of the policy in effect, the latest seal that is not satisfied): each seal gates what follows it."""
    end = len(policies)
    unsatisfied: Cid | None = None
    while (sealing := latest_seal(policies[:end])) is not None and not satisfied(sealing):
        unsatisfied = unsatisfied or sealing.id
        end = sealing.seq  # seq is the index in its own chain
    return end - 1, unsatisfied


class Ballots:
    """Who endorses what, as bits of a number: each fork asks every policy that follows it, and forks may be many."""

    def __init__(self, known: Mapping[Cid, Known]) -> None:
        self._known = known
        self._bits: dict[Kid, int] = {}
        self._endorsers: dict[Cid, tuple[int, int]] = {}

    def mask(self, kids: Iterable[Kid]) -> int:
        """One bit for each of ``kids``."""
        found = 0
        for kid in kids:
            found |= self._bits.setdefault(kid, 1 << len(self._bits))
        return found

    def of(self, policy: Cid) -> tuple[int, int]:
        """(seq, mask of its endorsers) of a known policy."""
        found = self._endorsers.get(policy)
        if found is None:
            item = self._known[policy]
            found = self._endorsers[policy] = item.policy.seq, self.mask(item.endorsers)
        return found


def _winner(parent: Policy, rivals: list[Cid], ballots: Ballots, children: Mapping[Cid, list[Cid]]) -> Cid | None:
    """The one rival whose branch holds the highest seq endorsed by the parent's recovery threshold, or None."""
    best: list[Cid] = []
    best_seq = -1
    for rival in rivals:
        seq = _endorsed_seq(parent, rival, ballots, children)
        if seq > best_seq:
            best, best_seq = [rival], seq
        elif seq == best_seq:
            best.append(rival)
    return best[0] if best_seq >= 0 and len(best) == 1 else None


def _endorsed_seq(parent: Policy, branch: Cid, ballots: Ballots, children: Mapping[Cid, list[Cid]]) -> int:
    """The highest seq in the branch that the parent's recovery threshold endorses, or -1."""
    recovery, threshold = ballots.mask(parent.recovery.keys), parent.recovery.threshold
    highest = -1
    stack = [branch]
    while stack:
        cid = stack.pop()
        stack += children.get(cid, ())
        seq, endorsers = ballots.of(cid)
        if seq > highest and (endorsers & recovery).bit_count() >= threshold:
            highest = seq
    return highest
