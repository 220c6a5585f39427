"""Comparing with a peer: two sides end equal whatever is cut or lost; a liar costs little and is told why."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import limits, tree
from holo.core.cid import DAG_CBOR, Cid
from holo.core.differences import Differs, Found, FoundEvidence, FoundName, FoundPolicy
from holo.core.errors import Rejected
from holo.core.pull import Own, Pull
from holo.core.state import Catalog, NamespaceState, state_value
from holo.core.tree_node import Branch, Leaf, encode_node
from tests.core.catalogs import ENDORSERS, POLICY, Side, everywhere, genesis_of, pull_once, statement
from tests.records import kid

NAMESPACES = ("a", "ab", "b.c")
SUBJECTS = (kid("one"), kid("other"))


@st.composite
def parts(draw: st.DrawFn) -> list[Side]:
    """Two sides that know different parts of one world, some of it in common."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    sides = [Side(), Side()]
    for ns in draw(st.sets(st.sampled_from(NAMESPACES))):
        stem = draw(st.sampled_from(("", "p", "long/prefix")))
        count = draw(st.sampled_from((0, 1, 3, 64, 65, 70, 300)))
        share = draw(st.sampled_from((0.0, 0.02, 0.5, 1.0)))
        for number in range(count):
            path = f"{stem}{rng.randrange(count * 4)}/latest"
            for side in (
                [side for side in sides if rng.random() < 0.98] if rng.random() > share else [rng.choice(sides)]
            ):
                names = side.of(ns)
                into = names.pending if number % 7 == 3 else names.bindings
                into.setdefault(path, {}).setdefault(statement(ns, path, number % 2), set()).add(rng.randrange(3))
        for number in range(draw(st.integers(0, 3))):
            for side in rng.sample(sides, rng.randint(1, 2)):
                side.of(ns).policies.setdefault(statement(ns, "policy", number), set()).add(rng.randrange(3))
    for subject in SUBJECTS:
        for side in rng.sample(sides, rng.randint(0, 2)):
            side.evidence[subject] = Cid.of(DAG_CBOR, subject + bytes([rng.randrange(2)]))
    return sides


