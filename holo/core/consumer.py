"""Consumer policy packs: what a reader demands beyond the namespace's own rules (spec section 2).

A pack is a plain statement that its readers choose by its id, so nobody signs it. Every field but one is required; an
empty list restricts nothing. ``deny_exposed``, which came later, is there only where it is true: so a pack without it
keeps its id and what it means. Denied signers are not counted rather than fatal: otherwise one endorsement by a signer
whom some reader distrusts would take the name away from that reader. So more endorsements never turn a yes into a no.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from typing import Final

from holo.core import limits, names
from holo.core.cid import Cid
from holo.core.envelope import Statement, make_statement, open_statement
from holo.core.fields import Fields
from holo.core.keys import Kid

TYPE: Final = "consumer-policy"

_FIELDS: Final = (
    "v", "type", "min_signers", "allow_cids", "deny_cids", "allow_signers", "deny_signers", "allow_forks", "genesis",
    "agreeing",
)  # fmt: skip
_OPTIONAL: Final = ("deny_exposed",)


@dataclass(frozen=True, slots=True)
class ConsumerPolicy:
    """One parsed pack. ``id`` is what a ``policyRef`` names.

    ``min_signers`` is how many signers the reader counts on must have endorsed a statement, at least 1. ``genesis``
    pins namespaces to their identity. ``agreeing`` is how many nodes must give the same decision, at least 1; that
    one is judged over receipts by whoever verifies them, never by a node. With ``deny_exposed`` keys that signed two
    truths count for nothing: neither as signers nor as nodes.
    """

    id: Cid
    min_signers: int
    allow_cids: frozenset[Cid]
    deny_cids: frozenset[Cid]
    allow_signers: frozenset[Kid]
    deny_signers: frozenset[Kid]
    allow_forks: bool
    genesis: Mapping[str, Cid]
    agreeing: int
    deny_exposed: bool
    statement: Statement

    def accepts_genesis(self, ns: str, genesis: Cid) -> bool:
        """Whether the reader lets ``ns`` be the namespace that began with ``genesis``."""
        return self.genesis.get(ns, genesis) == genesis

    def accepts_content(self, cid: Cid) -> bool:
        """Whether the reader takes this content: not denied, and allowed where only some is. Denial wins."""
        return cid not in self.deny_cids and (not self.allow_cids or cid in self.allow_cids)

    def counted(self, endorsers: Collection[Kid], exposed: Container[Kid] = ()) -> int:
        """How many of ``endorsers`` the reader counts on; ``exposed`` are keys that there is evidence against."""
        relied_on = self.allow_signers.intersection(endorsers) if self.allow_signers else frozenset(endorsers)
        return sum(not (self.deny_exposed and kid in exposed) for kid in relied_on - self.deny_signers)


def make_consumer_policy(
    *,
    min_signers: int = 1,
    allow_cids: Collection[Cid] = (),
    deny_cids: Collection[Cid] = (),
    allow_signers: Collection[Kid] = (),
    deny_signers: Collection[Kid] = (),
    allow_forks: bool = False,
    genesis: Mapping[str, Cid] | None = None,
    agreeing: int = 1,
    deny_exposed: bool = False,
) -> Statement:
    """The statement of a pack. Lists are sorted, so that the same demands have the same id."""
    return make_statement(
        {
            "v": 1,
            "type": TYPE,
            "min_signers": min_signers,
            "allow_cids": sorted(set(allow_cids)),
            "deny_cids": sorted(set(deny_cids)),
            "allow_signers": sorted(set(allow_signers)),
            "deny_signers": sorted(set(deny_signers)),
            "allow_forks": allow_forks,
            "genesis": dict(genesis or {}),
            "agreeing": agreeing,
            **({"deny_exposed": True} if deny_exposed else {}),
        }
    )


def decode_consumer_policy(payload: bytes) -> ConsumerPolicy:
    """The pack these bytes are. Raises ``too-large``, ``cbor-invalid``, ``type-mismatch`` or ``field-*``."""
    return parse_consumer_policy(open_statement(payload, TYPE, limits.CONSUMER_POLICY_BYTES))


def parse_consumer_policy(statement: Statement) -> ConsumerPolicy:
    """The pack a statement says. Raises ``field-*`` or ``name-invalid`` with the place."""
    fields = Fields(statement.value, "payload", _FIELDS, _OPTIONAL)
    deny_exposed = fields.has("deny_exposed")
    if deny_exposed and not fields.boolean("deny_exposed"):
        raise fields.fail("deny_exposed", "is there, and false")
    return ConsumerPolicy(
        id=statement.id,
        min_signers=fields.integer("min_signers", 1, limits.SIGNERS),
        allow_cids=frozenset(fields.links("allow_cids", limits.CONSUMER_CIDS)),
        deny_cids=frozenset(fields.links("deny_cids", limits.CONSUMER_CIDS)),
        allow_signers=frozenset(fields.keys("allow_signers", limits.SIGNERS)),
        deny_signers=frozenset(fields.keys("deny_signers", limits.SIGNERS)),
        allow_forks=fields.boolean("allow_forks"),
        genesis=_pins(fields),
        agreeing=fields.integer("agreeing", 1, limits.AGREEING_NODES),
        deny_exposed=deny_exposed,
        statement=statement,
    )


def _pins(fields: Fields) -> dict[str, Cid]:
    pins = fields.mapping("genesis")
    if len(pins) > limits.CONSUMER_PINS:
        raise fields.fail("genesis", f"has {len(pins)} entries where at most {limits.CONSUMER_PINS} are allowed")
    pinned = Fields(pins, fields.at("genesis"), (), pins.keys())
    for ns in pins:
        names.check_namespace(ns)
    return {ns: pinned.link(ns) for ns in pins}
