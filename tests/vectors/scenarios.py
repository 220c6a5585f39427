"""The histories behind the vectors `merges`: what may happen to a namespace, told in the order it would happen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from holo.core.binding import Binding
from holo.core.envelope import make_record
from holo.core.state import Cited
from tests.records import EVERYTHING, content, key, policy_record
from tests.reference import Namespace, cited_of

ONE, TWO, THREE = content("one"), content("two"), content("three")
ALICE_BOB = {"alice": EVERYTHING, "bob": EVERYTHING}
WITH_CAROL = {**ALICE_BOB, "carol": EVERYTHING}
STABLE = [(["stable"], 2)]


def scenarios() -> Iterator[tuple[str, Sequence[Namespace]]]:
    """Every scenario: its name and its namespaces, all records learned."""
    yield "one-name", [_bound(acme())]
    yield "fork", [_forked(acme())]
    yield "fork-settled", [_fork_settled()]
    yield "held-name", [_held_name()]
    yield "same-content-twice", [_same_content()]
    yield "yank-and-return", [_yanked()]
    yield "endorsements-add-up", [_adding_up()]
    yield "pending", [_pending()]
    yield "pending-completed", [_completed()]
    yield "mailbox-overflows", [_overflow()]
    yield "pending-below-the-current-rev", [_pending_below()]
    yield "signer-appended", [_appended()]
    yield "rivals", [_rivals()]
    yield "rivals-decided", [_rivals_decided()]
    yield "rivals-decided-by-a-descendant", [_decided_by_descendant()]
    yield "seal-drops-a-signer", [_dropped_signer()]
    yield "seal-fixes-endorsers", [_fixed_endorsers()]
    yield "seal-waits", [_waiting_seal()]
    yield "seal-without-its-tree", [_treeless_seal()]
    yield "later-seal-restores", [_restored()]
    yield "later-seal-makes-an-earlier-one-needless", [_overtaken_seal()]
    yield "pending-under-a-sealed-policy", [_pending_sealed()]
    yield "fast-forward-undone", [_fast_forward()]
    yield "seventy-names", [_seventy()]
    yield "two-namespaces", [_forked(acme()), _bound(Namespace("globex", signers=ALICE_BOB))]
    yield "empty", [acme()]


def acme(**genesis: Any) -> Namespace:
    """A namespace where alice and bob may sign, and stable needs both."""
    return Namespace("acme", **{"signers": ALICE_BOB, "thresholds": STABLE, **genesis})


def again(namespace: Namespace, binding: Binding, *by: str) -> None:
    """The statement once more, endorsed by others."""
    namespace.learn(make_record(binding.statement, *map(key, by)))


def _bound(namespace: Namespace) -> Namespace:
    namespace.bind("app", ONE)
    return namespace


def _forked(namespace: Namespace) -> Namespace:
    namespace.bind("app", ONE)
    namespace.bind("app", TWO, by=("bob",))
    return namespace


def _fork_settled() -> Namespace:
    namespace = _forked(acme())
    namespace.bind("app", THREE, 5, by=("bob",))
    return namespace


def _held_name() -> Namespace:
    namespace = _bound(acme())
    namespace.bind("app", TWO)
    namespace.bind("app", THREE, by=("bob",))
    return namespace


def _same_content() -> Namespace:
    namespace = acme()
    namespace.bind("app", ONE, by=("bob",), at_ms=1)
    namespace.bind("app", ONE, by=("bob",), at_ms=2)
    namespace.bind("app", ONE, at_ms=3)
    return namespace


def _yanked() -> Namespace:
    namespace = _bound(acme())
    namespace.bind("app", None, 2)
    namespace.bind("lib", None)
    namespace.bind("lib", ONE, 2, by=("bob",))
    return namespace


def _adding_up() -> Namespace:
    """Bob's statement comes first in rank once alice endorses it too."""
    namespace = acme(signers=WITH_CAROL)
    namespace.bind("app", ONE, by=("bob",))
    other = namespace.bind("app", TWO, by=("carol",))
    again(namespace, other, "alice")
    release = namespace.bind("app:stable", ONE, by=("alice", "bob"))
    again(namespace, release, "bob", "carol")
    again(namespace, release, "carol")
    return namespace


def _pending() -> Namespace:
    namespace = _bound(acme())
    namespace.bind("app:stable", ONE)
    namespace.bind("app:stable", TWO, 2, by=("bob",))
    namespace.bind("lib:stable", ONE, by=("bob",))
    return namespace


def _completed() -> Namespace:
    namespace = acme()
    waiting = namespace.bind("app:stable", ONE)
    again(namespace, waiting, "bob")  # two halves make no whole
    done = namespace.bind("lib:stable", ONE, by=("bob",))
    again(namespace, done, "alice", "bob")
    return namespace


def _overflow() -> Namespace:
    namespace = acme()
    for rev in range(1, 11):
        namespace.bind("app:stable", ONE, rev)
    for at_ms in range(3):
        namespace.bind("app:stable", TWO, 4, at_ms=at_ms, by=("bob",))
    lowest = namespace.bind("app:stable", THREE, 1)
    again(namespace, lowest, "bob")
    return namespace


def _pending_below() -> Namespace:
    namespace = acme()
    for rev in (1, 2, 3, 4):
        namespace.bind("app:stable", ONE, rev)
    namespace.bind("app:stable", TWO, 3, by=("alice", "bob"))
    return namespace


