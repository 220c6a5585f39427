"""The operations whose instructions are counted: ``python -m bench.operations HOME``, a program for valgrind to run.

Every operation runs once or twice to warm up and then so many times between two marks. A mark is a call of getpriority,
of which nothing else makes any; the counter closes an account at each. The order of the operations is that of
:data:`NAMES`; the home is a copy of a small loaded corpus, which the last operations write to.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import trio

from bench.corpus import AT_MS, Corpus
from bench.signing import Updates
from holo.core import tree
from holo.core.binding import open_binding
from holo.core.cid import RAW, Cid
from holo.core.decision import Query
from holo.core.errors import Rejected
from holo.core.names import Name
from holo.http.request_head import START, Heads
from holo.node import Node, open_node
from holo.profile import load_profile
from holo.store.home import Home
from holo.store.keyring import NODE, own_key
from holo.store.ledger import BindingSubmission, Outcome
from holo.store.store import Denial, Request, Store
from holo.store.view import View

CORPUS: Final = Corpus(20, 100)

_MAP_BYTES: Final = 1 << 30  # valgrind has no room for the usual one
_HOT_READS: Final = 400
_DECISIONS: Final = 200
_MANY: Final = 200
_RECEIPTS: Final = 10
_RECORDS: Final = 60
_CALIBRATION: Final = 20_000

NAMES: Final = {
    "calibration": _CALIBRATION,
    "hot read": _HOT_READS,
    "decide": _DECISIONS,
    "resolve many, a name": _MANY,
    "resolve with receipt, a name": _RECEIPTS,
    "open binding": _RECORDS,
    "tree update, a name": _RECORDS,
    "commit, a binding": _RECORDS,
    "receipt": _RECORDS,
}
"""Operation → how often it runs between its marks."""


def mark() -> None:
    """End one account and begin another."""
    os.getpriority(os.PRIO_PROCESS, 0)


def counted(run: Callable[[int], None], times: int) -> None:
    """Run an operation between two marks, warmed up."""
    run(max(1, times // 4))
    mark()
    run(times)
    mark()


async def counted_async(run: Callable[[int], Awaitable[None]], times: int) -> None:
    """As :func:`counted`."""
    await run(max(1, times // 4))
    mark()
    await run(times)
    mark()


def calibrate(times: int) -> None:
    """A workload of the interpreter alone: what it costs tells one build of Python from another."""
    table: dict[str, int] = {}
    parts: list[bytes] = []
    for number in range(times):
        key = f"name-{number % 97}"
        table[key] = table.get(key, 0) + len(parts)
        parts.append(key.encode())
        if len(parts) == 64:
            b"".join(sorted(parts)).partition(b"-5")
            parts.clear()


async def reads(home: Home) -> None:
    """What a node answers, without a listener. It is opened for reading, so that nothing else goes on meanwhile."""
    settings = [f"store.map_bytes={_MAP_BYTES}"]
    async with open_node(home, load_profile("minimal-peer", settings), readonly=True) as node:
        counted(partial(_hot_reads, node), _HOT_READS)
        with node.store.view() as view:
            counted(partial(_decide, view), _DECISIONS)
        await counted_async(partial(_resolve, node, False), _MANY)
        await counted_async(partial(_resolve, node, True), _RECEIPTS)


def writes(home: Home) -> None:
    """What a node does to take records in."""
    envelopes = [item.envelope for item in Updates(CORPUS).take(4 * _RECORDS)]
    opened = [BindingSubmission(*open_binding([envelope]), True) for envelope in envelopes[: 2 * _RECORDS]]
    fresh = iter(envelopes[2 * _RECORDS :])

    def verify(times: int) -> None:
        for _ in range(times):
            open_binding([next(fresh)])

    counted(verify, _RECORDS)
    nodes, root = _tree()
    counted(partial(_update_tree, nodes, root), _RECORDS)

    store = Store(home.records, own_key(home, NODE), clock_ms=lambda: AT_MS, map_bytes=_MAP_BYTES)
    following = iter(opened)

    def commit(times: int) -> None:
        (results,) = store.commit([Request([next(following) for _ in range(times)])])
        assert all(isinstance(item, Outcome) and item.new for item in results), results

    def deny(times: int) -> None:
        requester = CORPUS.signer(0).kid
        refused = Rejected("binding-stale", "rev 1 where 2 is current")
        store.log_denials([Denial("publish", opened[index].binding.id, refused, requester) for index in range(times)])

    try:
        counted(commit, _RECORDS)
        counted(deny, _RECORDS)
    finally:
        store.close()


def _decide(view: View, times: int) -> None:
    for number in range(times):
        decision = view.decide(Query(Name.parse(_name(number))))
        assert decision.statement is not None


def _hot_reads(node: Node, times: int) -> None:
    """Requests that came in one after the other, each in a batch with as many others as one turn may have."""
    heads, answers = Heads(lambda host: None), node.app.answers
    requests = [
        START + f"handle={_name(number)} HTTP/1.1\r\nHost: 127.0.0.1:8420\r\n\r\n".encode() for number in range(times)
    ]
    for at in range(0, times, 20):
        answers.begin()
        for request in requests[at : at + 20]:
            head = heads.read(request, 0, len(request))
            answer = answers.answer(*head, "127.0.0.1") if head is not None else None
            assert answer is not None
            assert b'"outcome":"resolved"' in answer
        answers.end()


async def _resolve(node: Node, receipt: bool, times: int) -> None:
    """One POST resolve of so many names, through the whole application."""
    queries = [{"handle": _name(number)} for number in range(times)]
    body = json.dumps({"queries": queries, "receipt": receipt}).encode()
    sent: list[Any] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/resolve",
        "raw_path": b"/v1/resolve",
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if not waiting:
            await trio.sleep_forever()
        return waiting.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    await node.app(scope, receive, send)
    answer = b"".join(message.get("body", b"") for message in sent)
    assert sent[0]["status"] == 200, answer
    assert answer.count(b'"outcome":"resolved"') == times, answer[:2000]


def _name(number: int) -> str:
    """Names all over the corpus."""
    return CORPUS.name(number * 617 % CORPUS.bindings)


def _tree() -> tuple[dict[Cid, bytes], Cid]:
    """The nodes and the root of a tree of all names of the corpus."""
    built = tree.build((name.encode(), _value(name, 1)) for name in CORPUS.names())
    return dict(built.added), built.root


def _update_tree(nodes: dict[Cid, bytes], root: Cid, times: int) -> None:
    changes: dict[bytes, tree.Value | None] = {
        _name(number).encode(): _value(_name(number), times) for number in range(times)
    }
    assert tree.update(nodes.__getitem__, root, changes).root != root


def _value(name: str, rev: int) -> list[Any]:
    return [[Cid.of(RAW, f"{name} {rev}".encode()), [0]]]


if __name__ == "__main__":
    counted(calibrate, _CALIBRATION)
    here = Home(sys.argv[1])
    trio.run(reads, here)
    writes(here)
