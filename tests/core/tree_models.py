"""What tests of the tree stand on: a shelf of nodes, keys that hit every case, and the tree as the text says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st

from holo.core import codec, tree
from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Missing


class Shelf:
    """Nodes by CID, and which of them have been read."""

    def __init__(self, nodes: Mapping[Cid, bytes] | None = None) -> None:
        self.nodes = dict(nodes or {})
        self.reads: list[Cid] = []

    def read(self, cid: Cid) -> bytes:
        self.reads.append(cid)
        try:
            return self.nodes[cid]
        except KeyError:
            raise Missing("node-missing", subject=str(cid)) from None

    def put(self, shape: Any) -> Cid:
        """Keep the node that ``shape`` writes, well formed or not."""
        data = codec.encode(shape)
        cid = Cid.of(DAG_CBOR, data)
        self.nodes[cid] = data
        return cid


def shelf_of(items: Iterable[tuple[bytes, tree.Value]]) -> tuple[Shelf, Cid]:
    """A built tree: its nodes and its root."""
    change = tree.build(items)
    return Shelf(change.added), change.root


def stated_root(contents: Mapping[bytes, tree.Value]) -> tuple[Cid, int]:
    """The root and the number of nodes of the tree of ``contents``, written from the specification alone."""
    if len(contents) <= 64:
        return codec.cid_of([0, [[key, *contents[key]] for key in sorted(contents)]]), 1
    length = 0
    while len({key[: length + 1] for key in contents}) == 1:
        length += 1
    prefix = min(contents)[:length]
    below: dict[int, dict[bytes, tree.Value]] = {}
    for key, value in contents.items():
        if key != prefix:
            below.setdefault(key[length], {})[key[length + 1 :]] = value
    children: list[Any] = []
    nodes = 1
    for byte in sorted(below):
        link, count = stated_root(below[byte])
        children.append([byte, len(below[byte]), link])
        nodes += count
    return codec.cid_of([1, prefix, contents.get(prefix), children]), nodes


def statement_id(seed: bytes) -> Cid:
    """A CID that no other seed has."""
    return Cid.of(DAG_CBOR, seed)


def named(key: bytes, turn: int = 0) -> tree.Value:
    """A value that belongs to one key, as in the trees of a catalog."""
    return [[statement_id(b"%d " % turn + key), [0, turn % 3]]]


# A few letters make prefixes of each other, branches and deep chains likely; the two ends of a byte are special.
_letters = st.sampled_from([0, 97, 98, 255])
_short = st.lists(_letters, max_size=5).map(bytes)
_long = st.builds(lambda head, tail: head * 300 + tail, st.sampled_from([b"p", b"q"]), _short)
_runs = st.integers(0, 320).map(lambda length: b"a" * length)
_wide = st.binary(min_size=1, max_size=3)
keys = st.one_of(_short, _short, _wide, _long, _runs)


@st.composite
def key_sets(draw: st.DrawFn, max_blocks: int = 3) -> set[bytes]:
    """Keys alone and in blocks around the size at which a leaf becomes a branch."""
    chosen = draw(st.sets(keys, max_size=12))
    for _ in range(draw(st.integers(0, max_blocks))):
        stem = draw(_short | st.just(b"p" * 300))
        size = draw(st.sampled_from([1, 20, 63, 64, 65, 66, 130, 256]))
        chosen |= {stem + bytes((last,)) for last in range(size)}
    return chosen
