"""An honest caller, in a process of its own: so many questions a second, each due at its time whatever came before.

``python -m tests.abuse.honest HOST PORT PER_SECOND [CERT]`` asks until its input ends, then prints what it met. Like
any client of HTTP/1.1 it asks again on a fresh connection where the one it kept was closed between requests.
"""

from __future__ import annotations

import json
import re
import select
import socket
import ssl
import sys
import time
from typing import Final

HOT: Final = b"GET /v1/resolve?handle=acme/holo:beta HTTP/1.1\r\nHost: localhost\r\n\r\n"
NODE: Final = b"GET /v1/node HTTP/1.1\r\nHost: localhost\r\n\r\n"
_NODE_EVERY: Final = 10
_FRESH_EVERY: Final = 25  # questions to a connection
_TRIES: Final = 4
_PATIENCE_S: Final = 20.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)\r\n")


class Caller:
    """One client with one connection at a time."""

    def __init__(self, host: str, port: int, trusted: ssl.SSLContext | None) -> None:
        self._address = (host, port)
        self._trusted = trusted
        self._connection: socket.socket | None = None
        self.retries = 0

    def ask(self, request: bytes) -> int:
        """The status of the answer; 0 where there is none, however often it is asked."""
        for _ in range(_TRIES):
            try:
                return self._ask(request)
            except OSError:
                self.close()
                self.retries += 1
        return 0

    def close(self) -> None:
        """Leave; the next question goes over a fresh connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, request: bytes) -> int:
        if self._connection is None:
            plain = socket.create_connection(self._address, timeout=_PATIENCE_S)
            trusted = self._trusted
            self._connection = trusted.wrap_socket(plain, server_hostname="localhost") if trusted else plain
        self._connection.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        length = _LENGTH.search(data)
        assert length is not None
        while len(data) < end + 4 + int(length[1]):
            data += self._more()
        return int(data[9:12])

    def _more(self) -> bytes:
        assert self._connection is not None
        data = self._connection.recv(65536)
        if not data:
            raise ConnectionResetError
        return data


def main(host: str, port: str, per_second: str, cert: str = "") -> None:
    """Ask until the input ends; the first answer is told by a line."""
    caller = Caller(host, int(port), ssl.create_default_context(cafile=cert) if cert else None)
    statuses: dict[int, int] = {}
    latencies_s = []
    began = due = time.monotonic()
    asked = 0
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        status = caller.ask(NODE if asked % _NODE_EVERY == 0 else HOT)
        latencies_s.append(time.monotonic() - due)
        statuses[status] = statuses.get(status, 0) + 1
        asked += 1
        due = began + asked / int(per_second)
        if asked % _FRESH_EVERY == 0:
            caller.close()
        if asked == 1:
            print("asking", flush=True)
    caller.close()
    latencies_s.sort()
    print(
        json.dumps(
            {
                "statuses": statuses,
                "retries": caller.retries,
                "p50_ms": round(latencies_s[len(latencies_s) // 2] * 1000, 2),
                "p95_ms": round(latencies_s[len(latencies_s) * 95 // 100] * 1000, 2),
                "worst_ms": round(latencies_s[-1] * 1000, 2),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
