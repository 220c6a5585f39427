"""Reading and replacing parts of a namespace state in its bytes, without taking it apart.

Only for states that were made here: what comes from elsewhere goes through
:func:`~holo.core.state.decode_namespace_state`. In canonical order a state's last five fields are links, with the count
before them, so they lie at fixed distances from the end.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Final, NamedTuple

from holo.core.cid import CID_BYTES, DAG_CBOR, Cid
from holo.core.codec import INT, LINK_HEAD, head
from holo.core.state import NamespaceState


class Links(NamedTuple):
    """The last fields of a state, in their order."""

    policy: Cid
    genesis: Cid
    pending: Cid
    bindings: Cid
    policies: Cid


def links_of(state: bytes) -> Links:
    """What a state leads to."""
    policy, genesis, pending, bindings, policies = _TAIL.unpack_from(state, len(state) - _TAIL.size)
    return Links(Cid(policy), Cid(genesis), Cid(pending), Cid(bindings), Cid(policies))


def bindings_of(state: bytes) -> Cid:
    """The root of its bindings."""
    return Cid(state[_BINDINGS : _BINDINGS + CID_BYTES])


def count_of(state: bytes) -> int:
    """How many names have a current statement."""
    start, stop = _count(state)
    return state[start] if stop - start == 1 else int.from_bytes(state[start + 1 : stop], "big")


def is_held(state: bytes) -> bool:
    """Whether its chain of policies is held."""
    return _NOT_HELD not in state


def replace_bindings(state: bytes, root: Cid, count: int) -> bytes:
    """The state with another tree of bindings."""
    start, stop = _count(state)
    return b"".join((state[:start], head(INT, count), state[stop:_BINDINGS], root, state[_BINDINGS + CID_BYTES :]))


def _count(state: bytes) -> tuple[int, int]:
    stop = len(state) - _TAIL.size
    return state.rindex(_COUNT, 0, stop) + len(_COUNT), stop


def _places() -> list[int]:
    """Where each of the links begins, counted from the end: the codec says, given any state."""
    links = {name: Cid.of(DAG_CBOR, name.encode()) for name in Links._fields}
    state = NamespaceState(ns="a", held=None, count=0, **links).as_statement().bytes
    return [state.index(link) - len(state) for link in links.values()]


def _tail(places: list[int]) -> struct.Struct:
    """The links and what is between them, from the end of the count on."""
    gaps = [len(b"\x66policy") + len(LINK_HEAD)]
    gaps += [place - before - CID_BYTES for before, place in pairwise(places)]
    assert places[-1] == -CID_BYTES
    return struct.Struct("".join(f"{gap}x{CID_BYTES}s" for gap in gaps))


_COUNT: Final = b"\x65count"
_NOT_HELD: Final = b"\x64held\xf6"  # no name has it in it, being text
_TAIL: Final = _tail(_places())
_BINDINGS: Final = _places()[Links._fields.index("bindings")]
