"""Pulling as nodes do it, by messages: every frame is written and read, and answers are cut and lost as a seed says."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import TypeVar

from holo.core import limits
from holo.core.answers import rest_of_range, rest_of_records
from holo.core.cid import Cid
from holo.core.differences import Differs, Found, FoundName, FoundPolicy
from holo.core.envelope import open_record
from holo.core.messages import (
    Answer,
    Carried,
    Objects,
    Question,
    Range,
    Records,
    Span,
    Want,
    WantRange,
    WantRecords,
    decode_message,
    encode_message,
)
from holo.core.policy import parse_policy
from holo.core.pull import Own, Pull
from holo.roles.gossip.serving import answer
from tests.laws.model import Item
from tests.laws.pull import deliver_policies, pull_seals
from tests.laws.stores import Node

_Item = TypeVar("_Item")


class Wire:
    """Between nodes. A lost answer is asked for again; a cut one, from the cut on."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def converge(self, nodes: Sequence[Node], rounds: int = 50) -> None:
        """Let every node pull from every other until nobody learns anything."""
        for _ in range(rounds):
            learned = [self.pull(one, other) for one in nodes for other in nodes if one is not other]
            if not any(learned):
                return
        raise AssertionError(f"still learning after {rounds} rounds")

    def pull(self, node: Node, source: Node) -> bool:
        """Compare with ``source`` and take over what it shows; then what seals lack. Whether the node learned."""
        found = self._compare(node, source)
        learned = self._take_policies(node, source, [item for item in found if isinstance(item, FoundPolicy)])
        names = [item for item in found if isinstance(item, FoundName)]
        spans = [Span(item.ns, item.genesis) for item in found if isinstance(item, Differs) and item.by_range]
        records = [*self._records(source, [item.statement for item in names]), *self._ranges(source, spans)]
        learned |= _deliver(node, records)
        for ns in node.hosted:
            learned |= pull_seals(node, source, ns)
        return learned

    def _compare(self, node: Node, source: Node) -> list[Found]:
        node.catalog()
        pull = Pull(source.catalog(), hosts=lambda ns, genesis: node.hosted.get(ns) == genesis)
        found: list[Found] = []
        while asked := pull.ask(self._rng.choice((1, 3, limits.WANTED_IDS))):
            reply = self._ask(source, Want(self._rng.randrange(2**32), tuple(asked)))
            if reply is None:
                pull.lost(asked)
                continue
            assert isinstance(reply, Objects)
            with node.store.view() as view:
                head = view.head()
                assert head is not None
                found += pull.take(asked, reply.items, Own(view.catalog(head[0].catalog), view.records.node))
        assert pull.complete
        return found

    def _take_policies(self, node: Node, source: Node, found: Iterable[FoundPolicy]) -> bool:
        items = {}
        for carried in self._records(source, [item.policy for item in found]):
            (item,) = _items(carried)
            policy = parse_policy(item.record.statement)
            items[policy.id] = policy, item
        return deliver_policies(node, items)

    def _records(self, source: Node, statements: Sequence[Cid]) -> list[Carried]:
        found: list[Carried] = []
        left = tuple(dict.fromkeys(statements))
        while left:
            question = WantRecords(1, left[: limits.WANTED_IDS])
            reply = self._ask(source, question)
            if reply is not None:
                assert isinstance(reply, Records)
                found += [item for item in reply.items if item is not None]
                left = rest_of_records(question, reply) + left[limits.WANTED_IDS :]
        return found

    def _ranges(self, source: Node, spans: Sequence[Span]) -> list[Carried]:
        found: list[Carried] = []
        left = tuple(spans)
        while left:
            question = WantRange(1, left)
            reply = self._ask(source, question)
            if reply is not None:
                assert isinstance(reply, Range)
                found += reply.records
                left = rest_of_range(question, reply)
        return found

    def _ask(self, source: Node, question: Question) -> Answer | None:
        """Both frames as they are on the line; None where an answer is lost."""
        asked = decode_message(encode_message(question))
        assert asked == question
        reply = answer(source.store, question)
        if isinstance(reply, Objects):
            reply = Objects(reply.id, self._cut(reply.items))
        elif isinstance(reply, Records):
            reply = Records(reply.id, self._cut(reply.items))
        came = decode_message(encode_message(reply))
        assert came == reply
        return None if self._rng.random() < 0.2 else reply

    def _cut(self, items: tuple[_Item, ...]) -> tuple[_Item, ...]:
        return items[: self._rng.randint(1, len(items))]


def _deliver(node: Node, records: Iterable[Carried]) -> bool:
    items = [item for carried in records for item in _items(carried)]
    return any(getattr(result, "new", False) for result in node.deliver(*items, apart=True)) if items else False


def _items(carried: Carried) -> list[Item]:
    """What is offered of a carried record."""
    type, bound = ("policy", limits.POLICY_BYTES) if carried.kind == "policy" else ("binding", limits.BINDING_BYTES)
    return [Item(open_record(envelopes, type, bound)) for envelopes in carried.submissions()]
