"""Resolving a name: a pure function of the question and of the namespace as it stands (spec section 4).

:func:`decide` applies the rules in a fixed order and stops at the first that does not hold; that one gives the
outcome. A node decides on its live state and a verifier on what proofs give it, with the same few lines.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from holo.core.binding import Standing, settle, state_of
from holo.core.chain import HeldCode
from holo.core.cid import Cid
from holo.core.consumer import ConsumerPolicy
from holo.core.decision import Decision, Outcome, Query, Step
from holo.core.keys import Kid
from holo.core.policy import Policy


@dataclass(frozen=True, slots=True)
class Candidate:
    """A complete statement of the name that counts, with the policy it cites."""

    standing: Standing
    policy: Policy

    @property
    def endorsers(self) -> tuple[Kid, ...]:
        """The kids that endorse it and may, in the order of the cited policy's signers."""
        return tuple(self.policy.signers[at].key for at in self.standing.positions)


@dataclass(frozen=True, slots=True)
class NamespaceView:
    """What a decision depends on: one namespace, and in it one name.

    ``policy`` and ``policy_seq`` are of the policy in effect, ``policies`` holds the ids of all valid policies, rivals
    included. ``current`` holds at least the one or two current statements; more do no harm. ``pending``, the number
    of statements waiting for signatures, is only looked at where nothing is current. ``exposed`` holds the keys that
    the catalog has evidence against; it is only asked about endorsers, and only where the reader's pack denies them.
    """

    genesis: Cid
    policy: Cid
    policy_seq: int
    policies: Container[Cid]
    held: tuple[HeldCode, Cid] | None
    current: tuple[Candidate, ...]
    pending: int
    exposed: Container[Kid] = frozenset()


def decide(query: Query, namespace: NamespaceView | None, consumer: ConsumerPolicy | None) -> Decision:
    """The decision about ``query``: the same bytes wherever the state is the same.

    ``namespace`` is None where it is not hosted; ``consumer`` is the pack that ``query.policy_ref`` names, if it
    names one that is held.
    """
    assert consumer is None or consumer.id == query.policy_ref
    judgement = _Judgement(query, namespace, consumer)
    outcome = judgement.run()
    chosen = judgement.chosen if outcome in ("resolved", "yanked") else None
    return Decision(
        query=query,
        genesis=namespace.genesis if namespace else None,
        policy=namespace.policy if namespace else None,
        consumer_policy=consumer.id if consumer else None,
        steps=tuple(judgement.steps),
        outcome=outcome,
        flags=("forked",) if judgement.forked else (),
        statement=chosen.standing.id if chosen else None,
        cid=chosen.standing.cid if chosen and outcome == "resolved" else None,
    )


class _Judgement:
    """The rules in order. Each part returns the outcome where a rule of it does not hold, else None."""

    def __init__(self, query: Query, namespace: NamespaceView | None, consumer: ConsumerPolicy | None) -> None:
        self.query = query
        self.namespace = namespace
        self.consumer = consumer
        self.steps: list[Step] = []
        self.forked = False
        self.chosen: Candidate | None = None

    def run(self) -> Outcome:
        if self.namespace is None:
            self._holds("namespace-hosted", False)
            return "not-found"
        return (
            self._question(self.namespace)
            or self._name(self.namespace)
            or self._demands(self.namespace)
            or self._content()
            or "resolved"
        )

    def _question(self, namespace: NamespaceView) -> Outcome | None:
        """Whether the right namespace was asked, and by a policy that may be asked for."""
        ref, consumer = self.query.policy_ref, self.consumer
        self._holds("namespace-hosted", True, namespace.genesis)
        own = ref is None or ref in namespace.policies
        if not self._holds("policy-ref-known", own or consumer is not None, ref):
            return "policy-unknown"
        if consumer is not None:
            accepted = consumer.accepts_genesis(self.query.name.namespace, namespace.genesis)
            if not self._holds("consumer-genesis", accepted, namespace.genesis):
                return "refused"
        if namespace.held is not None:
            self._holds("policy-effective", False, namespace.held[1])
            return "held"
        self._holds("policy-effective", True, namespace.policy, namespace.policy_seq)
        # The genesis pins the identity and is never out of date; any other policy has to be the one in effect.
        if ref is not None and consumer is None and ref not in (namespace.genesis, namespace.policy):
            self._holds("policy-superseded", False, ref)
            return "refused"
        return None

    def _name(self, namespace: NamespaceView) -> Outcome | None:
        """Whether the name has one answer, and whether it was signed as it must be."""
        current = settle(candidate.standing for candidate in namespace.current)
        if not current:
            self._holds("name-bound", False, None, namespace.pending)
            return "pending" if namespace.pending else "not-found"
        first = current[0]
        self.chosen = next(candidate for candidate in namespace.current if candidate.standing == first)
        self._holds("name-bound", True, first.id, first.rev)
        state = state_of(current)
        if not self._holds("name-settled", state != "held", first.id, len(current)):
            return "held"
        self.forked = state == "forked"
        policy, signers = self.chosen.policy, len(first.positions)
        if not self._holds("threshold-met", signers >= policy.threshold_for(self.query.name.tag), policy.id, signers):
            return "refused"
        return None

    def _demands(self, namespace: NamespaceView) -> Outcome | None:
        """Whether the statement is signed as the reader demands."""
        consumer, chosen = self.consumer, self.chosen
        if consumer is None or chosen is None:
            return None
        if not self._holds("consumer-forks", consumer.allow_forks or not self.forked, chosen.standing.id):
            return "refused"
        counted = consumer.counted(chosen.endorsers, namespace.exposed)
        if not self._holds("consumer-signers", counted >= consumer.min_signers, chosen.standing.id, counted):
            return "refused"
        return None

    def _content(self) -> Outcome | None:
        """Whether there is content, and whether it is the content that may be given."""
        cid = self.chosen.standing.cid if self.chosen else None
        if not self._holds("content-bound", cid is not None, cid) or cid is None:
            return "yanked"
        pin = self.query.name.cid
        if pin is not None and not self._holds("pin-matched", cid == pin, pin):
            return "refused"
        if self.consumer is not None and not self._holds("consumer-content", self.consumer.accepts_content(cid), cid):
            return "refused"
        return None

    def _holds(self, code: str, ok: bool, subject: Cid | None = None, n: int | None = None) -> bool:
        self.steps.append(Step(code, subject, ok, n))
        return ok
