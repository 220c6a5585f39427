"""Namespace policies: who may write, and who may change that (spec section 2).

A policy with seq 0 is a namespace's genesis; its id is the namespace's identity. This module parses one policy and
judges one step from parent to child. Which of several branches holds is :mod:`holo.core.chain`'s question.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from holo.core import limits, names
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Record, Statement, open_record, open_statement, proven_by
from holo.core.errors import Rejected
from holo.core.fields import Fields
from holo.core.keys import Kid, did_of

TYPE: Final = "policy"

_FIELDS: Final = (
    "v", "type", "ns", "seq", "prev", "roots", "recovery", "signers", "thresholds", "oidc", "issuers", "ceilings",
    "seal",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys of which ``threshold`` must agree."""

    keys: tuple[Kid, ...]
    threshold: int

    def met_by(self, endorsers: Collection[Kid]) -> bool:
        """Whether enough of the keys are among ``endorsers``."""
        return sum(key in endorsers for key in self.keys) >= self.threshold


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that may endorse bindings whose handle and tag each match one of its globs."""

    key: Kid
    handles: tuple[str, ...]
    tags: tuple[str, ...]

    def allows(self, handle: str, tag: str) -> bool:
        """Whether this entry covers ``handle:tag``."""
        return _any_matches(self.handles, handle) and _any_matches(self.tags, tag)


@dataclass(frozen=True, slots=True)
class Threshold:
    """How many signers a binding needs where one of ``tags`` matches its tag."""

    tags: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy of a namespace, parsed and valid in itself. ``id`` is its statement's CID."""

    id: Cid
    ns: str
    seq: int
    prev: Cid | None
    roots: KeySet
    recovery: KeySet
    signers: tuple[Signer, ...]
    thresholds: tuple[Threshold, ...]
    seal: Cid | None
    statement: Statement
    _positions: dict[Kid, int] = field(compare=False, repr=False)

    def threshold_for(self, tag: str) -> int:
        """How many endorsements a binding of ``tag`` needs: the highest that matches, or 1."""
        return max((entry.count for entry in self.thresholds if _any_matches(entry.tags, tag)), default=1)

    def position_of(self, kid: Kid) -> int | None:
        """Where a key stands in ``signers``."""
        return self._positions.get(kid)

    def positions(self, endorsers: Iterable[Kid], handle: str, tag: str) -> tuple[int, ...]:
        """Ascending positions in ``signers`` of those endorsers that may write ``handle:tag``."""
        found = (self._positions.get(kid) for kid in endorsers)
        return tuple(sorted(at for at in found if at is not None and self.signers[at].allows(handle, tag)))


def open_policy(envelopes: list[bytes]) -> tuple[Policy, Record]:
    """The policy in these COSE_Sign1 envelopes, signatures verified. Whether they suffice is judged elsewhere."""
    record = open_record(envelopes, TYPE, limits.POLICY_BYTES)
    with proven_by(record):
        return parse_policy(record.statement), record


def decode_policy(payload: bytes) -> Policy:
    """The policy these payload bytes are."""
    return parse_policy(open_statement(payload, TYPE, limits.POLICY_BYTES))


def parse_policy(statement: Statement) -> Policy:
    """The policy a statement says. Raises ``field-*``, ``name-invalid``, ``glob-invalid`` or ``policy-invalid``."""
    fields = Fields(statement.value, "payload", _FIELDS)
    ns = fields.text("ns", limits.NAMESPACE_BYTES)
    names.check_namespace(ns)
    seq = fields.integer("seq")
    prev = fields.link_or_null("prev")
    seal = fields.link_or_null("seal")
    if seal is not None and seal.codec != DAG_CBOR:
        raise fields.fail("seal", "is not a link to a tree")
    if (seq == 0) != (prev is None):
        raise Rejected("policy-invalid", "seq is 0 exactly where prev is null", at="payload.prev")
    if seq == 0 and seal is not None:
        raise Rejected("policy-invalid", "a genesis has nothing to seal", at="payload.seal")
    roots = _key_set(fields.mapping("roots"), "payload.roots")
    recovery = _key_set(fields.mapping("recovery"), "payload.recovery")
    if set(roots.keys) & set(recovery.keys):
        raise Rejected("policy-invalid", "a root key is also a recovery key", at="payload.recovery.keys")
    signers = tuple(_signer(item, at) for item, at in _each(fields, "signers", limits.SIGNERS))
    positions = {signer.key: index for index, signer in enumerate(signers)}
    if len(positions) != len(signers):
        raise Rejected("policy-invalid", "a key has two signers entries", at="payload.signers")
    thresholds = tuple(_threshold(item, at) for item, at in _each(fields, "thresholds", limits.THRESHOLDS))
    for item, at in _each(fields, "oidc", limits.SIGNERS):
        _check_oidc(item, at)
    fields.keys("issuers", limits.SIGNERS)
    _check_ceilings(fields.mapping("ceilings"))
    return Policy(statement.id, ns, seq, prev, roots, recovery, signers, thresholds, seal, statement, positions)


def check_genesis(policy: Policy, endorsers: Collection[Kid]) -> None:
    """Raises ``policy-incomplete`` unless a seq 0 policy has its own roots' threshold."""
    _require(policy.roots, endorsers, "its roots")


