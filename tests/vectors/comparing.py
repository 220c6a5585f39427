"""Vectors of section 7.5: what comparing with a peer's catalog asks for and finds, and catalogs no honest node has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holo.core import tree
from holo.core.cid import DAG_CBOR, Cid
from holo.core.keys import did_of
from holo.core.state import Catalog, NamespaceState
from holo.core.tree_node import Branch, Leaf, encode_node
from tests.records import kid
from tests.vectors.form import Group

Entries = Mapping[bytes, list[Any]]


@dataclass
class Side:
    """A node's objects."""

    nodes: dict[Cid, bytes] = field(default_factory=dict)

    def root_of(self, entries: Entries) -> Cid:
        """The root of a tree."""
        made = tree.build(entries.items())
        self.nodes.update(made.added)
        return made.root

    def keep(self, data: bytes) -> Cid:
        """The id of an object."""
        cid = Cid.of(DAG_CBOR, data)
        self.nodes[cid] = data
        return cid

    def state(self, ns: str, *, policies: Entries = {}, bindings: Entries = {}, pending: Entries = {}) -> Cid:  # noqa: B006
        """The id of a namespace state."""
        roots = self.root_of(policies), self.root_of(bindings), self.root_of(pending)
        state = NamespaceState(ns, _GENESIS, _POLICY, None, *roots, len(bindings))
        return self.keep(state.as_statement().bytes)

    def catalog(self, states: Mapping[str, Cid], evidence: Entries = {}) -> Cid:  # noqa: B006
        """The id of a catalog."""
        return self.over(self.root_of({ns.encode(): [cid] for ns, cid in states.items()}), self.root_of(evidence))

    def over(self, namespaces: Cid, evidence: Cid = tree.EMPTY) -> Cid:
        """The id of a catalog with these roots."""
        return self.keep(Catalog(namespaces, evidence).as_statement().bytes)

    def leaf(self, *entries: tuple[bytes, list[Any]]) -> Cid:
        """The id of a leaf."""
        return self.keep(encode_node(Leaf(list(entries))))

    def branch(self, prefix: bytes, *children: tuple[int, int, Cid]) -> Cid:
        """The id of a branch."""
        return self.keep(encode_node(Branch(prefix, None, list(children))))


def _cid(text: str) -> Cid:
    return Cid.of(DAG_CBOR, text.encode())


_GENESIS, _POLICY = _cid("genesis"), _cid("policy")
_HOSTS = {"a": str(_GENESIS), "b": str(_GENESIS)}
_KIDS = sorted(kid(name) for name in ("root", "root2", "recovery"))


def comparisons() -> Group:
    """The group of this section."""
    group = Group(
        "comparisons",
        "Comparing with a peer's catalog (7.5). `objects` and `peer_objects` are what the two have; `hosts` the "
        "namespaces of interest. `found`: `differs` with whether names go by range, `policy` with the endorsers that "
        "lack, `binding` and `pending` with the positions that lack, `evidence`, in the order of their text; `wanted`: "
        "the objects that came; `gone`: how many the peer had not.",
    )
    for name, (mine, own, theirs, catalog, result) in _valid().items():
        _valid_case(group, name, mine, own, theirs, catalog, result)
    for name, (code, change, theirs, catalog) in _lies().items():
        group.invalid(
            name, "compare-catalogs", code, "nothing-here-yet", change,
            catalog=None, objects=[], hosts=_HOSTS, **_peer(theirs, catalog),
        )  # fmt: skip
    return group


def _peer(theirs: Side, catalog: Cid) -> dict[str, Any]:
    return {"peer_catalog": str(catalog), "peer_objects": [data.hex() for _, data in sorted(theirs.nodes.items())]}


def _valid_case(
    group: Group, name: str, mine: Side, own: Cid | None, theirs: Side, catalog: Cid, result: dict[str, Any]
) -> None:
    objects = [data.hex() for _, data in sorted(mine.nodes.items())]
    shown = {
        "found": sorted(result["found"], key=str),
        "wanted": sorted(map(str, result["wanted"])),
        "gone": result.get("gone", 0),
    }
    group.valid(
        name, "compare-catalogs", shown,
        catalog=None if own is None else str(own), objects=objects, hosts=_HOSTS, **_peer(theirs, catalog),
    )  # fmt: skip