def _appended() -> Namespace:
    namespace = _bound(acme())
    namespace.amend(signers=WITH_CAROL, thresholds=STABLE)
    namespace.bind("app", TWO, 2, by=("carol",))
    namespace.bind("app:stable", TWO, by=("carol", "bob"))
    namespace.bind("app:stable", ONE, policy=namespace.genesis, by=("alice", "bob"))
    return namespace


def _rivals() -> Namespace:
    namespace = _bound(acme())
    for name in ("carol", "dave"):
        rival = namespace.amend(namespace.genesis, signers={**ALICE_BOB, name: EVERYTHING}, thresholds=STABLE)
        namespace.bind("app", TWO, 2, policy=rival, by=(name,))
    return namespace


def _rivals_decided() -> Namespace:
    """Recovery endorses one of two rivals later; what waited under it counts."""
    namespace = _rivals()
    chosen = next(record for record in namespace.records if record.statement.id == namespace.latest.id)
    namespace.learn(make_record(chosen.statement, key("root"), key("recovery")))
    return namespace


def _decided_by_descendant() -> Namespace:
    namespace = _rivals()
    signers = {**ALICE_BOB, "dave": EVERYTHING}
    namespace.amend(signers=signers, thresholds=[], by=("root", "recovery"))
    namespace.bind("app:stable", THREE, by=("dave",))
    return namespace


def _dropped_signer() -> Namespace:
    """Alice is let go: what the seal keeps of hers stays, the rest and what she signs later is out."""
    namespace = acme()
    namespace.bind("app", ONE)
    namespace.bind("lib", ONE)
    namespace.bind("lib", TWO, 2)
    namespace.bind("tool", ONE, by=("bob",))
    current = namespace.derive().current
    kept = {path: cited_of(current[path]) for path in ("app/latest", "tool/latest")}
    namespace.amend(signers={"bob": EVERYTHING}, seal=namespace.seal_tree(kept))
    namespace.bind("app", THREE, 9, policy=namespace.genesis)
    namespace.bind("tool", TWO, 2, by=("bob",))
    namespace.bind("lib", THREE, by=("bob",))
    return namespace


def _fixed_endorsers() -> Namespace:
    """The seal lists bob alone; that alice endorsed it as well, known early or late, changes nothing."""
    namespace = acme()
    kept = namespace.bind("app", ONE, by=("bob",))
    again(namespace, kept, "alice", "bob")
    seal = namespace.seal_tree({"app/latest": [Cited(kept.id, (1,))]})
    namespace.amend(signers=ALICE_BOB, seal=seal)
    namespace.bind("app", TWO)
    return namespace


def _waiting_seal() -> Namespace:
    """The seal names a statement that never arrives: the namespace is held at what was before."""
    namespace = _bound(acme())
    absent = Namespace("acme", signers=ALICE_BOB, thresholds=STABLE).bind("lib", TWO)
    seal = namespace.seal_tree({"lib/latest": [Cited(absent.id, (0,))]})
    namespace.amend(signers={"bob": EVERYTHING}, seal=seal)
    namespace.bind("app", TWO, 2, by=("bob",))
    return namespace


def _treeless_seal() -> Namespace:
    namespace = _bound(acme())
    namespace.amend(signers={"bob": EVERYTHING}, seal=namespace.seal_tree(learn=False))
    return namespace


def _restored() -> Namespace:
    namespace = acme()
    lost = namespace.bind("app", ONE)
    namespace.bind("app", TWO, 2)
    newest = cited_of(namespace.derive().current["app/latest"])
    namespace.amend(signers=ALICE_BOB, seal=namespace.seal_tree({"app/latest": newest}))
    namespace.amend(signers=ALICE_BOB, seal=namespace.seal_tree({"app/latest": [Cited(lost.id, (0,))]}))
    return namespace


def _overtaken_seal() -> Namespace:
    """The first seal is never satisfied; the second, which is, makes that not matter."""
    namespace = _bound(acme())
    nothing_like_a_tree = policy_record("other").statement.id
    namespace.amend(signers=ALICE_BOB, seal=nothing_like_a_tree)
    kept = {"app/latest": [Cited(namespace.records[1].statement.id, (0,))]}
    namespace.amend(signers={"bob": EVERYTHING}, seal=namespace.seal_tree(kept))
    return namespace


def _pending_sealed() -> Namespace:
    namespace = acme()
    namespace.bind("app:stable", ONE)
    namespace.amend(signers=ALICE_BOB, thresholds=STABLE, seal=namespace.seal_tree({}))
    namespace.bind("app:stable", TWO, by=("bob",))
    namespace.bind("app:stable", THREE, 7, policy=namespace.genesis, by=("bob",))
    return namespace


def _fast_forward() -> Namespace:
    """A signer took the highest revision there is; a seal takes the name back."""
    namespace = _bound(acme())
    good = cited_of(namespace.derive().current["app/latest"])
    namespace.bind("app", TWO, 2**53 - 1, by=("bob",))
    namespace.amend(signers={"alice": EVERYTHING}, seal=namespace.seal_tree({"app/latest": good}))
    namespace.bind("app", THREE, 2)
    return namespace


def _seventy() -> Namespace:
    namespace = acme()
    for number in range(70):
        namespace.bind(f"app{number:02}", ONE)
    return namespace
