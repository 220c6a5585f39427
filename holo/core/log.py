"""The receipt log: an RFC 9162 (RFC 6962) Merkle tree with SHA-256 (spec section 5).

A leaf's data are the 36 binary bytes of a receipt's CID. Everything is a function of hashes of *complete* subtrees:
``(level, index)`` covers the leaves from ``index << level`` up to ``(index + 1) << level``. Such a hash never changes
once its last leaf is there, so a store only ever adds, and any past size can be proved. Proofs are the RFC's, hash for
hash. A proof's length follows from the sizes alone and is checked before anything is hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from holo.core.errors import Rejected
from holo.core.limits import INT_MAX

Read: TypeAlias = Callable[[int, int], bytes]  # (level, index) → the 32-byte hash of that complete subtree

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf: SHA-256(0x00 ‖ ``data``)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 ‖ ``left`` ‖ ``right``)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def append(size: int, leaf: bytes, read: Read) -> list[tuple[int, int, bytes]]:
    """The complete subtrees ``(level, index, hash)`` that the leaf hash ``leaf`` completes as leaf number ``size``.

    The leaf itself comes first. ``read`` is asked for subtrees that end at ``size`` or before.
    """
    assert size >= 0
    assert len(leaf) == HASH_BYTES
    level, index, digest = 0, size, leaf
    made = [(level, index, digest)]
    while index & 1:
        digest = node_hash(read(level, index - 1), digest)
        level, index = level + 1, index >> 1
        made.append((level, index, digest))
    return made


def root(size: int, read: Read) -> bytes:
    """The root of the log when it had ``size`` leaves."""
    assert size >= 0
    return _subtree(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: Read) -> list[bytes]:
    """The proof that leaf ``index`` is in the log of ``size`` leaves (RFC 9162 section 2.1.3.1)."""
    assert 0 <= index < size
    begin, end = 0, size
    proof = []
    while end - begin > 1:
        middle = begin + _left_leaves(end - begin)
        if index < middle:
            proof.append(_subtree(middle, end, read))
            end = middle
        else:
            proof.append(_subtree(begin, middle, read))
            begin = middle
    proof.reverse()
    return proof


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raises ``log-invalid`` unless leaf hash ``leaf`` is number ``index`` of the log with this size and root."""
    if not 0 <= index < size <= INT_MAX:
        raise Rejected("log-invalid", "the index is not within the size")
    crossing, above = _shape(index, size)
    _check_hashes(proof, crossing + above, leaf, root)
    digest = leaf
    for height, sibling in enumerate(proof):
        is_right = height >= crossing or index >> height & 1
        digest = node_hash(sibling, digest) if is_right else node_hash(digest, sibling)
    if digest != root:
        raise Rejected("log-invalid", f"the inclusion proof of leaf {index} does not lead to the root of size {size}")


def consistency_proof(old_size: int, new_size: int, read: Read) -> list[bytes]:
    """The proof that the log of ``new_size`` leaves begins with that of ``old_size`` (RFC 9162 section 2.1.4.1).

    Empty where there is nothing to prove: from the empty log, and between equal sizes.
    """
    assert 0 <= old_size <= new_size
    if old_size == 0:
        return []
    begin, end = 0, new_size
    proof = []
    while end != old_size:
        middle = begin + _left_leaves(end - begin)
        if old_size <= middle:
            proof.append(_subtree(middle, end, read))
            end = middle
        else:
            proof.append(_subtree(begin, middle, read))
            begin = middle
    if begin:  # otherwise this subtree is the whole old log, whose root the checker has
        proof.append(_subtree(begin, end, read))
    proof.reverse()
    return proof


def check_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises ``log-invalid`` unless the log with the new size and root begins with the one of the old size and root.

    The empty log, whose root is :data:`EMPTY_ROOT`, begins every log. RFC 9162 section 2.1.4.2 has the rest.
    """
    if not 0 <= old_size <= new_size <= INT_MAX:
        raise Rejected("log-invalid", "the sizes are not in order")
    if old_size == 0 or old_size == new_size:
        _check_hashes(proof, 0, old_root, new_root)
        if old_size == 0 and old_root != EMPTY_ROOT:
            raise Rejected("log-invalid", "the root of size 0 is not that of an empty log")
        if old_size == new_size and old_root != new_root:
            raise Rejected("log-invalid", f"two roots of size {new_size}")
        return
    is_whole = old_size & (old_size - 1) == 0
    old, new = _folded(old_size, new_size, old_root if is_whole else None, proof, old_root, new_root)
    if old != old_root:
        raise Rejected("log-invalid", f"the consistency proof does not lead to the old root, of size {old_size}")
    if new != new_root:
        raise Rejected("log-invalid", f"the consistency proof does not lead to the new root, of size {new_size}")


def prefix_root(old_size: int, new_size: int, new_root: bytes, hashes: Sequence[bytes]) -> bytes:
    """The root that the log of ``new_size`` and ``new_root`` had when it had ``old_size`` leaves, as ``hashes`` prove.

    They are the consistency proof, and before it, where ``old_size`` is a power of two, the root itself, which such a
    proof leaves out. Raises ``log-invalid`` where they do not lead to ``new_root``.
    """
    if not 0 < old_size < new_size <= INT_MAX:
        raise Rejected("log-invalid", "the sizes are not in order")
    old, new = _folded(old_size, new_size, None, hashes, new_root)
    if new != new_root:
        raise Rejected("log-invalid", f"the hashes do not lead to the root of size {new_size}")
    return old


def _folded(
    old_size: int, new_size: int, start: bytes | None, proof: Sequence[bytes], *others: bytes
) -> tuple[bytes, bytes]:
    """The roots of both sizes from the hash of the old log's last complete subtree and those beside its path.

    That hash is ``start``, or the first of the proof.
    """
    complete = (old_size & -old_size).bit_length() - 1  # the height of that subtree
    last = (old_size - 1) >> complete  # its index among those of its height
    crossing, above = _shape(last, (new_size - 1 >> complete) + 1)
    _check_hashes(proof, crossing + above + (start is None), *others)
    old = new = proof[0] if start is None else start
    for height, sibling in enumerate(proof[start is None :]):
        if height >= crossing or last >> height & 1:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    return old, new


def _left_leaves(leaves: int) -> int:
    """The largest power of two below ``leaves`` (at least 2): how many of them the left subtree has."""
    return 1 << (leaves - 1).bit_length() - 1


def _subtree(begin: int, end: int, read: Read) -> bytes:
    """The hash over leaves ``begin`` to ``end``; a node of some size's tree, so ``begin`` is aligned to its left part.

    Such a node is a row of complete subtrees, each smaller than the one before: folded from the right.
    """
    digest = b""
    while end > begin:
        level = ((end - begin) & (begin - end)).bit_length() - 1
        complete = read(level, (end >> level) - 1)
        digest = node_hash(complete, digest) if digest else complete
        end -= 1 << level
    return digest


def _shape(index: int, size: int) -> tuple[int, int]:
    """How many siblings a leaf meets up to where its path joins the last leaf's, and how many, all left ones, above."""
    crossing = (index ^ (size - 1)).bit_length()
    return crossing, (index >> crossing).bit_count()


def _check_hashes(proof: Sequence[bytes], length: int, *others: bytes) -> None:
    if len(proof) != length:
        raise Rejected("log-invalid", f"a proof of {len(proof)} hashes where these sizes take {length}")
    if any(type(digest) is not bytes or len(digest) != HASH_BYTES for digest in (*others, *proof)):
        raise Rejected("log-invalid", f"something else than {HASH_BYTES} bytes where a hash is expected")
