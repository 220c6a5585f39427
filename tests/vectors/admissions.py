"""Vectors of sections 2.2, 2.5, 2.8 and 5.1: a record that arrives at a node, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence

from holo.core.cid import Cid
from holo.core.envelope import Record
from holo.core.limits import PENDING_PER_SIGNER, RIVALS_PER_PARENT
from tests.records import EVERYTHING, binding_record, content, policy_record
from tests.reference import Namespace, cited_of
from tests.vectors.form import Group, Json, envelopes
from tests.vectors.scenarios import ALICE_BOB, STABLE, WITH_CAROL, acme

ONE, TWO, THREE = content("one"), content("two"), content("three")


def admissions() -> Group:
    """The group."""
    group = Group(
        "admissions",
        "Records that arrive (2.2, 2.5, 2.8): `before` are accepted by a new node that hosts every namespace, then "
        "`record` arrives, over HTTP or, like those before, as from another node. `state` is the one of 5.1.",
    )
    arrivals = _Arrivals(group)
    arrivals.bindings()
    arrivals.over_http()
    arrivals.sealed()
    arrivals.policies()
    arrivals.full()
    return group


def _entry(record: Record, nodes: Sequence[bytes] = ()) -> Json:
    entry: dict[str, Json] = {"type": record.statement.type, "envelopes": envelopes(record)}
    return {**entry, "nodes": [data.hex() for data in nodes]} if nodes else entry


class _Arrivals:
    def __init__(self, group: Group) -> None:
        self.group = group
        self._labels: dict[str, str] = {}

    def _label(self, record: Record, nodes: Sequence[bytes] = ()) -> str:
        """What cases name a record by."""
        entry = _entry(record, nodes)
        label = self._labels.setdefault(repr(entry), f"{entry['type']} {len(self._labels)}")
        self.group.records[label] = entry
        return label

    def _before(self, namespace: Namespace) -> list[str]:
        return [
            self._label(record, tuple(namespace.nodes.values()) if record.statement.value.get("seal") else ())
            for record in namespace.records
        ]

    def good(
        self,
        name: str,
        namespace: Namespace,
        record: Record,
        state: str,
        *,
        new: bool = True,
        displaced: Sequence[Cid] = (),
        http: bool = False,
        nodes: Sequence[bytes] = (),
    ) -> None:
        result = {"state": state, "new": new, "displaced": [str(cid) for cid in displaced]}
        self.group.valid(
            name, "admit", result, before=self._before(namespace), record=self._label(record, nodes), over_http=http
        )

    def bad(
        self, name: str, code: str, of: str, change: str, namespace: Namespace, record: Record, *, http: bool = False
    ) -> None:
        self.group.invalid(
            name, "admit", code, of, change, before=self._before(namespace), record=self._label(record), over_http=http
        )

    def bindings(self) -> None:
        empty = acme()
        genesis = empty.genesis
        first = binding_record(genesis.id, genesis.id, "acme/app:dev", ONE)
        self.good("first", empty, first, "current")
        one = acme()
        bound = one.bind("app:dev", ONE)
        self.good("the-same-again", one, first, "current", new=False)
        more = binding_record(genesis.id, genesis.id, "acme/app:dev", ONE, by=("alice", "bob"))
        self.good("one-more-endorsement", one, more, "current")
        higher = binding_record(genesis.id, genesis.id, "acme/app:dev", TWO, rev=9, by=("bob",))
        self.good("a-higher-rev", one, higher, "current", displaced=[bound.id])
        fork = binding_record(genesis.id, genesis.id, "acme/app:dev", TWO, by=("bob",))
        self.good("a-fork", one, fork, "forked")
        held = binding_record(genesis.id, genesis.id, "acme/app:dev", TWO)
        self.good("two-by-one-signer", one, held, "held")
        two = acme()
        two.bind("app:dev", ONE, 5)
        self.good("a-lower-rev", two, binding_record(genesis.id, genesis.id, "acme/app:dev", TWO, rev=4), "superseded")
        half = binding_record(genesis.id, genesis.id, "acme/app:stable", ONE, by=("bob",))
        self.good("half-a-release", empty, half, "pending")
        waiting = acme()
        waiting.bind("app:stable", ONE)
        self.good("the-other-half-alone", waiting, half, "pending")
        whole = binding_record(genesis.id, genesis.id, "acme/app:stable", ONE, by=("alice", "bob"))
        self.good("a-whole-release", waiting, whole, "current")
        other = Namespace("acme", signers=WITH_CAROL).genesis

        def bound_to(of: Cid, policy: Cid, name: str = "acme/app:dev", by: str = "alice") -> Record:
            return binding_record(of, policy, name, ONE, by=[by])

        for name, code, change, record in (
            ("another-name", "genesis-unknown", "another ns", bound_to(genesis.id, genesis.id, "globex/app:dev")),
            ("another-genesis", "genesis-foreign", "another genesis", bound_to(other.id, genesis.id)),
            ("unknown-policy", "policy-unknown", "an unknown policy", bound_to(genesis.id, other.id)),
            (
                "a-stranger",
                "signer-not-allowed",
                "signed by a stranger",
                bound_to(genesis.id, genesis.id, by="mallory"),
            ),
        ):
            self.bad(name, code, "first", change, empty, record)
        beside = acme()
        globex = policy_record("globex")
        beside.learn(globex)
        foreign = binding_record(genesis.id, globex.statement.id, "acme/app:dev", ONE)
        self.bad("policy-of-another-namespace", "policy-foreign", "first", "another's policy", beside, foreign)

    def over_http(self) -> None:
        named = acme()
        current = named.bind("app:dev", ONE, 3)
        genesis = named.genesis

        def binding(rev: int, prev: Sequence[Cid], by: Sequence[str] = ("alice",), tag: str = "dev") -> Record:
            return binding_record(genesis.id, genesis.id, f"acme/app:{tag}", TWO, rev=rev, prev=prev, by=by)

        displaced = [current.id]
        self.good("http-next", named, binding(4, [current.id]), "current", displaced=displaced, http=True)
        self.good("http-gap", named, binding(9, [current.id]), "current", displaced=displaced, http=True)
        self.good("http-first", named, binding(1, [], tag="beta"), "current", http=True)
        self.good("http-half", named, binding(1, [], tag="stable"), "pending", http=True)
        again = named.records[-1]
        self.good("http-the-same-again", named, again, "current", new=False, http=True)
        forked = acme()
        ids = [forked.bind("app:dev", ONE).id, forked.bind("app:dev", THREE, by=("bob",)).id]
        self.good("http-after-a-fork", forked, binding(2, ids), "current", displaced=ids, http=True)
        self.good("http-after-a-fork-either-order", forked, binding(2, ids[::-1]), "current", displaced=ids, http=True)
        for name, code, of, change, namespace, record in (
            ("http-no-prev", "binding-conflict", "http-next", "no prev", named, binding(4, [])),
            ("http-another-prev", "binding-conflict", "http-next", "another prev", named, binding(4, [THREE])),
            ("http-one-of-two", "binding-conflict", "http-after-a-fork", "one of two", forked, binding(2, ids[:1])),
            (
                "http-prev-of-nothing",
                "binding-conflict",
                "http-first",
                "a prev",
                named,
                binding(1, [THREE], tag="beta"),
            ),
            (
                "http-half-with-prev",
                "binding-conflict",
                "http-half",
                "a prev",
                named,
                binding(1, [THREE], tag="stable"),
            ),
            ("http-same-rev", "binding-stale", "http-next", "the same rev", named, binding(3, [current.id])),
            ("http-lower-rev", "binding-stale", "http-next", "a lower rev", named, binding(2, [current.id])),
        ):
            self.bad(name, code, of, change, namespace, record, http=True)

    def sealed(self) -> None:
        namespace = acme()
        kept, lost = namespace.bind("app:dev", ONE), namespace.bind("lib:dev", ONE)
        genesis = namespace.genesis
        seal = namespace.seal_tree({"app/dev": cited_of(namespace.derive().current["app/dev"])})
        policy = namespace.amend(signers=ALICE_BOB, thresholds=STABLE, seal=seal)
        fresh = binding_record(genesis.id, policy.id, "acme/lib:dev", TWO, rev=2)
        self.good("after-a-seal", namespace, fresh, "current", http=True)
        old = binding_record(genesis.id, genesis.id, "acme/lib:dev", TWO, rev=2)
        self.good("under-a-sealed-policy", namespace, old, "sealed-out")
        change = "under a policy before the seal"
        self.bad("http-under-a-sealed-policy", "binding-sealed-out", "after-a-seal", change, namespace, old, http=True)
        late = acme()
        late.amend(signers=ALICE_BOB, thresholds=STABLE, seal=seal)
        late.nodes.update(namespace.nodes)
        listed, unlisted = (record for record in namespace.records if record.statement.id in (kept.id, lost.id))
        self.good("what-the-seal-waits-for", late, listed, "current")
        self.good("what-it-does-not-wait-for", late, unlisted, "current")
        wanting = acme()
        wanting.amend(signers=ALICE_BOB, thresholds=STABLE, seal=seal)
        under = binding_record(genesis.id, wanting.latest.id, "acme/app:dev", THREE, rev=2)
        self.good("under-a-policy-that-waits", wanting, under, "waiting")

    def policies(self) -> None:
        namespace = acme()
        genesis = namespace.genesis
        nothing = acme()
        nothing.records.clear()
        self.good("a-genesis", nothing, namespace.records[0], "effective")
        child = policy_record("acme", genesis, signers=WITH_CAROL, thresholds=STABLE)
        self.good("a-policy", namespace, child, "effective")
        two = acme()
        two.amend(two.genesis, signers=WITH_CAROL, thresholds=STABLE)
        rival = policy_record("acme", genesis, signers={**ALICE_BOB, "dave": EVERYTHING}, thresholds=STABLE)
        self.good("a-rival", two, rival, "held")
        by = ("root", "recovery")
        decided = policy_record("acme", genesis, signers={**ALICE_BOB, "dave": EVERYTHING}, thresholds=STABLE, by=by)
        self.good("a-rival-that-recovery-endorses", two, decided, "effective")
        chosen = policy_record("acme", genesis, signers=WITH_CAROL, thresholds=STABLE, by=by)
        two.learn(decided)
        self.good("recovery-endorses-the-other-too", two, chosen, "held")
        won = acme()
        won.learn(decided)
        self.good("a-rival-that-loses", won, child, "rival")
        self.good("the-policy-again", two, child, "rival", new=False)
        orphan = policy_record("acme", two.latest, signers=WITH_CAROL, thresholds=STABLE)
        self.bad("an-unknown-parent", "policy-parent-unknown", "a-policy", "another parent", namespace, orphan)
        self.bad("before-its-genesis", "genesis-unknown", "a-policy", "nothing before", nothing, child)
        other = policy_record("acme", signers=WITH_CAROL)
        self.bad("another-genesis-arrives", "genesis-foreign", "a-genesis", "a name that is taken", namespace, other)

    def full(self) -> None:
        """Bounds of mailboxes and of rivals."""
        boxes = acme()
        for rev in range(2, PENDING_PER_SIGNER + 2):
            boxes.bind("app:stable", ONE, rev)
        genesis = boxes.genesis

        def half(rev: int, *by: str) -> Record:
            return binding_record(genesis.id, genesis.id, "acme/app:stable", TWO, rev=rev, by=by)

        self.good("a-higher-rev-into-a-full-mailbox", boxes, half(20, "alice"), "pending")
        self.bad("mailbox-full", "pending-full", "a-higher-rev-into-a-full-mailbox", "rev 1", boxes, half(1, "alice"))
        crowded = acme(signers=ALICE_BOB, thresholds=[(["stable"], 3)])
        for rev in range(2, PENDING_PER_SIGNER + 2):
            crowded.bind("app:stable", ONE, rev)
        last = binding_record(crowded.genesis.id, crowded.genesis.id, "acme/app:stable", TWO, by=("alice", "bob"))
        self.good("room-with-one-endorser", crowded, last, "pending")
        rivals = acme()
        for number in range(RIVALS_PER_PARENT):
            rivals.amend(rivals.genesis, signers={**ALICE_BOB, f"signer{number}": EVERYTHING}, thresholds=STABLE)
        extra = {"signers": WITH_CAROL, "thresholds": STABLE}
        one = policy_record("acme", rivals.genesis, **extra)  # type: ignore[arg-type]
        endorsed = policy_record("acme", rivals.genesis, **extra, by=("root", "recovery"))  # type: ignore[arg-type]
        self.good("one-rival-more-that-recovery-endorses", rivals, endorsed, "effective")
        of = "one-rival-more-that-recovery-endorses"
        self.bad("one-rival-more", "policy-rivals-full", of, "not endorsed by recovery", rivals, one)
