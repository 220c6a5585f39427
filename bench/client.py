"""A load generator of raw sockets, a process of its own: ``python -m bench.client '{…}'`` with a :class:`Plan`.

It sends prepared HTTP/1.1 requests, one at a time on each connection, in one of two ways. Closed: a connection sends
its next request once it has its answer. Paced: requests are due at fixed times whatever the answers do, wait for a free
connection where there is none, and their latency counts from when they were due, so that a server that stalls cannot
hide what it kept waiting.
"""

from __future__ import annotations

import gc
import re
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from bench.quantile import quantile

_READ_BYTES: Final = 256 * 1024
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PATIENCE_S: Final = 60.0


class Plan(msgspec.Struct, frozen=True):
    """What to do. ``rate_per_s`` makes it paced; then the requests are gone through again and again."""

    port: int
    requests: str
    connections: int
    seconds: float = 3600.0
    rate_per_s: float = 0.0
    first: int = 0
    marker: str = ""


class Report(msgspec.Struct, frozen=True):
    """What came of it. ``marks`` is how often the plan's marker was in the answers."""

    answered: int
    seconds: float
    statuses: dict[str, int]
    marks: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    cpu_s: float

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds

    def require(self, status: str, marks: int | None = None) -> None:
        """Raises :class:`RuntimeError` unless every answer had this status, and the marker was there so often."""
        if set(self.statuses) != {status}:
            raise RuntimeError(f"answers other than {status}: {self.statuses}")
        if marks is not None and self.marks != marks:
            raise RuntimeError(f"{self.marks} of {marks} parts of the answers are as they should be")


class Running:
    """A load generator that was started."""

    def __init__(self, plan: Plan) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "bench.client", msgspec.json.encode(plan).decode()],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
        )

    def report(self) -> Report:
        """Its report, once it is done. Raises :class:`RuntimeError` where it failed."""
        said, _ = self._popen.communicate()
        if self._popen.returncode:
            raise RuntimeError(f"the load generator ended with {self._popen.returncode}")
        return msgspec.json.decode(said, type=Report)


def write_requests(path: Path, requests: Iterable[bytes]) -> int:
    """Keep requests for a plan; how many there are."""
    count = 0
    with path.open("wb") as file:
        for request in requests:
            file.write(len(request).to_bytes(4, "big") + request)
            count += 1
    return count


def get(port: int, target: str) -> bytes:
    """A GET request."""
    return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def post(port: int, target: str, body: bytes, media_type: str, method: str = "POST") -> bytes:
    """A request with a body."""
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {media_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class _Connection:
    """One connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.due = 0.0
        self._unsent = memoryview(b"")
        self._parts: list[bytes] = []
        self._missing = -1  # bytes of the answer still to come; -1 before its head is whole

    @property
    def sending(self) -> bool:
        """Whether some of the request is still to be sent."""
        return len(self._unsent) > 0

    def begin(self, request: bytes, due: float) -> None:
        """Send a request."""
        self.due, self._unsent, self._parts, self._missing = due, memoryview(request), [], -1
        self.send()

    def send(self) -> None:
        """Send what is left of the request, as far as the socket takes it."""
        try:
            self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            return

    def receive(self) -> bytes | None:
        """The whole answer, head and body, once it is there."""
        try:
            data = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return None
        if not data:
            raise RuntimeError("the server closed a connection")
        self._parts.append(data)
        if self._missing < 0:
            data = b"".join(self._parts)
            self._parts = [data]
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return None
            length = _LENGTH.search(data, 0, end + 2)
            if length is None:
                raise RuntimeError(f"an answer without a length: {data[:end]!r}")
            self._missing = end + 4 + int(length[1]) - len(data)
        else:
            self._missing -= len(data)
        return b"".join(self._parts) if self._missing == 0 else None


class Generator:
    """Runs one plan, in the process that makes it."""

    def __init__(self, plan: Plan, requests: list[bytes]) -> None:
        self._plan = plan
        self._requests = requests
        self._selector = selectors.DefaultSelector()
        self._idle = deque(_Connection(plan.port) for _ in range(plan.connections))
        for connection in self._idle:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._under_way = 0
        self._latencies_s: list[float] = []
        self._statuses: Counter[str] = Counter()
        self._marks = 0
        self._marker = plan.marker.encode()

    def run(self) -> Report:
        """Send, receive, and say how it went."""
        began = last = time.perf_counter()
        waiting: deque[tuple[float, bytes]] = deque()
        schedule = self._schedule(began)
        upcoming = next(schedule, None)
        while upcoming is not None or waiting or self._under_way:
            now = time.perf_counter()
            while upcoming is not None and upcoming[0] <= now:
                waiting.append(upcoming)
                upcoming = next(schedule, None)
                if not self._plan.rate_per_s and len(waiting) >= len(self._idle):
                    break  # closed: what is due is whatever a connection is free for
            while waiting and self._idle:
                due, request = waiting.popleft()
                self._begin(self._idle.popleft(), request, due if self._plan.rate_per_s else now)
            if self._receive(0.0 if upcoming is not None and upcoming[0] <= now and self._idle else 0.001):
                last = time.perf_counter()
            if time.perf_counter() > last + _PATIENCE_S:
                raise RuntimeError(f"no answer for {_PATIENCE_S:.0f} s")
        self._close()
        return self._report(last - began)

    def _close(self) -> None:
        self._selector.close()
        for connection in self._idle:
            connection.socket.close()

    def _schedule(self, began: float) -> Iterator[tuple[float, bytes]]:
        """(when it is due, request) of each request."""
        if self._plan.rate_per_s:
            for number in range(int(self._plan.rate_per_s * self._plan.seconds)):
                yield began + number / self._plan.rate_per_s, self._requests[number % len(self._requests)]
            return
        for request in self._requests:
            if time.perf_counter() > began + self._plan.seconds:
                return
            yield began, request

    def _begin(self, connection: _Connection, request: bytes, due: float) -> None:
        connection.begin(request, due)
        self._under_way += 1
        if connection.sending:
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.modify(connection.socket, both, connection)

    def _receive(self, timeout_s: float) -> bool:
        """Take what has come; whether an answer was among it."""
        answered = False
        for key, events in self._selector.select(timeout_s):
            connection: _Connection = key.data
            if events & selectors.EVENT_WRITE:
                connection.send()
                if not connection.sending:
                    self._selector.modify(connection.socket, selectors.EVENT_READ, connection)
            answer = connection.receive() if events & selectors.EVENT_READ else None
            if answer is None:
                continue
            answered = True
            self._latencies_s.append(time.perf_counter() - connection.due)
            self._statuses[answer[9:12].decode()] += 1
            if self._marker:
                self._marks += answer.count(self._marker)
            self._under_way -= 1
            self._idle.append(connection)
        return answered

    def _report(self, seconds: float) -> Report:
        spent = [value * 1000 for value in self._latencies_s]
        return Report(
            answered=len(spent),
            seconds=seconds,
            statuses=dict(self._statuses),
            marks=self._marks,
            p50_ms=quantile(spent, 0.5),
            p95_ms=quantile(spent, 0.95),
            p99_ms=quantile(spent, 0.99),
            max_ms=max(spent, default=0.0),
            cpu_s=time.process_time(),
        )


def _read_requests(path: Path, first: int) -> list[bytes]:
    data = path.read_bytes()
    requests, at = [], 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        requests.append(data[at + 4 : end])
        at = end
    return requests[first:]


if __name__ == "__main__":
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    generator = Generator(plan, _read_requests(Path(plan.requests), plan.first))
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(generator.run()))
