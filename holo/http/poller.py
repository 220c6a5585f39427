"""All connections that are between requests, in one task: TLS handshakes, hot reads, timeouts.

A task and a read for every connection costs more than a hot answer does, so here one selector watches them all, and
what has come on any of them is read, answered and written at once (docs/adr/0021). A connection that asks for anything
but a hot read is handed over, with the bytes it has sent, and comes back when it is between requests again.

A connection here is in one of three places, each in the order in which it got there: *idle* without a request, *begun*
with a part of a head or of a handshake, *blocked* with answers that its client does not take. Each place has one time
that a connection may stay there, so who is late is always found at the front.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from math import inf
from typing import Any, Final, NoReturn

import structlog
import trio

from holo.core import limits
from holo.http.accepting import Acceptor
from holo.http.connection import Timeouts
from holo.http.hot_answer import HotAnswers
from holo.http.request_head import START, Heads, may_become_hot
from holo.http.stream import Socket, Stream

_WAIT: Final = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

_log = structlog.get_logger("holo.http")

HandOver = Callable[[Stream, bytes, float], None]
"""Takes a connection, the bytes it has sent, and the time until which its head has to be there."""


class _Client:
    """One connection between requests. ``data`` has come and is not answered, ``out`` is answered and not taken."""

    __slots__ = ("address", "data", "out", "place", "shaking", "since", "socket", "stream", "tls")

    def __init__(self, stream: Stream, place: dict[_Client, None]) -> None:
        self.stream = stream
        self.socket = stream.socket
        self.tls = stream.tls
        self.address = stream.client[0] if stream.client else ""
        self.place = place
        self.data = b""
        self.out = b""
        self.since = 0.0
        self.shaking = False


class Poller:
    """Owns every connection from when it is accepted until it is handed over."""

    def __init__(
        self,
        listeners: list[socket.socket],
        tls: ssl.SSLContext | None,
        timeouts: Timeouts,
        heads: Heads,
        answers: HotAnswers | None,
        hand_over: HandOver,
        admits: Callable[[], bool],
        make_room: Callable[[], bool],
        others: Callable[[], bool],
    ) -> None:
        """``admits`` says, for each new connection, whether there is room for it; ``make_room`` has another one end;
        ``others`` says whether requests are under way that were handed over.

        Without ``answers`` nothing is hot.
        """
        self._timeouts = timeouts
        self._heads = heads
        self._answers = answers
        self._hand_over = hand_over
        self._others = others
        self._selector = selectors.DefaultSelector()
        self._acceptor = Acceptor(listeners, tls, self._selector, admits, make_room)
        self._idle: dict[_Client, None] = {}
        self._begun: dict[_Client, None] = {}
        self._blocked: dict[_Client, None] = {}
        self._more: list[_Client] = []
        self._unsent: list[tuple[_Client, bool]] = []  # answered in this turn, and whether what follows may be hot
        self._now = 0.0
        self._empty = trio.Event()

    def __len__(self) -> int:
        return len(self._idle) + len(self._begun) + len(self._blocked)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        self._acceptor.listen()
        task_status.started()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tick)
                await self._poll()
        finally:
            self._selector.close()

    async def _poll(self) -> NoReturn:
        while True:
            events = self._selector.select(0)
            if not events and not self._more:
                await trio.lowlevel.wait_readable(self._selector.fileno())
                continue
            ready: list[Any] = [key.data for key, _ in events]
            if self._more:
                # Each once: a client that asks without end gets a turn like everybody else.
                ready = list(dict.fromkeys([*ready, *self._more]))
                self._more.clear()
            at = 0
            while at < len(ready):
                at = self._turn(ready, at)
                # A request that is not hot takes many steps, one for each time that this task waits.
                long = trio.current_time() - self._now > limits.TURN_S / 2
                for _ in range(limits.STEPS_BETWEEN_TURNS if long and self._others() else 1):
                    await trio.lowlevel.checkpoint()

    def _turn(self, ready: list[Any], at: int) -> int:
        """Serve ``ready`` from ``at`` on until the turn is over; where the next one begins."""
        self._now = trio.current_time()
        over_s = time.perf_counter() + limits.TURN_S
        if self._answers is not None:
            self._answers.begin()
        for item in ready[at : at + limits.READY_AT_ONCE]:
            self._on_ready(item)
            at += 1
            if time.perf_counter() > over_s:
                break
        # Sent one right after the other: to wake a client that sleeps costs more than all else about an answer, and the
        # first of many wakes them all where they share a process or a machine.
        unsent, self._unsent = self._unsent, []
        for client, hot in unsent:
            self._on_answered(client, hot)
        if self._answers is not None:
            self._answers.end()
        return at

    def _on_answered(self, client: _Client, hot: bool) -> None:
        try:
            if client not in client.place or not self._send(client):
                return
            if not hot:
                self._give(client, client.data)
            elif client.data or client.tls:
                self._keep(client, answered=True)
            else:
                self._move(client, self._idle)
        except Exception:
            _log.error("fault", where="poller", exc_info=True)
            self._drop(client)

    def take(self, stream: Stream) -> None:
        """Take back a connection that is between requests."""
        self._now = trio.current_time()
        client = _Client(stream, self._idle)
        if self._enter(client) and _undecoded(stream.socket):
            self._more.append(client)

    def drop_idle(self) -> bool:
        """Let go of the connection that is idle longest; False where none is."""
        for client in self._idle:
            if not (client.data or client.out):  # else it has sent more than is answered at once, or is being answered
                self._drop(client)
                return True
        return False

    @property
    def begun_since(self) -> float:
        """Since when, in trio's time, the client here that is longest in sending a head is at it; else infinity."""
        return next(iter(self._begun)).since if self._begun else inf

    def drop_begun(self) -> bool:
        """Let go of that connection; False where there is none."""
        for client in self._begun:
            if not client.out:  # else its head has just come
                self._drop(client)
                return True
        return False

    def stop(self) -> None:
        """Accept nothing more, and let go of every connection without a request."""
        self._acceptor.stop()
        for client in [*self._idle, *self._begun]:
            self._drop(client)

    async def emptied(self) -> None:
        """Wait, after :meth:`stop`, until every client has taken its answers."""
        while len(self):
            self._empty = trio.Event()
            await self._empty.wait()

    def close(self) -> None:
        """Let go of everything."""
        self.stop()
        for client in list(self._blocked):
            self._drop(client)

    # --- one connection

    def _on_ready(self, item: _Client | socket.socket) -> None:
        try:
            if not isinstance(item, _Client):
                for stream in self._acceptor.accept(item):
                    self._meet(stream)
            elif item in item.place:  # else it was let go of since the selector saw it
                self._serve(item)
        except Exception:  # whatever one connection does, the others are served
            _log.error("fault", where="poller", exc_info=True)
            if isinstance(item, _Client):
                self._drop(item)

    def _meet(self, stream: Stream) -> None:
        client = _Client(stream, self._begun)
        client.shaking = client.tls
        if self._enter(client):
            self._on_ready(client)

    def _enter(self, client: _Client) -> bool:
        """Watch a connection that comes to the place it has; False where it is gone, or the system watches no more."""
        try:
            self._selector.register(client.socket, selectors.EVENT_READ, client)
        except (OSError, ValueError):
            client.stream.close()
            return False
        self._move(client, client.place)
        return True

    def _serve(self, item: _Client) -> None:
        if item.shaking:
            self._shake(item)
        elif item.out:
            self._flush(item)
        elif item.data and item.place is self._idle:
            self._answer(item, item.data)
        else:
            self._read(item)

    def _shake(self, client: _Client) -> None:
        assert isinstance(client.socket, ssl.SSLSocket)
        try:
            client.socket.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(client, selectors.EVENT_READ)
            return
        except ssl.SSLWantWriteError:
            self._watch(client, selectors.EVENT_WRITE)
            return
        except (OSError, ValueError):
            self._drop(client)
            return
        client.shaking = False
        self._watch(client, selectors.EVENT_READ)
        if client.stream.alpn == "h2":
            self._give(client, b"")
        else:
            self._read(client)

    def _read(self, client: _Client) -> None:
        try:
            data = client.socket.recv(limits.POLLER_READ_BYTES)
        except _WAIT:
            return
        except (OSError, ValueError):
            self._drop(client)
            return
        if data:
            self._answer(client, client.data + data if client.data else data)
        elif client.data:
            self._give(client, client.data)  # an end in mid-head is not ours to word
        else:
            self._drop(client)

    def _answer(self, client: _Client, data: bytes) -> None:
        """Answer the hot reads at the beginning of ``data``, and see to the rest."""
        answers = self._answers
        if answers is None:
            self._give(client, data)
            return
        at = 0
        said: list[bytes] = []
        hot = True
        total = len(data)
        while at < total:
            end = data.find(b"\r\n\r\n", at) + 4
            if end < 4:
                hot = may_become_hot(data[at:])
                break
            if len(said) == limits.PIPELINED_AT_ONCE:
                break
            head = None
            if end - at <= limits.REQUEST_HEAD_BYTES and data.startswith(START, at):
                head = self._heads.read(data, at, end)
            answer = None if head is None else answers.answer(head[0], head[1], client.address)
            if answer is None:
                hot = False
                break
            said.append(answer)
            at = end
        client.data = data[at:] if at < total else b""
        if said:
            client.out = said[0] if len(said) == 1 else b"".join(said)
            self._unsent.append((client, hot))
        elif hot:
            self._keep(client, answered=False)
        else:
            self._give(client, client.data)

    def _keep(self, client: _Client, *, answered: bool) -> None:
        """Put a connection where it belongs: what it has sent beyond its answers is, or may become, a hot read."""
        if not client.data:
            self._move(client, self._idle)
        elif b"\r\n\r\n" in client.data:
            self._move(client, self._idle)
            self._more.append(client)
            return
        elif answered or client.place is not self._begun:
            self._move(client, self._begun)
        if client.tls and _undecoded(client.socket):
            self._more.append(client)

    def _send(self, client: _Client) -> bool:
        """Send what is to be sent; whether the client took it all. Else it is blocked until it does."""
        try:
            sent = client.socket.send(client.out)
        except _WAIT:
            sent = 0
        except (OSError, ValueError):
            self._drop(client)
            return False
        if sent == len(client.out):
            client.out = b""
            return True
        client.out = client.out[sent:]
        if sent or client.place is not self._blocked:
            self._move(client, self._blocked)
        self._watch(client, selectors.EVENT_WRITE)
        return False

    def _flush(self, client: _Client) -> None:
        if self._send(client):
            if self._acceptor.stopped:
                self._drop(client)
                return
            self._watch(client, selectors.EVENT_READ)
            self._move(client, self._idle)
            if client.data:
                self._answer(client, client.data)
            elif _undecoded(client.socket):
                self._more.append(client)

    def _give(self, client: _Client, data: bytes) -> None:
        begun_at = client.since if client.place is self._begun else self._now
        self._forget(client.socket)
        client.place.pop(client, None)
        self._hand_over(client.stream, data, begun_at + self._timeouts.header_s)

    def _drop(self, client: _Client) -> None:
        client.place.pop(client, None)
        self._forget(client.socket)
        client.stream.close()
        if not len(self):
            self._empty.set()

    def _move(self, client: _Client, place: dict[_Client, None]) -> None:
        client.place.pop(client, None)
        client.place = place
        client.since = self._now
        place[client] = None

    def _watch(self, client: _Client, events: int) -> None:
        self._selector.modify(client.socket, events, client)

    def _forget(self, watched: Socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(watched)

    # --- time

    async def _tick(self) -> None:
        """Let go of who is late, and begin to accept again after a pause."""
        places = (
            (self._idle, self._timeouts.idle_s),
            (self._begun, self._timeouts.header_s),
            (self._blocked, self._timeouts.idle_s),
        )
        while True:
            await trio.sleep(min(limits.TICK_S, self._timeouts.header_s / 4, self._timeouts.idle_s / 4))
            now = trio.current_time()
            for place, seconds in places:
                while place and (client := next(iter(place))).since + seconds <= now:
                    self._drop(client)
            self._acceptor.listen()


def _undecoded(sock: Socket) -> bool:
    """Whether TLS holds bytes that the selector cannot see."""
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
