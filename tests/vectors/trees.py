"""Vectors of sections 3.1 to 3.4: trees, proofs, differences and what trees hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holo.core import codec, tree
from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.limits import LEAF_KEYS, TREE_KEY_BYTES, TREE_VALUE_BYTES
from holo.core.tree_node import Branch, Leaf, encode_node
from tests.records import content, kid
from tests.vectors.form import Group, Json, dag_json, flipped

Entries = Mapping[bytes, list[Any]]


def groups() -> Iterator[Group]:
    """Every group of these sections."""
    yield _trees()
    yield _proofs()
    yield _diffs()
    yield _values()


def numbered(count: int, form: bytes = b"app%03d/v1") -> dict[bytes, list[Any]]:
    """So many keys with small values."""
    return {form % number: [number] for number in range(count)}


def entries_json(entries: Entries) -> Json:
    """Entries as a vector holds them."""
    return [[key.hex(), dag_json(value)] for key, value in entries.items()]


_SHAPES: dict[str, Entries] = {
    "empty": {},
    "one": {b"app/latest": [content("a")]},
    "empty-key": {b"": [1]},
    "values": {b"a": [None], b"b": [True, 1, "x", b"x"], b"c": [[1, [2]], {"k": content("a")}]},
    "64": numbered(LEAF_KEYS),
    "65": numbered(LEAF_KEYS + 1),
    "65-and-the-prefix-itself": {b"app": [0], **numbered(LEAF_KEYS)},
    "65-below-an-own-value": {b"app": [0], **numbered(LEAF_KEYS + 1)},
    "every-byte": {bytes((byte,)): [byte] for byte in range(256)},
    "two-levels": {b"app%d/%02d" % (number // 70, number % 70): [number] for number in range(140)},
    "long-prefix": {b"p" * 40 + b"%03d" % number: [number] for number in range(66)},
    "chain": {b"a" * length: [length] for length in range(1, 100)},
    "longest-key": {b"k" * TREE_KEY_BYTES: [1]},
    "one-key-apart": {**numbered(LEAF_KEYS), b"zzz": [0]},
}


def _trees() -> Group:
    group = Group(
        "trees",
        "Trees (3.1, 3.2): the root and the nodes that contents have. `nodes` are in order of CID; for large trees "
        "only `root` and `count` are given. Entries may be given in any order.",
    )
    for name, entries in _SHAPES.items():
        made = tree.build(entries.items())
        result: dict[str, Json] = {"root": str(made.root), "count": len(entries)}
        if sum(map(len, made.added.values())) < 3000:
            result["nodes"] = [made.added[cid].hex() for cid in sorted(made.added)]
        group.valid(name, "build-tree", result, entries=entries_json(entries))
    for name, before, changes in (
        ("leaf-grows", "64", {b"b": [1]}),
        ("branch-shrinks", "65", {b"app000/v1": None}),
        ("value-changes", "65", {b"app001/v1": [99]}),
        ("prefix-shortens", "65", {b"apq": [1]}),
        ("prefix-lengthens", "one-key-apart", {b"zzz": None, b"app100/v1": [1]}),
        ("own-value-goes", "65-below-an-own-value", {b"app": None}),
        ("all-go", "65", dict.fromkeys(_SHAPES["65"])),
        ("nothing-there-to-delete", "65", {b"absent": None}),
    ):
        old = tree.build(_SHAPES[before].items())
        after = {key: value for key, value in {**_SHAPES[before], **changes}.items() if value is not None}
        made = tree.build(after.items())
        updated = tree.update(lambda cid, nodes=old.added: nodes[cid], old.root, changes)  # type: ignore[misc]
        assert updated.root == made.root, name
        group.valid(
            name, "update-tree", {"root": str(made.root), "count": len(after)},
            entries=entries_json(_SHAPES[before]),
            changes=[[key.hex(), dag_json(value)] for key, value in changes.items()],
        )  # fmt: skip
    _checked(group)
    return group


def _checked(group: Group) -> None:
    """Nodes and trees that are judged as they come."""
    plain = _SHAPES["65"]
    made = tree.build(plain.items())
    nodes = [made.added[cid].hex() for cid in sorted(made.added)]
    group.valid("checked", "check-tree", {"count": 65}, root=str(made.root), nodes=nodes)
    group.valid("empty-checked", "check-tree", {"count": 0}, root=str(tree.EMPTY), nodes=[])
    shared = _repeated(3)
    group.valid(
        "one-node-in-many-places", "check-tree", {"count": 64 * 26**3}, root=_cid(shared[-1]), nodes=_hex(shared)
    )
    for name, change, root in _bad_nodes():
        data = codec.encode(root)
        group.invalid(name, "check-tree", "tree-invalid", "checked", change, root=_cid(data), nodes=[data.hex()])
    root = made.added[made.root]
    missing = [data for cid, data in made.added.items() if cid != made.root]
    change = "without its root"
    group.invalid(
        "missing-node", "check-tree", "node-missing", "checked", change, root=str(made.root), nodes=_hex(missing)
    )
    below = next(iter(missing))
    fewer = [root, *(data for data in missing if data != below)]
    change = "without a node below"
    group.invalid(
        "missing-leaf", "check-tree", "node-missing", "checked", change, root=str(made.root), nodes=_hex(fewer)
    )
    value = codec.decode(root, 10_000)
    counts = [[byte, count, link] for byte, count, link in value[3]]
    counts[0][1] -= 1
    counts[1][1] += 1
    lying = codec.encode([1, value[1], value[2], counts])
    change = "two counts that are wrong and add up"
    group.invalid(
        "wrong-counts", "check-tree", "tree-invalid", "checked", change, root=_cid(lying), nodes=_hex([lying, *missing])
    )
    deep = encode_node(Leaf([(b"x" * TREE_KEY_BYTES, [1]), *((b"y%02d" % n, [1]) for n in range(63))]))
    top = encode_node(Branch(b"", None, [(byte, 64, Cid.of(DAG_CBOR, deep)) for byte in b"ab"]))
    change = "a suffix as long as a key may be, below the root"
    group.invalid(
        "key-too-long", "check-tree", "tree-invalid", "checked", change, root=_cid(top), nodes=_hex([top, deep])
    )


def _bad_nodes() -> Iterator[tuple[str, str, Any]]:
    link = Cid.of(DAG_CBOR, b"below")
    leaf = [[b"a", 1], [b"b", 2]]
    children = [[97, 33, link], [98, 32, link]]
    yield "no-list", "a map instead", {}
    yield "kind-2", "a kind that does not exist", [2, []]
    yield "kind-false", "false for 0", [False, leaf]
    yield "leaf-of-three", "a leaf with a third element", [0, leaf, None]
    yield "branch-of-three", "a branch without own", [1, b"", children]
    yield "leaf-of-65", "65 entries", [0, [[b"%02d" % n, n] for n in range(65)]]
    yield "suffixes-unsorted", "suffixes in another order", [0, leaf[::-1]]
    yield "suffix-twice", "a suffix twice", [0, [leaf[0], leaf[0]]]
    yield "suffix-as-text", "a suffix that is text", [0, [["a", 1]]]
    yield "suffix-too-long", "a suffix of 321 bytes", [0, [[b"a" * (TREE_KEY_BYTES + 1), 1]]]
    yield "entry-without-value", "an entry without a value", [0, [[b"a"]]]
    yield "value-too-large", "a value of 4,097 bytes", [0, [[b"a", bytes(TREE_VALUE_BYTES - 2)]]]
    yield "prefix-as-text", "a prefix that is text", [1, "", None, children]
    yield "own-empty", "an own value without items", [1, b"", [], children]
    yield "own-not-a-list", "an own value that is no list", [1, b"", 1, children]
    yield "64-keys-in-a-branch", "a branch of 64 keys", [1, b"", None, [[97, 32, link], [98, 32, link]]]
    yield "64-keys-with-own", "a branch of 63 keys and an own value", [1, b"", [1], [[97, 32, link], [98, 31, link]]]
    yield "one-child", "one child and no own value", [1, b"", None, [[97, 65, link]]]
    yield "no-child", "no child", [1, b"", [1], []]
    yield "children-unsorted", "children in another order", [1, b"", None, children[::-1]]
    yield "child-twice", "a byte twice", [1, b"", None, [children[0], children[0]]]
    yield "byte-256", "a byte of 256", [1, b"", None, [children[0], [256, 32, link]]]
    yield "byte-as-bytes", "a byte that is a byte string", [1, b"", None, [children[0], [b"b", 32, link]]]
    yield "count-zero", "a child without keys", [1, b"", None, [[97, 65, link], [98, 0, link]]]
    yield "count-true", "a count that is true", [1, b"", None, [[97, 65, link], [98, True, link]]]
    yield "link-to-raw", "a link to a blob", [1, b"", None, [children[0], [98, 32, Cid.of(RAW, b"below")]]]
    yield "child-of-two", "a child without a link", [1, b"", None, [children[0], [98, 32]]]
    above = [[97, 2**53 - 1, link], [98, 1, link]]
    yield "too-many-keys", "2^53 keys", [1, b"", None, above]


def _repeated(levels: int) -> list[bytes]:
    """The nodes of a tree in which one leaf stands 26^levels times; the last is the root."""
    data, count = encode_node(Leaf([(b"%02d" % n, [n]) for n in range(64)])), 64
    nodes = [data]
    for _ in range(levels):
        data = encode_node(Branch(b"", None, [(byte, count, Cid.of(DAG_CBOR, data)) for byte in range(97, 123)]))
        count *= 26
        nodes.append(data)
    return nodes


def _proofs() -> Group:
    group = Group("tree-proofs", "Proofs (3.3): nodes that prove a value, or, with null, that there is none.")
    for name, shape, key in (
        ("in-the-empty-tree", "empty", b"a"),
        ("present-in-a-leaf", "one", b"app/latest"),
        ("absent-in-a-leaf", "one", b"app/lates"),
        ("longer-than-what-is-there", "one", b"app/latest2"),
        ("present", "65", b"app037/v1"),
        ("absent-below", "65", b"app037/v2"),
        ("absent-beside-the-children", "65", b"app9"),
        ("absent-inside-the-prefix", "65", b"ap"),
        ("absent-beside-the-prefix", "65", b"abc"),
        ("the-prefix-itself-absent", "65", b"app0"),
        ("own-value", "65-below-an-own-value", b"app"),
        ("deep", "chain", b"a" * 40),
        ("second-level", "two-levels", b"app1/33"),
        ("empty-key", "empty-key", b""),
        ("empty-key-absent", "65", b""),
    ):
        made = tree.build(_SHAPES[shape].items())
        nodes = tree.prove(made.added.__getitem__, made.root, key)
        value = _SHAPES[shape].get(key)
        assert tree.check_proof(made.root, key, nodes) == value
        group.valid(
            name, "check-proof", {"value": None if value is None else dag_json(value)},
            root=str(made.root), key=key.hex(), nodes=_hex(nodes),
        )  # fmt: skip
    _forged(group)
    return group


def _forged(group: Group) -> None:
    made = tree.build(_SHAPES["65"].items())
    key = b"app037/v1"
    nodes = tree.prove(made.added.__getitem__, made.root, key)
    other = tree.prove(made.added.__getitem__, made.root, b"app059/v1")
    assert len(nodes) == 2
    assert other[1] != nodes[1]
    elsewhere = tree.build(_SHAPES["64"].items()).root

    def forged(name: str, change: str, bad: Sequence[bytes], root: Cid = made.root, sought: bytes = key) -> None:
        group.invalid(
            name, "check-proof", "proof-invalid", "present", change, root=str(root), key=sought.hex(), nodes=_hex(bad)
        )

    forged("no-nodes", "without nodes", [])
    forged("without-the-leaf", "without the last node", nodes[:1])
    forged("without-the-root", "without the first node", nodes[1:])
    forged("leaf-twice", "the last node twice", [*nodes, nodes[1]])
    forged("reversed", "in another order", nodes[::-1])
    forged("another-leaf", "the leaf of another key", [nodes[0], other[1]])
    forged("other-root", "under another root", nodes, elsewhere)
    forged("other-key", "for a key whose path goes elsewhere", nodes, sought=b"app059/v1")
    forged("bit-of-the-leaf", "one bit of the leaf", [nodes[0], flipped(nodes[1], -1)])
    forged("bit-of-the-root", "one bit of the root", [flipped(nodes[0], -1), nodes[1]])
    leaf = codec.decode(nodes[1], 10_000)
    without = codec.encode([0, [entry for entry in leaf[1] if not b"app037/v1".endswith(entry[0])]])
    root = codec.decode(nodes[0], 10_000)
    links = [
        [b, n, Cid.of(DAG_CBOR, without) if link == Cid.of(DAG_CBOR, nodes[1]) else link] for b, n, link in root[3]
    ]
    top = codec.encode([1, root[1], root[2], links])
    change = "a leaf with a key less than its parent says, under a root made for it"
    forged("fewer-keys-than-said", change, [top, without], Cid.of(DAG_CBOR, top))
    unsorted = codec.encode([0, leaf[1][::-1]])
    links = [
        [b, n, Cid.of(DAG_CBOR, unsorted) if link == Cid.of(DAG_CBOR, nodes[1]) else link] for b, n, link in root[3]
    ]
    top = codec.encode([1, root[1], root[2], links])
    change = "a leaf out of order, under a root made for it"
    forged("unsorted-leaf", change, [top, unsorted], Cid.of(DAG_CBOR, top))


def _diffs() -> Group:
    group = Group(
        "tree-diffs",
        "Differences (3.3): keys with their values before and after, rising, and the CIDs of the nodes that are new at "
        "their place.",
    )
    base = _SHAPES["two-levels"]
    for name, before, after in (
        ("equal", base, base),
        ("from-empty", {}, _SHAPES["values"]),
        ("to-empty", _SHAPES["values"], {}),
        ("one-value", base, {**base, b"app1/33": [-1]}),
        ("one-key-less", base, {key: value for key, value in base.items() if key != b"app0/00"}),
        ("leaf-to-branch", _SHAPES["64"], _SHAPES["65"]),
        ("nothing-shared", _SHAPES["64"], numbered(64, b"bpp%03d/v1")),
        ("true-is-not-one", {b"a": [1]}, {b"a": [True]}),
        ("a-link-is-not-its-bytes", {b"a": [content("a")]}, {b"a": [bytes(content("a"))]}),
        ("a-subtree-elsewhere", {b"a%02d" % n: [n] for n in range(66)}, {b"b%02d" % n: [n] for n in range(66)}),
    ):
        old, new = tree.build(before.items()), tree.build(after.items())
        changes = [
            [key.hex(), dag_json(before.get(key)), dag_json(after.get(key))]
            for key in sorted({*before, *after})
            if codec.encode(before.get(key)) != codec.encode(after.get(key))
        ]
        fresh = tree.changed_nodes(old.added.__getitem__, old.root, new.added.__getitem__, new.root)
        group.valid(
            name, "diff-trees", {"changes": changes, "new_nodes": sorted(str(cid) for cid, _ in fresh)},
            before=entries_json(before), after=entries_json(after),
        )  # fmt: skip
    return group


def _values() -> Group:
    group = Group("tree-values", "Values of trees (3.4), by the tree they are in.")
    one, two = Cid.of(DAG_CBOR, b"one"), Cid.of(DAG_CBOR, b"two")
    kids = sorted(bytes(kid(name)) for name in ("alice", "bob", "carol"))
    for name, place, value in (
        ("current", "bindings", [[one, [0]]]),
        ("forked", "bindings", [[two, [0, 3]], [one, [1, 255]]]),
        ("waiting", "pending", [[one, [0]], [two, [1]], [Cid.of(DAG_CBOR, b"three"), [0, 1]]]),
        ("endorsers", "policies", kids),
        ("state", "namespaces", [one]),
    ):
        group.valid(name, "read-value", {}, tree=place, value=dag_json(value))
    faults: list[tuple[str, str, str, str, list[Any]]] = [
        ("three-current", "bindings", "forked", "a third statement", [[one, [0]], [two, [1]], [content("a"), [2]]]),
        ("one-statement-twice", "bindings", "forked", "the same statement twice", [[one, [0]], [one, [1]]]),
        ("nobody", "bindings", "current", "no position", [[one, []]]),
        ("positions-unsorted", "bindings", "forked", "positions in another order", [[one, [3, 0]]]),
        ("position-twice", "bindings", "forked", "a position twice", [[one, [0, 0]]]),
        ("position-256", "bindings", "current", "a position of 256", [[one, [256]]]),
        ("position-negative", "bindings", "current", "a negative position", [[one, [-1]]]),
        ("position-true", "bindings", "current", "true for 1", [[one, [True]]]),
        ("statement-as-bytes", "bindings", "current", "a statement that is no link", [[bytes(one), [0]]]),
        ("no-pair", "bindings", "current", "a statement without positions", [one]),
        ("third-part", "bindings", "current", "a third part", [[one, [0], 1]]),
        ("pending-twice", "pending", "waiting", "a statement twice", [[one, [0]], [one, [0]]]),
        ("endorsers-unsorted", "policies", "endorsers", "kids in another order", kids[::-1]),
        ("endorser-twice", "policies", "endorsers", "a kid twice", [kids[0], kids[0]]),
        ("endorser-as-link", "policies", "endorsers", "a link for a kid", [one]),
        ("two-states", "namespaces", "state", "two links", [one, two]),
        ("state-as-bytes", "namespaces", "state", "a byte string for the link", [bytes(one)]),
    ]
    for name, place, of, change, wrong in faults:
        group.invalid(name, "read-value", "tree-invalid", of, change, tree=place, value=dag_json(wrong))
    return group


def _cid(data: bytes) -> str:
    return str(Cid.of(DAG_CBOR, data))


def _hex(nodes: Sequence[bytes]) -> list[str]:
    return [data.hex() for data in nodes]