def _names(count: int, changed: Mapping[int, str] = {}) -> dict[bytes, list[Any]]:
    return {b"pkg%03d/dev" % at: [[_cid(changed.get(at, f"one {at}")), [0]]] for at in range(count)}


Valid = tuple[Side, Cid | None, Side, Cid, dict[str, Any]]


def _valid() -> dict[str, Valid]:
    found: dict[str, Valid] = {}
    mine, theirs = Side(), Side()
    one = mine.catalog({"a": mine.state("a", bindings=_names(3))})
    other = theirs.catalog({"a": theirs.state("a", bindings=_names(3))})
    found["equal"] = mine, one, theirs, other, {"found": [], "wanted": [other]}

    theirs = Side()
    state = theirs.state("a", bindings=_names(3), policies={bytes(_POLICY): _KIDS[:1]})
    other = theirs.catalog({"a": state, "c": theirs.state("c")})
    policy = ["policy", "a", str(_POLICY), [did_of(_KIDS[0])]]
    names, policies = (
        theirs.root_of({b"a": [state], b"c": [theirs.state("c")]}),
        theirs.root_of({bytes(_POLICY): _KIDS[:1]}),
    )
    found["nothing-here-yet"] = (
        Side(), None, theirs, other,
        {"found": [["differs", "a", True], policy], "wanted": [other, names, state, theirs.state("c"), policies]},
    )  # fmt: skip

    mine, theirs = Side(), Side()
    one = mine.catalog({"a": mine.state("a", bindings=_names(90))})
    state = theirs.state("a", bindings=_names(90, {7: "new", 70: "new too"}))
    other = theirs.catalog({"a": state})
    root = theirs.root_of(_names(90, {7: "new", 70: "new too"}))
    path = [cid for key in (b"pkg007/dev", b"pkg070/dev") for cid in _path(theirs, root, key)]
    found["two-names-of-many"] = (
        mine, one, theirs, other,
        {
            "found": [
                ["differs", "a", False],
                ["binding", "a", "pkg007/dev", str(_cid("new")), [0]],
                ["binding", "a", "pkg070/dev", str(_cid("new too")), [0]],
            ],
            "wanted": {other, theirs.root_of({b"a": [state]}), state, *path},
        },
    )  # fmt: skip

    mine, theirs = Side(), Side()
    one = mine.catalog({"a": mine.state("a", bindings=_names(64))})
    more = {**_names(64), b"zzz/dev": [[_cid("zzz"), [0]]]}
    state = theirs.state("a", bindings=more)
    other = theirs.catalog({"a": state})
    root = theirs.root_of(more)
    found["a-leaf-here-a-branch-there"] = (
        mine, one, theirs, other,
        {
            "found": [["differs", "a", False], ["binding", "a", "zzz/dev", str(_cid("zzz")), [0]]],
            "wanted": {other, theirs.root_of({b"a": [state]}), state, *_path(theirs, root, b"zzz/dev")},
        },
    )  # fmt: skip

    mine, theirs = Side(), Side()
    cited = [[_cid("x"), [0, 2]], [_cid("y"), [1]]]
    one = mine.catalog(
        {"a": mine.state("a", policies={bytes(_POLICY): _KIDS[1:2]}, pending={b"x/y": [[_cid("x"), [1, 2]]]})}
    )
    endorsed: Entries = {bytes(_POLICY): _KIDS}
    pending: Entries = {b"x/y": cited}
    state = theirs.state("a", policies=endorsed, pending=pending)
    other = theirs.catalog({"a": state})
    lacking = [did_of(_KIDS[at]) for at in (0, 2)]
    found["endorsements"] = (
        mine, one, theirs, other,
        {
            "found": [
                ["differs", "a", False],
                ["policy", "a", str(_POLICY), lacking],
                ["pending", "a", "x/y", str(_cid("x")), [0]],
                ["pending", "a", "x/y", str(_cid("y")), [1]],
            ],
            "wanted": [other, theirs.root_of({b"a": [state]}), state, *map(theirs.root_of, (endorsed, pending))],
        },
    )  # fmt: skip

    mine, theirs = Side(), Side()
    less, greater = sorted((_cid("evidence"), _cid("more evidence")))
    one = mine.catalog({}, {bytes(_KIDS[0]): [greater], bytes(_KIDS[1]): [less]})
    evidence: Entries = {_KIDS[0]: [less], _KIDS[1]: [greater], _KIDS[2]: [greater]}
    other = theirs.catalog({}, evidence)
    found["evidence"] = (
        mine, one, theirs, other,
        {
            "found": [["evidence", _KIDS[0].hex(), str(less)], ["evidence", _KIDS[2].hex(), str(greater)]],
            "wanted": [other, theirs.root_of(evidence)],
        },
    )  # fmt: skip

    theirs = Side()
    other = theirs.over(_cid("a tree that is no longer there"))
    found["moved-on"] = Side(), None, theirs, other, {"found": [], "wanted": [other], "gone": 1}
    return found


