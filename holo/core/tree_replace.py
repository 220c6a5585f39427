"""Replacing values in a tree of one's own without taking its nodes apart.

Most of what is published is another revision of a name that is there: then no node changes but by the bytes of a few
values and links. What :func:`replace` makes is what :func:`~holo.core.tree.update` makes, in a fraction of the time;
where it is not that plain, it makes nothing. As in ``tree_search`` keys are text and the tree was built here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from holo.core.cid import CID_BYTES, DAG_CBOR, Cid
from holo.core.tree import Change
from holo.core.tree_node import EMPTY, Read, Value, encode_value
from holo.core.tree_search import child_in_branch, is_leaf, value_in_leaf

_IN_ONE_LEAF: Final = 12  # of more, it is as quick to write the leaf anew
_VALUE_BYTES: Final = 128


def replace(read: Read, root: Cid, values: Mapping[bytes, Value | None]) -> Change | None:
    """The tree under ``root`` with other values for keys that it has; None where that takes :func:`tree.update`.

    It does where a key is new or goes, and where a value, before or after, is more than one statement or link.
    """
    changes = []
    for key, value in values.items():
        if value is None or len(value) != 1:
            return None
        encoded = encode_value(value)
        if len(encoded) > _VALUE_BYTES:
            return None
        changes.append((key, encoded))
    draft = _Draft(read)
    top = draft.replace(root, 0, changes)
    return None if top is None else draft.finish(top)


class _Draft:
    """Which nodes another takes the place of, and which are new."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._stale: set[Cid] = set()
        self._fresh: dict[Cid, bytes] = {}

    def finish(self, root: Cid) -> Change:
        stale, fresh = self._stale, self._fresh
        return Change(root, {cid: data for cid, data in fresh.items() if cid not in stale}, stale - fresh.keys())

    def replace(self, cid: Cid, at: int, changes: Sequence[tuple[bytes, bytes]]) -> Cid | None:
        """What stands in place of the node ``cid``, whose position is ``at`` bytes long; None where it is not plain."""
        if cid == EMPTY:
            return None
        data = self._read(cid)
        after = self._leaf(data, at, changes) if is_leaf(data) else self._branch(data, at, changes)
        if after is None:
            return None
        new = Cid.of(DAG_CBOR, after)
        self._stale.add(cid)
        self._fresh[new] = after
        return new

    def _leaf(self, data: bytes, at: int, changes: Sequence[tuple[bytes, bytes]]) -> bytes | None:
        if len(changes) > _IN_ONE_LEAF:
            return None
        for key, encoded in changes:
            found = value_in_leaf(data, key[at:])
            if found is None:
                return None
            data = data[: found[0]] + encoded + data[found[1] :]
        return data

    def _branch(self, data: bytes, at: int, changes: Sequence[tuple[bytes, bytes]]) -> bytes | None:
        below: dict[tuple[int, int], list[tuple[bytes, bytes]]] = {}
        for change in changes:
            found = child_in_branch(data, change[0], at)
            if found is None or not found[1]:
                return None
            below.setdefault(found, []).append(change)
        after = bytearray(data)
        for (position, end), some in below.items():
            new = self.replace(Cid(data[end - CID_BYTES : end]), position, some)
            if new is None:
                return None
            after[end - CID_BYTES : end] = new
        return bytes(after)