class Line:
    """A peer that cuts, loses and mixes up its answers, as a seed says."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def pull(self, mine: Side, source: Side) -> bool:
        """One pull; whether it found anything. What is found is taken over at once or at the end."""
        theirs, _ = source.commit()
        serves, rng = source.nodes, self.rng
        pull = Pull(theirs, hosts=everywhere)
        waiting: list[list[Cid]] = []
        found: list[Found] = []
        learned = False
        while not pull.done:
            if rng.random() < 0.6 and (asked := pull.ask(rng.choice((1, 2, 1024)))):
                waiting.append(asked)
                continue
            if not waiting:
                continue
            asked = waiting.pop(rng.randrange(len(waiting)))
            if rng.random() < 0.2:
                pull.lost(asked)
                continue
            _, own = mine.commit()
            found += pull.take(asked, [serves[cid] for cid in asked[: rng.randint(1, len(asked))]], own)
            if rng.random() < 0.3:
                for item in found:
                    mine.take(item, source)
                learned = learned or bool(found)
                found = []
        for item in found:
            mine.take(item, source)
        assert pull.complete
        return learned or bool(found)


@given(sides=parts(), seed=st.integers(0, 2**32))
def test_two_sides_end_equal(sides: list[Side], seed: int) -> None:
    one, other = sides
    line = Line(seed)
    for _ in range(6):
        line.pull(one, other)
        line.pull(other, one)
        if one.commit()[0] == other.commit()[0]:
            return
    raise AssertionError("still different")


def test_lost_and_cut_answers_are_asked_for_again_and_only_they() -> None:
    source = Side()
    names(source, "a", range(400))
    theirs, _ = source.commit()
    pull = Pull(theirs, hosts=everywhere)
    own = Own(None, source.nodes.__getitem__)
    first = pull.ask()
    pull.lost(first)
    assert pull.ask() == first == [theirs]
    pull.take(first, [source.nodes[theirs]], own)
    asked = pull.ask()
    with pytest.raises(Rejected) as refused:
        pull.take(asked, [], own)
    assert refused.value.code == "answer-invalid"
    assert not pull.done


def test_only_what_differs_is_opened_and_found() -> None:
    mine, source = Side(), Side()
    for side in (mine, source):
        for ns in ("a", "b", "c"):
            names(side, ns, range(500))
    names(source, "b", range(7, 8), number=1)
    found, rounds, _ = pull_once(mine, source)
    path = path_of(7)
    assert isinstance(found[0], Differs)
    assert found[1:] == [FoundName("b", genesis_of("b"), path, statement("b", path, 1), (0,), False)]
    assert rounds == 6  # catalog, namespaces, state, three levels of names
    assert pull_once(source, mine)[0][1:] == [
        FoundName("b", genesis_of("b"), path, statement("b", path, 0), (0,), False)
    ]


def test_what_was_absorbed_is_not_looked_at_again() -> None:
    mine, source = Side(), Side()
    names(mine, "a", range(300), number=1)
    names(source, "a", range(300))
    theirs, _ = source.commit()
    _, own = mine.commit()
    pull = Pull(theirs, hosts=everywhere)
    while asked := pull.ask():
        pull.take(asked, [source.nodes[cid] for cid in asked], own)
    assert Pull(theirs, hosts=everywhere, absorbed=pull.seen).complete
    names(source, "a", range(1), number=2)
    theirs, _ = source.commit()
    again = Pull(theirs, hosts=everywhere, absorbed=set(pull.seen))
    found: list[Found] = []
    while asked := again.ask():
        found += again.take(asked, [source.nodes[cid] for cid in asked], own)
    (name,) = [
        item for item in found if isinstance(item, FoundName) and item.statement == statement("a", path_of(0), 2)
    ]
    assert name.path == path_of(0)
    assert len(again.seen) < len(pull.seen) < 2 * 300


def test_a_side_with_little_goes_by_range_and_compares_policies_all_the_same() -> None:
    mine, source = Side(), Side()
    names(source, "a", range(1000))
    names(mine, "a", range(3))
    policy = statement("a", "policy", 0)
    source.of("a").policies[policy] = {0, 1}
    mine.of("a").policies[policy] = {1}
    found, rounds, size = pull_once(mine, source)
    (differs,) = [item for item in found if isinstance(item, Differs)]
    assert differs.by_range
    assert differs.mine is not None
    assert (differs.mine.count, differs.theirs.count) == (3, 1000)
    (policies,) = [item for item in found if isinstance(item, FoundPolicy)]
    assert (policies.policy, policies.endorsers) == (policy, (ENDORSERS[0],))
    assert not any(isinstance(item, FoundName) for item in found)
    assert rounds == 4
    assert size < 2000


def test_namespaces_of_no_interest_and_those_of_another_genesis_are_left_alone() -> None:
    mine, source = Side(), Side()
    names(source, "a", range(3))
    theirs, _ = source.commit()
    pull = Pull(theirs, hosts=lambda ns, genesis: False)
    own = mine.commit()[1]
    while asked := pull.ask():
        assert pull.take(asked, [source.nodes[cid] for cid in asked], own) == []
    assert pull.complete


def test_evidence_with_the_smaller_id_is_found() -> None:
    mine, source = Side(), Side()
    less, more = sorted(Cid.of(DAG_CBOR, data) for data in (b"one", b"two"))
    a, b, c = sorted(kid(name) for name in "abc")
    source.evidence = {a: less, b: more, c: less}
    mine.evidence = {a: more, b: less}
    found, _, _ = pull_once(mine, source)
    assert found == [FoundEvidence(a, less), FoundEvidence(c, less)]


def test_a_catalog_that_moved_on_ends_the_pull_without_blame() -> None:
    source = Side()
    names(source, "a", range(100))
    theirs, _ = source.commit()
    pull = Pull(theirs, hosts=everywhere)
    pull.take(pull.ask(), [source.nodes[theirs]], Own(None, source.nodes.__getitem__))
    asked = pull.ask()
    pull.take(asked, [None] * len(asked), Own(None, source.nodes.__getitem__))
    assert pull.done
    assert pull.gone == len(asked)
    assert not pull.complete


# --- liars


def run(pull: Pull, nodes: Mapping[Cid, bytes], own: Own) -> None:
    """Answer until there is nothing more to ask for."""
    while asked := pull.ask():
        pull.take(asked, [nodes.get(cid) for cid in asked], own)


def lied(lie: Callable[[dict[Cid, bytes]], Cid]) -> str:
    """The code that the pull of a catalog, made by ``lie`` with its objects, ends with."""
    nodes: dict[Cid, bytes] = {}
    pull = Pull(lie(nodes), hosts=lambda ns, genesis: True)
    own = Side().commit()[1]
    with pytest.raises(Rejected) as refused:
        run(pull, nodes, own)
    return refused.value.code


def keep(nodes: dict[Cid, bytes], data: bytes) -> Cid:
    cid = Cid.of(DAG_CBOR, data)
    nodes[cid] = data
    return cid


def catalog_over(nodes: dict[Cid, bytes], namespaces: Cid, evidence: Cid = tree.EMPTY) -> Cid:
    return keep(nodes, Catalog(namespaces, evidence).as_statement().bytes)


def catalog_of(nodes: dict[Cid, bytes], **roots: Cid | int) -> Cid:
    """A catalog of one namespace ``a`` whose state has these fields; as many names as this side would compare."""
    fields = {"policies": tree.EMPTY, "bindings": tree.EMPTY, "pending": tree.EMPTY, "count": 0, **roots}
    state = NamespaceState(ns="a", genesis=genesis_of("a"), policy=POLICY, held=None, **fields)  # type: ignore[arg-type]
    made = tree.build([(b"a", state_value(keep(nodes, state.as_statement().bytes)))])
    nodes.update(made.added)
    return catalog_over(nodes, made.root)


def leaf_of(nodes: dict[Cid, bytes], *entries: tuple[bytes, list[Any]]) -> Cid:
    return keep(nodes, encode_node(Leaf(list(entries))))


def doubled(nodes: dict[Cid, bytes]) -> Cid:
    """A tree of one node in two places: it could go on like this for ever, and cost nothing to make."""
    leaf = leaf_of(nodes, *[(bytes([at]), [[POLICY, [0]]]) for at in range(64)])
    return keep(nodes, encode_node(Branch(b"", None, [(1, 64, leaf), (2, 64, leaf)])))


LIES: dict[str, tuple[str, Callable[[dict[Cid, bytes]], Cid]]] = {
    "a node where the catalog is": ("cbor-invalid", lambda nodes: leaf_of(nodes)),
    "no catalog": ("cbor-invalid", lambda nodes: keep(nodes, b"\xff")),
    "a state where the catalog is": ("type-mismatch", lambda nodes: keep(nodes, state_bytes("a"))),
    "a catalog where a node is": (
        "tree-invalid",
        lambda nodes: catalog_over(nodes, catalog_over(nodes, tree.EMPTY)),
    ),
    "a state of another namespace": (
        "tree-invalid",
        lambda nodes: catalog_over(nodes, leaf_of(nodes, (b"b", [keep(nodes, state_bytes("a"))]))),
    ),
    "a namespace that is no name": (
        "name-invalid",
        lambda nodes: catalog_over(nodes, leaf_of(nodes, (b"-", [keep(nodes, state_bytes("-"))]))),
    ),
    "a namespace that is no text": (
        "tree-invalid",
        lambda nodes: catalog_over(nodes, leaf_of(nodes, (b"\xff", [POLICY]))),
    ),
    "a namespace with two states": (
        "tree-invalid",
        lambda nodes: catalog_over(nodes, leaf_of(nodes, (b"a", [POLICY, POLICY]))),
    ),
    "one state twice": (
        "tree-invalid",
        lambda nodes: catalog_over(nodes, leaf_of(nodes, (b"a", [POLICY]), (b"b", [POLICY]))),
    ),
    "a node in two places": ("tree-invalid", lambda nodes: catalog_of(nodes, pending=doubled(nodes))),
    "a node in two trees": (
        "tree-invalid",
        lambda nodes: catalog_of(nodes, pending=leaf_of(nodes), policies=leaf_of(nodes, (b"x", [1]))),
    ),
    "an empty leaf that is no root": (
        "tree-invalid",
        lambda nodes: catalog_of(
            nodes, pending=keep(nodes, encode_node(Branch(b"", None, [(1, 60, leaf_of(nodes)), (2, 60, POLICY)])))
        ),
    ),
    "a key without end": (
        "tree-invalid",
        lambda nodes: catalog_of(
            nodes, pending=keep(nodes, encode_node(Branch(bytes(320), None, [(1, 60, POLICY), (2, 60, POLICY)])))
        ),
    ),
    "endorsers that are no keys": (
        "tree-invalid",
        lambda nodes: catalog_of(nodes, policies=leaf_of(nodes, (bytes(POLICY), [1]))),
    ),
    "a policy that is no CID": (
        "cid-invalid",
        lambda nodes: catalog_of(nodes, policies=leaf_of(nodes, (b"x", [bytes(ENDORSERS[0])]))),
    ),
    "pending without positions": (
        "tree-invalid",
        lambda nodes: catalog_of(nodes, pending=leaf_of(nodes, (b"x/y", [[POLICY, []]]))),
    ),
    "a path that is no text": (
        "tree-invalid",
        lambda nodes: catalog_of(nodes, pending=leaf_of(nodes, (b"\xff", [[POLICY, [0]]]))),
    ),
    "evidence that is none": (
        "tree-invalid",
        lambda nodes: catalog_over(nodes, tree.EMPTY, leaf_of(nodes, (b"a", [1]))),
    ),
}


def state_bytes(ns: str) -> bytes:
    empty = tree.EMPTY
    return NamespaceState(ns, genesis_of("a"), POLICY, None, empty, empty, empty, 0).as_statement().bytes


@pytest.mark.parametrize("lie", LIES)
def test_every_lie_has_a_code(lie: str) -> None:
    code, make = LIES[lie]
    assert lied(make) == code


def test_names_that_are_fewer_than_the_state_says() -> None:
    mine, source = Side(), Side()
    names(mine, "a", range(3))
    names(source, "a", range(2))
    source.commit()
    own = mine.commit()[1]
    state = {cid: data for cid, data in source.nodes.items() if b"namespace-state" in data}
    ((_, data),) = state.items()
    more = data.replace(b"\x65count\x02", b"\x65count\x03")
    made = tree.build([(b"a", state_value(keep(source.nodes, more)))])
    source.nodes.update(made.added)
    pull = Pull(catalog_over(source.nodes, made.root), hosts=everywhere)
    with pytest.raises(Rejected) as refused:
        run(pull, source.nodes, own)
    assert refused.value.code == "tree-invalid"


def test_wrong_bytes_are_refused() -> None:
    source = Side()
    theirs, own = source.commit()
    pull = Pull(theirs, hosts=everywhere)
    with pytest.raises(Rejected) as refused:
        pull.take(pull.ask(), [b"\x80"], own)
    assert refused.value.code == "cid-mismatch"


class Endless(dict[Cid, bytes]):
    """Trees that a liar makes up from below, as wide and deep as asked for; each node is made once and counted."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def grow(self, depth: int) -> tuple[int, Cid]:
        """(keys, link) of a tree of made-up statements."""
        if depth == 0:
            self.number += 1
            entries = [(bytes([at]), [[statement("x", str(self.number), at), [0]]]) for at in range(33)]
            return 33, leaf_of(self, *entries)
        children = [(at, *self.grow(depth - 1)) for at in range(16)]
        return sum(count for _, count, _ in children), keep(self, encode_node(Branch(b"", None, children)))


