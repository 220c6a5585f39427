"""The receipt log, against the recursive text of RFC 9162, known trees and another library."""

from __future__ import annotations

import hashlib
from typing import Any

import pymerkle  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import log
from holo.core.cid import CBOR, Cid
from holo.core.errors import Rejected

sizes = st.integers(1, 70)


def leaf_data(index: int) -> bytes:
    return Cid.of(CBOR, index.to_bytes(4, "big"))


class Log:
    """A log in memory that knows only what ``append`` gave it."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.size = 0
        self.hashes: dict[tuple[int, int], bytes] = {}
        for data in leaves:
            made = log.append(self.size, log.leaf_hash(data), self.read)
            self.hashes.update({(level, index): digest for level, index, digest in made})
            self.size += 1

    def read(self, level: int, index: int) -> bytes:
        return self.hashes[level, index]


BIG = Log([leaf_data(index) for index in range(200)])
LEAVES = [leaf_data(index) for index in range(200)]


# ------------------------------------------------------------------------ the RFC's definitions, word for word


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def left_part(length: int) -> int:
    """The largest power of two smaller than ``length``."""
    k = 1
    while k * 2 < length:
        k *= 2
    return k


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0])
    k = left_part(len(leaves))
    return sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:]))


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 9162 section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = left_part(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 9162 section 2.1.4.1."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = left_part(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def test_every_root_up_to_64_leaves_is_the_rfcs() -> None:
    for size in range(65):
        assert log.root(size, BIG.read) == mth(LEAVES[:size])


def test_every_inclusion_proof_up_to_33_leaves_is_the_rfcs_and_holds() -> None:
    for size in range(1, 34):
        for index in range(size):
            proof = log.inclusion_proof(index, size, BIG.read)
            assert proof == path(index, LEAVES[:size])
            log.check_inclusion(log.leaf_hash(LEAVES[index]), index, size, proof, mth(LEAVES[:size]))


def test_every_consistency_proof_up_to_33_leaves_is_the_rfcs_and_holds() -> None:
    for new_size in range(1, 34):
        for old_size in range(1, new_size + 1):
            proof = log.consistency_proof(old_size, new_size, BIG.read)
            assert proof == subproof(old_size, LEAVES[:new_size], True)
            log.check_consistency(old_size, mth(LEAVES[:old_size]), new_size, mth(LEAVES[:new_size]), proof)


@given(st.data())
def test_larger_logs_are_the_rfcs_too(data: st.DataObject) -> None:
    new_size = data.draw(st.integers(1, 200))
    old_size = data.draw(st.integers(1, new_size))
    index = data.draw(st.integers(0, new_size - 1))
    assert log.root(new_size, BIG.read) == mth(LEAVES[:new_size])
    assert log.inclusion_proof(index, new_size, BIG.read) == path(index, LEAVES[:new_size])
    assert log.consistency_proof(old_size, new_size, BIG.read) == subproof(old_size, LEAVES[:new_size], True)


def test_append_makes_each_complete_subtree_once_and_nothing_else() -> None:
    made: list[tuple[int, int]] = []
    known = Log([])
    for size, data in enumerate(LEAVES):
        added = log.append(size, log.leaf_hash(data), known.read)
        assert added[0] == (0, size, log.leaf_hash(data))
        for level, index, digest in added:
            assert digest == mth(LEAVES[index << level : (index + 1) << level])
        known.hashes.update({(level, index): digest for level, index, digest in added})
        made += [(level, index) for level, index, _ in added]
    assert len(made) == len(set(made))
    assert set(made) == {(level, index) for level in range(9) for index in range(len(LEAVES) >> level)}


def test_reads_stay_few() -> None:
    """A proof reads about as many hashes as it has, so that a large log costs no more than its depth."""
    reads: list[tuple[int, int]] = []

    def read(level: int, index: int) -> bytes:
        reads.append((level, index))
        return sha256(repr((level, index)).encode())

    size = 2**52 + 2**40 - 1
    for ask in (
        lambda: log.root(size, read),
        lambda: log.inclusion_proof(0, size, read),
        lambda: log.inclusion_proof(size - 1, size, read),
        lambda: log.inclusion_proof(2**39 + 5, size, read),
        lambda: log.consistency_proof(2**39 + 5, size, read),
        lambda: log.consistency_proof(size - 1, size, read),
        lambda: log.append(2**53 - 1, sha256(b""), read),
    ):
        reads.clear()
        ask()
        assert len(reads) <= 2 * 53
        assert all((index + 1) << level <= 2**53 for level, index in reads)


# ------------------------------------------------------------------------------ known trees of RFC 6962's family

KNOWN_LEAVES = [
    bytes.fromhex(data)
    for data in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
KNOWN_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
KNOWN_INCLUSION: dict[tuple[int, int], list[str]] = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
KNOWN_CONSISTENCY: dict[tuple[int, int], list[str]] = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def test_the_known_tree_has_its_known_roots() -> None:
    known = Log(KNOWN_LEAVES)
    assert [log.root(size, known.read).hex() for size in range(9)] == KNOWN_ROOTS
    assert KNOWN_ROOTS[0] == log.EMPTY_ROOT.hex()


@pytest.mark.parametrize(("index", "size"), KNOWN_INCLUSION)
def test_the_known_tree_has_its_known_inclusion_proofs(index: int, size: int) -> None:
    proof = [bytes.fromhex(digest) for digest in KNOWN_INCLUSION[index, size]]
    assert log.inclusion_proof(index, size, Log(KNOWN_LEAVES).read) == proof
    leaf = log.leaf_hash(KNOWN_LEAVES[index])
    log.check_inclusion(leaf, index, size, proof, bytes.fromhex(KNOWN_ROOTS[size]))


@pytest.mark.parametrize(("old_size", "new_size"), KNOWN_CONSISTENCY)
def test_the_known_tree_has_its_known_consistency_proofs(old_size: int, new_size: int) -> None:
    proof = [bytes.fromhex(digest) for digest in KNOWN_CONSISTENCY[old_size, new_size]]
    assert log.consistency_proof(old_size, new_size, Log(KNOWN_LEAVES).read) == proof
    old_root, new_root = (bytes.fromhex(KNOWN_ROOTS[size]) for size in (old_size, new_size))
    log.check_consistency(old_size, old_root, new_size, new_root, proof)


# ------------------------------------------------------------------------------------------ what is refused


def inclusion_refused(leaf: Any, index: Any, size: Any, proof: Any, root: Any) -> str:
    with pytest.raises(Rejected) as caught:
        log.check_inclusion(leaf, index, size, proof, root)
    assert caught.value.code == "log-invalid"
    return caught.value.detail


def consistency_refused(old_size: Any, old_root: Any, new_size: Any, new_root: Any, proof: Any) -> str:
    with pytest.raises(Rejected) as caught:
        log.check_consistency(old_size, old_root, new_size, new_root, proof)
    assert caught.value.code == "log-invalid"
    return caught.value.detail


def flips(data: bytes) -> list[bytes]:
    return [
        bytes(byte ^ (1 << bit % 8 if bit // 8 == at else 0) for at, byte in enumerate(data))
        for bit in range(8 * len(data))
    ]


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (1, 2), (2, 3), (4, 7), (5, 8), (16, 17), (3, 21)])
def test_every_bit_of_an_inclusion_counts(index: int, size: int) -> None:
    leaf, root = log.leaf_hash(LEAVES[index]), log.root(size, BIG.read)
    proof = log.inclusion_proof(index, size, BIG.read)
    for other in flips(root):
        assert "does not lead to the root" in inclusion_refused(leaf, index, size, proof, other)
    for other in flips(leaf):
        assert "does not lead to the root" in inclusion_refused(other, index, size, proof, root)
    for at, digest in enumerate(proof):
        for other in flips(digest):
            inclusion_refused(leaf, index, size, [*proof[:at], other, *proof[at + 1 :]], root)


@pytest.mark.parametrize(("old_size", "new_size"), [(1, 2), (1, 8), (2, 5), (3, 7), (4, 8), (6, 7), (6, 8), (13, 21)])
def test_every_bit_of_a_consistency_counts(old_size: int, new_size: int) -> None:
    old_root, new_root = log.root(old_size, BIG.read), log.root(new_size, BIG.read)
    proof = log.consistency_proof(old_size, new_size, BIG.read)
    for other in flips(old_root):
        consistency_refused(old_size, other, new_size, new_root, proof)
    for other in flips(new_root):
        assert "the new root" in consistency_refused(old_size, old_root, new_size, other, proof)
    for at, digest in enumerate(proof):
        for other in flips(digest):
            consistency_refused(old_size, old_root, new_size, new_root, [*proof[:at], other, *proof[at + 1 :]])


@given(sizes, st.data())
def test_a_proof_of_another_index_or_size_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaf, root = log.leaf_hash(LEAVES[index]), log.root(size, BIG.read)
    proof = log.inclusion_proof(index, size, BIG.read)
    for other in range(-1, size + 2):
        if other != index:
            inclusion_refused(leaf, other, size, proof, root)
    for other in range(-1, 80):
        # Where the sizes differ only above the path, the same hashes prove the leaf in a log of another size with this
        # root; a head signs size and root together, so that no such head exists.
        if other != size and log._shape(index, max(other, index + 1)) != log._shape(index, size):
            inclusion_refused(leaf, index, other, proof, root)


@given(sizes, st.data())
def test_a_consistency_proof_of_other_sizes_is_refused(new_size: int, data: st.DataObject) -> None:
    old_size = data.draw(st.integers(1, new_size))
    old_root, new_root = log.root(old_size, BIG.read), log.root(new_size, BIG.read)
    proof = log.consistency_proof(old_size, new_size, BIG.read)
    for other in range(-1, new_size + 2):
        if other != old_size:
            consistency_refused(other, old_root, new_size, new_root, proof)


@given(sizes, st.data())
def test_a_proof_of_another_length_is_refused_before_it_is_hashed(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    old_size = data.draw(st.integers(0, size))
    leaf, root, old_root = log.leaf_hash(LEAVES[index]), log.root(size, BIG.read), log.root(old_size, BIG.read)
    proof = log.inclusion_proof(index, size, BIG.read)
    assert "a proof of" in inclusion_refused(leaf, index, size, [*proof, root], root)
    assert "a proof of" in inclusion_refused(leaf, index, size, [root, *proof], root)
    if proof:
        assert "a proof of" in inclusion_refused(leaf, index, size, proof[:-1], root)
        assert "a proof of" in inclusion_refused(leaf, index, size, proof[1:], root)
    proof = log.consistency_proof(old_size, size, BIG.read)
    assert "a proof of" in consistency_refused(old_size, old_root, size, root, [*proof, root])
    assert "a proof of" in consistency_refused(old_size, old_root, size, root, [old_root, *proof])
    if proof:
        assert "a proof of" in consistency_refused(old_size, old_root, size, root, proof[:-1])
        assert "a proof of" in consistency_refused(old_size, old_root, size, root, proof[1:])


class Endless(list[bytes]):
    """Hashes without end, which fails the test as soon as one is looked at."""

    def __len__(self) -> int:
        return 10**12

    def __iter__(self) -> Any:
        raise AssertionError("the proof was read before its length was checked")


@pytest.mark.parametrize("size", [1, 5, 64, 2**53 - 1])
def test_an_endless_proof_is_not_read(size: int) -> None:
    root = sha256(b"")
    assert "a proof of" in inclusion_refused(root, 0, size, Endless(), root)
    assert "a proof of" in consistency_refused(1, root, size, root, Endless())
    assert "a proof of" in consistency_refused(0, log.EMPTY_ROOT, size, root, Endless())


def test_sizes_out_of_order_or_range_are_refused() -> None:
    root = sha256(b"")
    for index, size in [(0, 0), (1, 1), (-1, 1), (0, -1), (5, 2), (0, 2**53), (2**53, 2**53 + 1), (0, 10**5000)]:
        assert "the index is not within" in inclusion_refused(root, index, size, [], root)
    for old_size, new_size in [(2, 1), (-1, 1), (-1, -1), (1, 2**53), (2**53, 2**53), (1, 10**5000), (10**5000, 1)]:
        assert "not in order" in consistency_refused(old_size, root, new_size, root, [])


def test_nothing_to_prove_still_has_its_rules() -> None:
    one, two = log.root(1, BIG.read), log.root(2, BIG.read)
    assert log.consistency_proof(0, 2, BIG.read) == []
    log.check_consistency(0, log.EMPTY_ROOT, 2, two, [])
    log.check_consistency(0, log.EMPTY_ROOT, 0, log.EMPTY_ROOT, [])
    log.check_consistency(2, two, 2, two, [])
    assert "size 0" in consistency_refused(0, one, 2, two, [])
    assert "size 0" in consistency_refused(0, one, 0, one, [])
    assert "two roots" in consistency_refused(0, log.EMPTY_ROOT, 0, one, [])
    assert "two roots" in consistency_refused(2, two, 2, one, [])
    assert "a proof of" in consistency_refused(2, two, 2, two, [two])
    assert "a proof of" in consistency_refused(0, log.EMPTY_ROOT, 2, two, [two])
    assert "a proof of" in consistency_refused(1, one, 2, two, [])


@pytest.mark.parametrize("wrong", [b"", b"\0" * 31, b"\0" * 33, "0" * 32, 5, None, [0] * 32, bytearray(32)])
def test_what_is_no_hash_is_refused(wrong: Any) -> None:
    leaf, root = log.leaf_hash(LEAVES[0]), log.root(2, BIG.read)
    assert "32 bytes" in inclusion_refused(leaf, 0, 2, [wrong], root)
    assert "32 bytes" in inclusion_refused(wrong, 0, 1, [], wrong)
    assert "32 bytes" in inclusion_refused(leaf, 0, 1, [], wrong)
    assert "32 bytes" in consistency_refused(1, leaf, 2, root, [wrong])
    assert "32 bytes" in consistency_refused(2, wrong, 2, wrong, [])
    assert "32 bytes" in consistency_refused(0, log.EMPTY_ROOT, 2, wrong, [])


def test_a_leaf_is_no_node() -> None:
    """Without the two prefixes, a leaf whose data are two hashes would pass for an inner node."""
    left, right = log.leaf_hash(LEAVES[0]), log.leaf_hash(LEAVES[1])
    assert log.leaf_hash(left + right) != log.node_hash(left, right)
    inclusion_refused(log.leaf_hash(left + right), 0, 1, [], log.root(2, BIG.read))


# -------------------------------------------------------------------------------------- another library


def other_log(size: int) -> Any:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    tree.append_entries(LEAVES[:size])
    return tree


def test_another_library_computes_the_same_roots() -> None:
    tree = other_log(len(LEAVES))
    for size in range(len(LEAVES) + 1):
        assert tree.get_root(size) == log.root(size, BIG.read)


@given(sizes, st.data())
def test_inclusion_proofs_go_to_another_library_and_back(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaf, root = log.leaf_hash(LEAVES[index]), log.root(size, BIG.read)
    theirs = other_log(size).prove_inclusion(index + 1)  # it counts from one, and begins a path with the leaf itself
    assert theirs.path[0] == leaf
    log.check_inclusion(leaf, index, size, theirs.path[1:], root)
    ours = pymerkle.InclusionProof(
        "sha256", True, size, index + 1, theirs.rule, [leaf, *log.inclusion_proof(index, size, BIG.read)]
    )
    pymerkle.verify_inclusion(leaf, root, ours, index=index + 1, size=size)