def _path(side: Side, root: Cid, key: bytes) -> list[Cid]:
    return [Cid.of(DAG_CBOR, data) for data in tree.prove(side.nodes.__getitem__, root, key)]


def _lies() -> dict[str, tuple[str, str, Side, Cid]]:
    found: dict[str, tuple[str, str, Side, Cid]] = {}

    def lie(name: str, code: str, change: str) -> Side:
        side = Side()
        found[name] = code, change, side, _POLICY
        return side

    def top(name: str, catalog: Cid) -> None:
        code, change, side, _ = found[name]
        found[name] = code, change, side, catalog

    bad = "tree-invalid"
    side = lie("state-as-catalog", "type-mismatch", "a namespace state where the catalog is")
    top("state-as-catalog", side.state("a"))
    side = lie("catalog-as-node", bad, "a catalog where a node is")
    top("catalog-as-node", side.over(side.over(tree.EMPTY)))
    side = lie("state-of-another", bad, "the state of another namespace")
    top("state-of-another", side.over(side.leaf((b"b", [side.state("a")]))))
    side = lie("two-states", bad, "two states of one namespace")
    top("two-states", side.over(side.leaf((b"a", [_POLICY, _GENESIS]))))
    side = lie("state-twice", bad, "one state under two names")
    top("state-twice", side.over(side.leaf((b"a", [side.state("a")]), (b"b", [side.state("a")]))))
    side = lie("no-namespace", "name-invalid", "a key that is no namespace")
    top("no-namespace", side.over(side.leaf((b"A", [side.state("a")]))))
    side = lie("node-twice", bad, "one node in two places")
    leaf = side.leaf(*[(bytes((at,)), [[_cid(str(at)), [0]]]) for at in range(40)])
    top("node-twice", side.over(side.branch(b"", (97, 40, leaf), (98, 40, leaf))))
    side = lie("counts", bad, "a child with fewer keys than its parent says")
    leaf = side.leaf(*[(bytes((at,)), [_cid(str(at))]) for at in range(40)])
    top("counts", side.over(side.branch(b"", (97, 41, leaf), (98, 40, _cid("another")))))
    side = lie("policy-no-cid", "cid-invalid", "a key of policies that is no CID")
    state = side.state("a", policies={b"x": _KIDS[:1]})
    top("policy-no-cid", side.catalog({"a": state}))
    side = lie("pending-no-positions", bad, "a statement without positions")
    top("pending-no-positions", side.catalog({"a": side.state("a", pending={b"x/y": [[_cid("x"), []]]})}))
    side = lie("path-no-text", bad, "a path that is not ASCII")
    top("path-no-text", side.catalog({"a": side.state("a", pending={b"\xff": [[_cid("x"), [0]]]})}))
    side = lie("evidence-no-link", bad, "evidence that is no link")
    top("evidence-no-link", side.catalog({}, {_KIDS[0]: [1]}))
    return found