def test_a_tree_without_end_costs_what_is_granted_and_no_more() -> None:
    nodes = Endless()
    _, root = nodes.grow(3)
    theirs = catalog_of(nodes, pending=root)
    own = Side().commit()[1]
    pull = Pull(theirs, hosts=everywhere, most_bytes=200_000)
    size = 0
    while asked := pull.ask(64):
        items = [nodes[cid] for cid in asked]
        size += sum(map(len, items))
        pull.take(asked, items, own)
    assert pull.cut
    assert pull.done
    assert not pull.complete
    assert 200_000 / 2 < size < 200_000 + 64 * max(map(len, nodes.values()))


def test_few_are_asked_for_at_a_time_where_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Endless()
    _, root = nodes.grow(3)
    monkeypatch.setattr(limits, "PULL_WAITING", 200)
    pull = Pull(catalog_of(nodes, pending=root), hosts=everywhere)
    own = Side().commit()[1]
    most = 0
    while asked := pull.ask():
        most = max(most, len(asked))
        pull.take(asked, [nodes[cid] for cid in asked], own)
    assert most <= 64
    assert pull.cut == (len(pull.seen) < len(nodes))


# --- how much it takes


@pytest.mark.parametrize("form", ["ns-{}", "{0:x}-of-many"])
def test_a_hundred_names_of_very_many_take_few_rounds_and_bytes(form: str) -> None:
    mine, source = Side(), Side()
    rng = random.Random(3)
    for at in range(1000):
        ns = form.format(at)
        for side in (mine, source):
            names(side, ns, range(50))
    for _ in range(100):
        at = rng.randrange(50)
        names(source, form.format(rng.randrange(1000)), range(at, at + 1), number=1)
    found, rounds, size = pull_once(mine, source)
    assert sum(isinstance(item, FoundName) for item in found) >= 97
    assert rounds + 1 < 12  # and one for the records
    assert size < 500_000


def names(side: Side, ns: str, numbers: range, number: int = 0) -> None:
    """Let ``side`` know statement ``number`` of these names of ``ns``."""
    bindings = side.of(ns).bindings
    for at in numbers:
        path = path_of(at)
        bindings.setdefault(path, {}).setdefault(statement(ns, path, number), set()).add(0)


def path_of(number: int) -> str:
    """A path."""
    return f"pkg-{number:04}/latest"
