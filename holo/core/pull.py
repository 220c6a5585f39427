"""Comparing with a peer: which of its objects to ask for next, and what they show this end lacks (spec section 7.5).

From the peer's catalog down, level by level, so that round trips count levels and not nodes. Only what differs is
opened. Everything is checked against the CID by which it was asked for and the form its place demands; whatever else
comes raises, and says something about the peer: no honest one sends it. A node that an honest catalog links to stands
in one place only, for a value is about its key; so a link met twice raises too, and a tree costs no more work than it
has bytes.

The own side is given anew with every answer (:class:`Own`), since catalogs come and go while peers talk.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from holo.core import limits, names
from holo.core.cid import Cid
from holo.core.differences import Differs, Found, FoundEvidence, FoundName, FoundPolicy
from holo.core.errors import Rejected
from holo.core.keys import kid_of
from holo.core.own import Own, Tree
from holo.core.state import (
    Cited,
    decode_catalog,
    decode_namespace_state,
    parse_current,
    parse_endorsers,
    parse_pending,
    parse_state_value,
)
from holo.core.tree_below import Below, below, link_of, opened, value_below
from holo.core.tree_node import EMPTY, Branch, Leaf, Value, decode_node
from holo.core.tree_proof import check_place

__all__ = ["Own", "Pull"]

_BY_RANGE: Final = 4  # times as many names, from which on they are asked for by range
_FEW: Final = 16
_LEAST_BYTES: Final = 512  # that an object counts for


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an object stands: the catalog, the state of ``ns``, or a node of ``tree`` with ``count`` keys."""

    tree: Tree | None = None
    ns: str = ""
    genesis: Cid | None = None
    position: bytes = b""
    count: int | None = None


