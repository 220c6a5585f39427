"""Vectors of section 2.3: which branch of the policies holds, how far it is in effect, and whether it is held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holo.core.chain import Known, decide_chain
from holo.core.cid import Cid
from holo.core.keys import did_of
from holo.core.policy import Policy, parse_policy
from tests.records import kid, policy_record
from tests.vectors.form import Group

SEAL = policy_record("acme").statement.id  # any link to an object stands for a tree here


def chains() -> Group:
    """The group."""
    group = Group(
        "chains",
        "The chain (2.3). `policies` holds known policies with their endorsers, in no particular order; `satisfied` "
        "the ids of those whose seal is satisfied. `policies` in a result are those in effect, genesis first.",
    )
    _plain(group)
    _seals(group)
    _rivals(group)
    return group


class _World:
    """Policies by name, each a child of another, with the recovery keys that endorse it."""

    def __init__(self, recovery: Sequence[str] = ("recovery",), threshold: int = 1) -> None:
        self._fields: dict[str, Any] = {"recovery": recovery, "recovery_threshold": threshold}
        self.policies: dict[str, Policy] = {}
        self.endorsers: dict[str, Sequence[str]] = {}
        self.add("genesis", None)

    def add(self, name: str, parent: str | None, *, seal: Cid | None = None, by: Sequence[str] = ()) -> None:
        """A policy; its name makes it differ from its siblings."""
        signers = {"alice": (("*",), ("*",)), name: ((name,), ("*",))}
        over = self.policies[parent] if parent else None
        record = policy_record("acme", over, **self._fields, signers=signers, seal=seal)
        self.policies[name] = parse_policy(record.statement)
        self.endorsers[name] = ("root", *by)

    def check(
        self,
        group: Group,
        name: str,
        chain: Sequence[str],
        held: tuple[str, str] | None = None,
        satisfied: Sequence[str] = (),
    ) -> None:
        """Add the vector, after seeing that the expected chain is the one decided."""
        policies = self.policies
        known = {item.id: Known(item, frozenset(map(kid, self.endorsers[at]))) for at, item in policies.items()}
        done = {policies[at].id for at in satisfied}
        decided = decide_chain(policies["genesis"].id, known, lambda item: item.id in done)
        expected = [policies[at].id for at in chain]
        held_id = None if held is None else (held[0], policies[held[1]].id)
        assert [item.id for item in decided.policies[: decided.effective + 1]] == expected, name
        assert decided.held == held_id, name
        group.valid(
            name,
            "decide-chain",
            {
                "policies": [str(item) for item in expected],
                "held": None if held_id is None else [held_id[0], str(held_id[1])],
            },
            genesis=str(policies["genesis"].id),
            policies=[
                {
                    "payload": policies[at].statement.bytes.hex(),
                    "endorsers": [did_of(kid(who)) for who in self.endorsers[at]],
                }
                for at in sorted(policies, key=lambda at: policies[at].id)
            ],
            satisfied=[str(policies[at].id) for at in satisfied],
        )


def _plain(group: Group) -> None:
    world = _World()
    world.check(group, "genesis-alone", ["genesis"])
    world.add("one", "genesis")
    world.add("two", "one")
    world.check(group, "one-branch", ["genesis", "one", "two"])


def _seals(group: Group) -> None:
    world = _World()
    world.add("one", "genesis", seal=SEAL)
    world.add("two", "one")
    world.check(group, "seal-unsatisfied", ["genesis"], ("seal", "one"))
    world.check(group, "seal-satisfied", ["genesis", "one", "two"], satisfied=["one"])
    world.add("three", "two", seal=SEAL)
    world.add("four", "three")
    world.check(group, "later-seal-unsatisfied", ["genesis", "one", "two"], ("seal", "three"), ["one"])
    world.check(group, "both-seals-unsatisfied", ["genesis"], ("seal", "three"))
    world.check(group, "only-the-latest-seal-counts", ["genesis", "one", "two", "three", "four"], satisfied=["three"])


def _rivals(group: Group) -> None:
    world = _World()
    world.add("left", "genesis")
    world.add("right", "genesis")
    world.check(group, "rivals-without-recovery", ["genesis"], ("rivals", "genesis"))
    world.endorsers["left"] = ("root", "recovery")
    world.check(group, "recovery-decides", ["genesis", "left"])
    world.endorsers["right"] = ("root", "recovery")
    world.check(group, "recovery-endorses-both", ["genesis"], ("rivals", "genesis"))
    world.add("left2", "left")
    world.check(group, "a-longer-branch-alone-does-not-win", ["genesis"], ("rivals", "genesis"))
    world.endorsers["left2"] = ("root", "recovery")
    world.check(group, "a-later-endorsed-descendant-wins", ["genesis", "left", "left2"])

    world = _World()
    world.add("left", "genesis")
    world.add("right", "genesis")
    world.add("right2", "right", by=("recovery",))
    world.check(group, "an-endorsed-descendant-wins-for-its-branch", ["genesis", "right", "right2"])
    world.add("left2", "left")
    world.add("left3", "left2", by=("recovery",))
    world.check(group, "the-highest-endorsed-seq-wins", ["genesis", "left", "left2", "left3"])

    world = _World(("recovery", "recovery2"), 2)
    world.add("left", "genesis", by=("recovery",))
    world.add("right", "genesis")
    world.check(group, "half-a-recovery-decides-nothing", ["genesis"], ("rivals", "genesis"))
    world.endorsers["left"] = ("root", "recovery", "recovery2")
    world.check(group, "a-whole-recovery-decides", ["genesis", "left"])

    world = _World()
    world.add("one", "genesis")
    world.add("left", "one", by=("recovery",))
    world.add("right", "one")
    world.add("left2", "left")
    world.add("right2", "left")
    world.check(group, "rivals-twice-the-second-open", ["genesis", "one", "left"], ("rivals", "left"))

    world = _World()
    world.add("one", "genesis", seal=SEAL)
    world.add("left", "one")
    world.add("right", "one")
    world.check(group, "rivals-after-an-unsatisfied-seal", ["genesis"], ("rivals", "one"))
    world.check(group, "rivals-after-a-satisfied-seal", ["genesis", "one"], ("rivals", "one"), ["one"])

    world = _World()
    world.add("left", "genesis", by=("recovery",))
    world.add("right", "genesis", seal=SEAL)
    world.check(group, "a-seal-that-lost-holds-nothing", ["genesis", "left"])
    world.endorsers["left"] = ("root",)
    world.endorsers["right"] = ("root", "recovery")
    world.check(group, "a-seal-that-won-holds-until-satisfied", ["genesis"], ("seal", "right"))