def check_child(parent: Policy, child: Policy, endorsers: Collection[Kid]) -> None:
    """Raises unless ``child``, with these endorsers, is a valid and complete successor of ``parent``.

    ``policy-seq-invalid``, ``policy-foreign``, ``policy-seal-required`` or ``policy-incomplete``.
    """
    if child.prev != parent.id or child.seq != parent.seq + 1:
        raise Rejected("policy-seq-invalid", f"seq {child.seq} after a parent of seq {parent.seq}", at="payload.seq")
    if child.ns != parent.ns:
        raise Rejected("policy-foreign", f"{child.ns} where the parent's is {parent.ns}", at="payload.ns")
    if child.seal is None:
        _check_unsealed(parent, child)
    _require(parent.roots, endorsers, "its parent's roots")
    _require(child.roots, endorsers, "its own roots")
    if child.roots != parent.roots or child.recovery != parent.recovery:
        _require(parent.recovery, endorsers, "its parent's recovery keys, since it changes roots or recovery")


def counted_keys(policy: Policy, ancestors: Iterable[Policy]) -> set[Kid]:
    """The kids whose endorsement of ``policy`` means anything: own roots, parent's roots, ancestors' recovery keys.

    ``ancestors`` are given nearest first; of all these keys the first 96 different ones count, so that what a policy
    needs always fits and a long chain cannot make the list of endorsers grow without bound. Endorsements by others
    are dropped.
    """
    counted = dict.fromkeys(policy.roots.keys)
    for ancestor in ancestors:
        if ancestor.id == policy.prev:
            counted.update(dict.fromkeys(ancestor.roots.keys))
        if len(counted) >= limits.POLICY_ENDORSERS:
            break
        counted.update(dict.fromkeys(ancestor.recovery.keys))
    return set(list(counted)[: limits.POLICY_ENDORSERS])


def _check_unsealed(parent: Policy, child: Policy) -> None:
    if child.signers[: len(parent.signers)] != parent.signers:
        raise Rejected("policy-seal-required", "signers are not the parent's with more appended", at="payload.signers")
    for index, entry in enumerate(child.thresholds):
        for tag in entry.tags:
            # One glob of the parent must cover this one: a union of narrower globs does not count, so that
            # every implementation decides the same without set algebra on languages.
            covered = entry.count == 1 or any(
                old.count >= entry.count and any(names.glob_covers(glob, tag) for glob in old.tags)
                for old in parent.thresholds
            )
            if not covered:
                raise Rejected(
                    "policy-seal-required", f"{tag} needs {entry.count} now", at=f"payload.thresholds[{index}]"
                )


def _require(keys: KeySet, endorsers: Collection[Kid], whose: str) -> None:
    if not keys.met_by(endorsers):
        absent = ", ".join(did_of(key) for key in keys.keys if key not in endorsers)
        have = sum(key in endorsers for key in keys.keys)
        raise Rejected("policy-incomplete", f"has {have} of {keys.threshold} of {whose}; could come from {absent}")


def _key_set(value: Any, at: str) -> KeySet:
    fields = Fields(value, at, ("keys", "threshold"))
    keys = fields.keys("keys", limits.ROOT_KEYS, least=1)
    return KeySet(keys, fields.integer("threshold", 1, len(keys)))


def _signer(value: Any, at: str) -> Signer:
    fields = Fields(value, at, ("key", "handles", "tags"))
    return Signer(fields.key("key"), _globs(fields, "handles"), _globs(fields, "tags"))


def _threshold(value: Any, at: str) -> Threshold:
    fields = Fields(value, at, ("tags", "count"))
    # More than one record can carry would be more than anybody can ever meet.
    return Threshold(_globs(fields, "tags"), fields.integer("count", 1, limits.ENDORSEMENTS_PER_RECORD))


def _check_oidc(value: Any, at: str) -> None:
    fields = Fields(value, at, ("issuer", "audience", "key", "claims"))
    fields.text("issuer", limits.OIDC_TEXT_BYTES)
    fields.text("audience", limits.OIDC_TEXT_BYTES)
    fields.key("key")
    claims = fields.mapping("claims")
    if len(claims) > limits.OIDC_CLAIMS or not all(
        isinstance(v, str) and len(k.encode()) + len(v.encode()) <= limits.OIDC_CLAIM_BYTES for k, v in claims.items()
    ):
        raise fields.fail("claims", f"is not a map of at most {limits.OIDC_CLAIMS} claims to texts within bounds")


def _check_ceilings(value: Any) -> None:
    ceilings = Fields(value, "payload.ceilings", (), value.keys())
    for name in value:
        ceilings.integer(name)


def _globs(fields: Fields, name: str) -> tuple[str, ...]:
    globs = fields.texts(name, limits.GLOBS_PER_SIGNER, limits.GLOB_BYTES, least=1)
    for glob in globs:
        names.check_glob(glob)
    return globs


def _each(fields: Fields, name: str, limit: int) -> list[tuple[Any, str]]:
    return [(item, f"{fields.at(name)}[{index}]") for index, item in enumerate(fields.items(name, limit))]


def _any_matches(globs: tuple[str, ...], text: str) -> bool:
    return any(names.glob_matches(glob, text) for glob in globs)
