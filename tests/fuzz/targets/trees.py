"""Sections 3 and 5: nodes, trees and proofs from strangers, states, catalogs, values of trees, and the receipt log."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

from holo.core import codec, limits, log, tree
from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Missing, Rejected
from holo.core.state import (
    cited_value,
    decode_catalog,
    decode_namespace_state,
    endorsers_value,
    parse_current,
    parse_endorsers,
    parse_pending,
    parse_state_value,
    shown_pending,
    state_value,
)
from holo.core.tree_node import decode_node, encode_node, parse_node
from tests.dag_json import from_dag_json
from tests.fuzz.seeds import hexes, of_vectors
from tests.fuzz.target import Target, check_code

_KEYS_LOOKED_AT = 500


def _node(data: bytes) -> None:
    node = decode_node(data)
    assert encode_node(node) == data
    assert parse_node(data) == node


def _nodes_of(value: Any) -> list[bytes]:
    if not (isinstance(value, list) and value and all(type(item) is bytes for item in value)):
        raise Rejected("field-invalid", "not a list of nodes")
    return value


def _reader(nodes: list[bytes]) -> Callable[[Cid], bytes]:
    held = {Cid.of(DAG_CBOR, data): data for data in nodes}

    def read(cid: Cid) -> bytes:
        if cid not in held:
            raise Missing("node-missing", str(cid))
        return held[cid]

    return read


def _tree(data: bytes) -> None:
    """A list of nodes, the root first. A tree that is accepted is the only one of its keys."""
    nodes = _nodes_of(codec.decode(data, limits.NODE_BYTES))
    root, read = Cid.of(DAG_CBOR, nodes[0]), _reader(nodes)
    total = tree.check_tree(read, root)
    assert tree.count(read, root) == total
    if total <= _KEYS_LOOKED_AT:
        entries = list(tree.iterate(read, root))
        assert len(entries) == total
        assert [key for key, _ in entries] == sorted({key for key, _ in entries})
        assert tree.build(entries).root == root
        for key, value in entries[:4]:
            assert tree.check_proof(root, key, tree.prove(read, root, key)) == value == tree.get(read, root, key)
        assert tree.check_proof(root, b"\x00absent", tree.prove(read, root, b"\x00absent")) is None or total


def _proof(data: bytes) -> None:
    """A key and nodes, the root first. A proof that is accepted is the only one, and says what the nodes hold."""
    value = codec.decode(data, limits.NODE_BYTES)
    if not (isinstance(value, list) and len(value) == 2 and type(value[0]) is bytes):
        raise Rejected("field-invalid", "not a key and nodes")
    key, nodes = value[0], _nodes_of(value[1])
    root, read = Cid.of(DAG_CBOR, nodes[0]), _reader(nodes)
    found = tree.check_proof(root, key, nodes)
    assert tree.prove(read, root, key) == nodes
    assert tree.get(read, root, key) == found
    for wrong in (nodes[:-1], [*nodes, nodes[-1]], nodes[::-1] if len(nodes) > 1 else []):
        assert _refused(partial(tree.check_proof, root, key, wrong))


def _refused(check: Callable[[], object]) -> bool:
    try:
        check()
    except Rejected as refusal:
        return refusal.code in ("proof-invalid", "log-invalid")
    return False


def _state(data: bytes) -> None:
    assert decode_namespace_state(data).as_statement().bytes == data


def _catalog(data: bytes) -> None:
    assert decode_catalog(data).as_statement().bytes == data


_VALUES: dict[str, Callable[[list[Any]], list[Any]]] = {
    "bindings": lambda value: cited_value(parse_current(value)),
    "pending": lambda value: cited_value(parse_pending(value)),
    "policies": lambda value: endorsers_value(parse_endorsers(value)),
    "namespaces": lambda value: state_value(parse_state_value(value)),
}


def _value(data: bytes) -> None:
    """The name of a tree and a value of it, as a node holds it: what is read is written again as it was."""
    pair = codec.decode(data, limits.TREE_VALUE_BYTES)
    if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], list) and pair[1]):
        raise Rejected("field-invalid", "not a tree and a value")
    if type(pair[0]) is not str or pair[0] not in _VALUES:
        raise Rejected("field-invalid", "no such tree")
    assert _VALUES[pair[0]](pair[1]) == pair[1]
    if pair[0] == "pending":
        shown = shown_pending((cited, cited.positions[-1] + 1) for cited in parse_pending(pair[1]))
        assert len(shown) <= len(pair[1])


# ------------------------------------------------------------------------------------------ the log

_LEAVES = 40


@functools.cache
def _hashes() -> dict[tuple[int, int], bytes]:
    found: dict[tuple[int, int], bytes] = {}
    for number in range(_LEAVES):
        for level, index, value in log.append(number, log.leaf_hash(bytes([number])), lambda *at: found[at]):
            found[level, index] = value
    return found


def _hash_at(level: int, index: int) -> bytes:
    return _hashes()[level, index]


def _log(data: bytes) -> None:
    """[kind, one number, another, hashes]: of one log a claim is accepted exactly if it is true and so proved.

    Kind 0 is that the leaf of the first number is in the log of the second's size, 1 that the log of the first size
    begins the log of the second. Hashes are of complete subtrees, or 32 bytes.
    """
    value = codec.decode(data, 4096)
    if not (isinstance(value, list) and len(value) == 4 and all(type(item) is int for item in value[:3])):
        raise Rejected("field-invalid", "not a claim")
    kind, first, second, proof = value
    if not (isinstance(proof, list) and 0 <= first <= _LEAVES and 0 <= second <= _LEAVES):
        raise Rejected("field-invalid", "not a claim about this log")
    root = log.root(second, _hash_at)
    true = False
    try:
        if kind == 0:
            true = first < second and proof == log.inclusion_proof(first, second, _hash_at)
            log.check_inclusion(log.leaf_hash(bytes([first])), first, second, proof, root)
        else:
            true = first <= second and proof == log.consistency_proof(first, second, _hash_at)
            log.check_consistency(first, log.root(first, _hash_at), second, root, proof)
    except Rejected as refusal:
        check_code(refusal, "log-invalid")
        assert not true
        raise
    assert true


def _huge_log(data: bytes) -> None:
    """[one number, another, hashes]: proofs for sizes nobody has are refused as fast as any."""
    value = codec.decode(data, 4096)
    if not (isinstance(value, list) and len(value) == 3 and all(type(item) is int for item in value[:2])):
        raise Rejected("field-invalid", "not a claim")
    first, second, proof = value
    if not isinstance(proof, list):
        raise Rejected("field-invalid", "not a proof")
    digest = bytes(32)
    assert _refused(lambda: log.check_inclusion(digest, first, second, proof, digest)) or (first, second) == (0, 1)
    log.check_consistency(first, digest, second, digest, proof)
    assert first == second
    assert proof == []


def _log_seeds() -> list[bytes]:
    pairs = [(0, 1), (3, 7), (4, 8), (6, 40), (39, 40), (7, 7), (0, 0), (8, 16)]
    claims = [[1, one, two, log.consistency_proof(one, two, _hash_at)] for one, two in pairs]
    claims += [[0, one, two, log.inclusion_proof(one, two, _hash_at)] for one, two in pairs if one < two]
    claims += [[1, 3, 7, []], [0, 3, 7, [log.EMPTY_ROOT] * 3], [0, 9, 8, []]]
    return [codec.encode(claim) for claim in claims]


def _huge_log_seeds() -> list[bytes]:
    pairs = [(0, 0), (1, 2**53 - 1), (2**52, 2**53 - 1), (2**53 - 2, 2**53 - 1), (5, 5), (2**40, 2**41)]
    return [codec.encode([one, two, [bytes(32)] * many]) for one, two in pairs for many in (0, 1, 40, 53)]


def _proof_seed(given: Any) -> Any:
    yield codec.encode([bytes.fromhex(given["key"]), [bytes.fromhex(text) for text in given["nodes"]]])


def _tree_seed(given: Any) -> Any:
    nodes = [bytes.fromhex(text) for text in given["nodes"]]
    root = Cid.parse(given["root"])
    yield codec.encode(sorted(nodes, key=lambda node: Cid.of(DAG_CBOR, node) != root))


def _built_trees() -> list[bytes]:
    made = []
    for entries in (
        {bytes([at]): [at] for at in range(65)},
        {b"p" + bytes([at]): [at] for at in range(70)} | {b"p": [None]},
        {bytes([at, of]): [at] for at in range(2) for of in range(66)},
    ):
        built = tree.build(list(entries.items()))
        made.append(codec.encode(sorted(built.added.values(), key=lambda node: Cid.of(DAG_CBOR, node) != built.root)))
    return made


def _value_seed(given: Any) -> Any:
    yield codec.encode([given["tree"], from_dag_json(given["value"])])


def _node_seeds() -> list[bytes]:
    return [*of_vectors("check-proof", hexes("nodes"), 4096), *of_vectors("check-tree", hexes("nodes"), 4096)]


TARGETS = (
    Target("tree-node", _node, _node_seeds, structured=True),
    Target(
        "tree", _tree, lambda: [*of_vectors("check-tree", _tree_seed, 8192), *_built_trees()], 16384, structured=True
    ),
    Target("tree-proof", _proof, lambda: of_vectors("check-proof", _proof_seed, 8192), 8192, structured=True),
    Target("tree-value", _value, lambda: of_vectors("read-value", _value_seed), 4096, structured=True),
    Target("state", _state, lambda: of_vectors("decode-namespace-state", hexes("bytes")), structured=True),
    Target("catalog", _catalog, lambda: of_vectors("decode-catalog", hexes("bytes")), structured=True),
    Target("log", _log, _log_seeds, 2048, structured=True),
    Target("log-sizes", _huge_log, _huge_log_seeds, 2048, structured=True),
)
