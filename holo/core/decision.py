"""A decision: the answer to one resolve, with every rule that was applied (spec section 4).

Codes, ids and integers only, so that two peers with the same state give the same bytes. Sentences for people live
beside the codes in :data:`SENTENCES`, never in the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from holo.core import limits, names
from holo.core.cid import Cid
from holo.core.envelope import Statement, make_statement, open_statement, require_type
from holo.core.fields import Fields
from holo.core.names import Name

TYPE: Final = "decision"

Outcome = Literal["resolved", "yanked", "not-found", "pending", "held", "refused", "policy-unknown"]
OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)
FLAGS: Final = ("forked",)

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "namespace-hosted": (
        "the namespace is hosted here, as the one that began with {subject}",
        "the namespace is not hosted here",
    ),
    "policy-ref-known": (
        "no policy was asked for, or one that is known: {subject}",
        "the policy that was asked for is not known here: {subject}",
    ),
    "consumer-genesis": (
        "the reader's policy accepts the namespace that began with {subject}",
        "the reader's policy pins the namespace to another beginning than {subject}",
    ),
    "policy-effective": (
        "policy {n} is in effect: {subject}",
        "the namespace is held at {subject}: its policies rival, or what a seal names is not here yet",
    ),
    "policy-superseded": (
        "the policy that was asked for is in effect: {subject}",
        "the policy that was asked for is not the one in effect: {subject}",
    ),
    "name-bound": (
        "revision {n} of the name is {subject}",
        "the name has no complete statement; waiting for more signatures: {n}",
    ),
    "name-settled": (
        "of {n} at that revision one leads: {subject}",
        "one signer signed {n} different statements at that revision, so that none leads",
    ),
    "threshold-met": (
        "{n} of the signers that {subject} allows endorsed the statement, and so many are needed",
        "{n} of the signers that {subject} allows endorsed the statement, and more are needed",
    ),
    "consumer-forks": (
        "the reader's policy takes the name as it is: not forked, or forks allowed",
        "the reader's policy takes no forked name",
    ),
    "consumer-signers": (
        "{n} signers the reader counts on endorsed the statement, and so many are demanded",
        "{n} signers the reader counts on endorsed the statement, and more are demanded",
    ),
    "content-bound": (
        "the statement names the content {subject}",
        "the statement is a tombstone: the name was yanked",
    ),
    "pin-matched": (
        "the content is the one that was asked for: {subject}",
        "the content is not the one that was asked for, {subject}",
    ),
    "consumer-content": (
        "the reader's policy accepts the content {subject}",
        "the reader's policy does not accept the content {subject}",
    ),
}
"""step code: (what it says where the rule holds, what it says where it does not), in the order rules are applied."""


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked: a name, maybe with a pin, and maybe the id of a policy."""

    name: Name
    policy_ref: Cid | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One rule as applied: its code, what it was applied to, whether it holds, and a number where it has one."""

    code: str
    subject: Cid | None
    ok: bool
    n: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer. ``statement`` is set where the outcome is resolved or yanked, ``cid`` only where it is resolved.

    ``steps`` end with the first rule that does not hold. ``policy`` is the one in effect, ``consumer_policy`` the
    reader's pack where the query named one.
    """

    query: Query
    genesis: Cid | None
    policy: Cid | None
    consumer_policy: Cid | None
    steps: tuple[Step, ...]
    outcome: Outcome
    flags: tuple[str, ...]
    statement: Cid | None
    cid: Cid | None

    def as_statement(self) -> Statement:
        """The decision as a payload: its value, its bytes and its id."""
        name = self.query.name
        return make_statement(
            {
                "v": 1,
                "type": TYPE,
                "query": {
                    "ns": name.namespace,
                    "handle": name.handle,
                    "tag": name.tag,
                    "cid": name.cid,
                    "policy_ref": self.query.policy_ref,
                },
                "genesis": self.genesis,
                "policy": self.policy,
                "consumer_policy": self.consumer_policy,
                "steps": [_step_value(step) for step in self.steps],
                "outcome": self.outcome,
                "flags": list(self.flags),
                "statement": self.statement,
                "cid": self.cid,
            }
        )


def explain(step: Step) -> str:
    """One sentence about a step, for people."""
    return SENTENCES[step.code][0 if step.ok else 1].format(
        subject=step.subject or "none", n="none" if step.n is None else step.n
    )


def decode_decision(payload: bytes) -> Decision:
    """The decision these bytes are. Nothing says that it is right: that takes :mod:`holo.core.bundle`."""
    return parse_decision(open_statement(payload, TYPE, limits.DECISION_BYTES).value, "payload")


def parse_decision(value: Any, at: str) -> Decision:
    """The decision a decoded map is; ``at`` is its place.

    Raises ``type-mismatch``, ``version-unsupported``, ``field-*`` or ``name-invalid``.
    """
    fields = Fields(value, at, _FIELDS)
    require_type(value, TYPE, at)
    query = Fields(fields.mapping("query"), fields.at("query"), ("ns", "handle", "tag", "cid", "policy_ref"))
    name = Name(
        query.text("ns", limits.NAMESPACE_BYTES),
        query.text("handle", limits.HANDLE_AND_TAG_BYTES),
        query.text("tag", limits.TAG_BYTES),
        query.link_or_null("cid"),
    )
    names.check_name(name.namespace, name.handle, name.tag)
    flags = fields.texts("flags", len(FLAGS), 64)
    if list(flags) != [flag for flag in FLAGS if flag in flags]:
        raise fields.fail("flags", f"is not some of {', '.join(FLAGS)}, in that order")
    outcome: Any = fields.choice("outcome", OUTCOMES)
    return Decision(
        query=Query(name, query.link_or_null("policy_ref")),
        genesis=fields.link_or_null("genesis"),
        policy=fields.link_or_null("policy"),
        consumer_policy=fields.link_or_null("consumer_policy"),
        steps=tuple(
            _step(item, f"{fields.at('steps')}[{index}]")
            for index, item in enumerate(fields.items("steps", len(SENTENCES), least=1))
        ),
        outcome=outcome,
        flags=flags,
        statement=fields.link_or_null("statement"),
        cid=fields.link_or_null("cid"),
    )


_FIELDS: Final = (
    "v", "type", "query", "genesis", "policy", "consumer_policy", "steps", "outcome", "flags", "statement", "cid",
)  # fmt: skip


def _step_value(step: Step) -> dict[str, Any]:
    value: dict[str, Any] = {"code": step.code, "subject": step.subject, "ok": step.ok}
    if step.n is not None:
        value["n"] = step.n
    return value


def _step(value: Any, at: str) -> Step:
    fields = Fields(value, at, ("code", "subject", "ok"), ("n",))
    return Step(
        code=fields.choice("code", tuple(SENTENCES)),
        subject=fields.link_or_null("subject"),
        ok=fields.boolean("ok"),
        n=fields.integer("n") if fields.has("n") else None,
    )