class Pull:
    """One comparison with the catalog ``theirs``.

    ``hosts(ns, genesis)`` says which namespaces are of interest. What is in ``absorbed`` is taken as known with all
    below it: CIDs that earlier pulls had in :attr:`seen`, all of whose findings were dealt with. After ``most_nodes``
    objects, or where more wait than a bound, it goes no further (:attr:`cut`): another pull finds the rest, once what
    was found is here.
    """

    def __init__(
        self,
        theirs: Cid,
        *,
        hosts: Callable[[str, Cid], bool],
        absorbed: Container[Cid] = frozenset(),
        most_bytes: int = limits.PULL_BYTES,
    ) -> None:
        self._hosts = hosts
        self._absorbed = absorbed
        self._room = most_bytes
        self._places: dict[Cid, _Place] = {}
        self._met: set[Cid] = set()
        self._urgent: list[Cid] = []
        self._later: list[Cid] = []
        self._asked = 0
        self.seen: list[Cid] = []
        self.cut = False
        self.gone = 0
        """Objects the peer had no longer: its catalog has moved on."""
        if theirs not in absorbed:
            self._wait(theirs, _Place())

    @property
    def done(self) -> bool:
        """Whether nothing is left to ask for or to wait for."""
        return not (self._urgent or self._later or self._asked)

    @property
    def complete(self) -> bool:
        """Whether everything that differs has been found."""
        return self.done and not self.cut and not self.gone

    def ask(self, most: int = limits.WANTED_IDS) -> list[Cid]:
        """What to ask for next, evidence and policies first; empty where there is nothing but answers to wait for.

        The later found the sooner asked for, and fewer at a time where much waits: so it does not grow without end.
        """
        waiting = len(self._urgent) + len(self._later)
        most = min(most, limits.WANTED_IDS if waiting < limits.PULL_WAITING // 4 else _FEW)
        found: list[Cid] = []
        for stack in (self._urgent, self._later):
            take = min(most - len(found), len(stack))
            if take > 0:
                found += reversed(stack[-take:])
                del stack[-take:]
        self._asked += len(found)
        return found

    def take(self, asked: Sequence[Cid], items: Sequence[bytes | None], own: Own) -> list[Found]:
        """Take the answer to ``asked``, from its beginning on; what is behind a cut will be asked for again.

        Returns what it shows to be lacking. Raises ``answer-invalid``, ``cid-mismatch``, ``tree-invalid`` or what else
        is wrong with an object: then the pull is over.
        """
        if not 0 < len(items) <= len(asked):
            raise Rejected("answer-invalid", f"{len(items)} items for {len(asked)} that were asked for")
        self.lost(asked[len(items) :])
        self._asked -= len(items)
        found: list[Found] = []
        for cid, data in zip(asked, items, strict=False):
            place = self._places.pop(cid)
            if data is None:
                self.gone += 1
                continue
            if not cid.matches(data):
                raise Rejected("cid-mismatch", f"the bytes are not those of {cid}", subject=str(cid))
            self.seen.append(cid)
            self._room -= max(len(data), _LEAST_BYTES)
            try:
                found += self._open(place, cid, data, own)
            except Rejected as error:
                error.subject = error.subject or str(cid)
                raise
        if self._room <= 0 and (self._urgent or self._later):
            self._stop()
        return found

    def lost(self, asked: Sequence[Cid]) -> None:
        """Say that no answer to ``asked`` will come: it will be asked for again."""
        self._asked -= len(asked)
        for cid in reversed(asked):
            self._stack(self._places[cid]).append(cid)

    def _stop(self) -> None:
        self.cut = True
        for stack in (self._urgent, self._later):
            for cid in stack:
                del self._places[cid]
            stack.clear()

    def _wait(self, cid: Cid, place: _Place) -> None:
        if cid in self._met:
            raise Rejected("tree-invalid", f"{cid} stands in two places", subject=str(cid))
        if len(self._places) >= limits.PULL_WAITING:
            self.cut = True
            return
        self._met.add(cid)
        self._places[cid] = place
        self._stack(place).append(cid)

    def _stack(self, place: _Place) -> list[Cid]:
        return self._later if place.tree in ("bindings", "pending") else self._urgent

    # --- what an object shows

    def _open(self, place: _Place, cid: Cid, data: bytes, own: Own) -> Iterator[Found]:
        if place.tree is not None:
            yield from self._open_node(place, data, own)
        elif place.ns:
            yield from self._open_state(place, data, own)
        else:
            self._open_catalog(data, own)

    def _open_catalog(self, data: bytes, own: Own) -> None:
        theirs = decode_catalog(data)
        self._compare(_Place("namespaces"), theirs.namespaces, own)
        self._compare(_Place("evidence"), theirs.evidence, own)

    def _open_state(self, place: _Place, data: bytes, own: Own) -> Iterator[Found]:
        theirs = decode_namespace_state(data)
        if theirs.ns != place.ns:
            raise Rejected("tree-invalid", f"the state of {theirs.ns} where that of {place.ns} is expected")
        mine = own.state(theirs.ns)
        if (mine is not None and mine.genesis != theirs.genesis) or not self._hosts(theirs.ns, theirs.genesis):
            return
        by_range = theirs.count > _BY_RANGE * (0 if mine is None else mine.count)
        yield Differs(theirs.ns, theirs.genesis, mine, theirs, by_range)
        self._compare(_Place("policies", theirs.ns, theirs.genesis), theirs.policies, own)
        if not by_range:
            self._compare(_Place("bindings", theirs.ns, theirs.genesis, count=theirs.count), theirs.bindings, own)
        self._compare(_Place("pending", theirs.ns, theirs.genesis), theirs.pending, own)

    def _compare(self, place: _Place, link: Cid, own: Own) -> None:
        """Ask for the tree under ``link`` unless it is the own one."""
        if link == EMPTY:
            if place.count:
                raise Rejected("tree-invalid", f"an empty tree where {place.count} keys are said to be")
        elif link not in self._absorbed and link != _root(own, place):
            self._wait(link, place)

    def _open_node(self, place: _Place, data: bytes, own: Own) -> Iterator[Found]:
        node = decode_node(data)
        check_place(node, len(place.position), place.count)
        mine = opened(own.read, below(own.read, _root(own, place), place.position))
        if isinstance(node, Leaf):
            known = dict(mine.entries) if isinstance(mine, Leaf) else None
            for suffix, value in node.entries:
                before = value_below(own.read, mine, suffix) if known is None else known.get(suffix)
                yield from self._entry(place, place.position + suffix, value, before)
            return
        if node.own is not None:
            key = place.position + node.prefix
            yield from self._entry(place, key, node.own, value_below(own.read, mine, node.prefix))
        self._descend(place, node, mine, own)

    def _descend(self, place: _Place, node: Branch, mine: Below, own: Own) -> None:
        inner = below(own.read, mine, node.prefix)
        for byte, count, link in node.children:
            step = bytes((byte,))
            if link not in self._absorbed and link != link_of(below(own.read, inner, step)):
                position = place.position + node.prefix + step
                self._wait(link, _Place(place.tree, place.ns, place.genesis, position, count))

    def _entry(self, place: _Place, key: bytes, value: Value, mine: Value | None) -> Iterator[Found]:
        if value == mine:
            return
        if place.tree == "namespaces":
            self._named(key, parse_state_value(value))
        elif place.tree == "evidence":
            evidence = parse_state_value(value)
            if mine is None or evidence < parse_state_value(mine):
                yield FoundEvidence(kid_of(key), evidence)
        elif place.tree == "policies":
            known = () if mine is None else parse_endorsers(mine)
            lacking = tuple(kid for kid in parse_endorsers(value) if kid not in known)
            if lacking:
                yield FoundPolicy(place.ns, _given(place.genesis), Cid.from_bytes(key), lacking)
        else:
            yield from _found_names(place, key, value, mine)

    def _named(self, key: bytes, state: Cid) -> None:
        ns = _text(key)
        names.check_namespace(ns)
        if state not in self._absorbed:
            self._wait(state, _Place(ns=ns))


def _found_names(place: _Place, key: bytes, value: Value, mine: Value | None) -> Iterator[Found]:
    pending = place.tree == "pending"
    parse = parse_pending if pending else parse_current
    known = {cited.statement: cited.positions for cited in parse(mine or [])}
    for cited in parse(value):
        lacking = _without(cited, known.get(cited.statement, ()))
        if lacking:
            yield FoundName(place.ns, _given(place.genesis), _text(key), cited.statement, lacking, pending)


def _without(cited: Cited, known: Sequence[int]) -> tuple[int, ...]:
    return tuple(at for at in cited.positions if at not in known)


def _root(own: Own, place: _Place) -> Cid | None:
    assert place.tree is not None
    return own.root(place.tree, place.ns)


def _given(genesis: Cid | None) -> Cid:
    assert genesis is not None
    return genesis


def _text(key: bytes) -> str:
    try:
        return key.decode("ascii")
    except UnicodeDecodeError:
        raise Rejected("tree-invalid", "a key that is not ASCII") from None
