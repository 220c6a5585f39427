"""A node inside another program: in a thread of its own, reached without a socket.

This is how verbs work on a home that no node runs on. A request crosses into the node's thread, runs through the same
ASGI application a listener would call, and comes back whole.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote

import trio

from holo.client.transport import Response, Transport
from holo.core.keys import Kid
from holo.node import Node, open_node, single_error
from holo.profile import Profile, load_profile
from holo.store.home import Home

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Embedded:
    """A node inside this process, without a listener: its requests go through ``transport``."""

    url: str
    kid: Kid
    transport: Transport


@contextmanager
def embedded(home: Home, profile: Profile | None = None, *, readonly: bool = False) -> Iterator[Embedded]:
    """A node on ``home``, whose lock the caller holds, for the length of the block; the minimal peer by default.

    With ``readonly`` a shared lock will do, there has to be a store, and only what reads is answered.
    """
    # One caller writes, and waits for the head: there is nothing to gather.
    settings = profile or load_profile("minimal-peer", ["roles.registry.head_changes=1"])
    with in_thread(lambda: open_node(home, settings, readonly=readonly)) as (node, token):
        yield Embedded("http://localhost", node.kid, _Bridge(node, token, readonly=readonly))


@contextmanager
def in_thread(open: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[tuple[T, trio.lowlevel.TrioToken]]:
    """What ``open`` gives, entered under trio in a thread of its own, and the token by which to call into it.

    Left when the block ends. An error of the thread is raised here, once the block is over.
    """
    started = threading.Event()
    found: list[tuple[T, trio.lowlevel.TrioToken, trio.Event]] = []
    failed: list[BaseException] = []

    async def main() -> None:
        async with open() as opened:
            stop = trio.Event()
            found.append((opened, trio.lowlevel.current_trio_token(), stop))
            started.set()
            await stop.wait()

    def run() -> None:
        try:
            trio.run(main)
        except BaseException as error:
            failed.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, name="holo-node")
    thread.start()
    started.wait()
    try:
        if found:
            opened, token, stop = found[0]
            try:
                yield opened, token
            finally:
                with contextlib.suppress(trio.RunFinishedError):  # it ended by itself; its error is raised below
                    trio.from_thread.run_sync(stop.set, trio_token=token)
    finally:
        thread.join()
        if failed:
            raise single_error(failed[0])


class _Bridge:
    """Carries requests from any thread into the node's thread, straight to the application."""

    def __init__(self, node: Node, token: trio.lowlevel.TrioToken, *, readonly: bool) -> None:
        self._readonly = readonly
        self._app = node.app
        self._token = token

    def request(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        """The node's answer, read whole."""
        path, _, query = target.partition("?")
        assert not self._readonly or method == "GET" or path == "/v1/resolve", "who writes opens the home for writing"
        fields = {"host": "localhost", "content-length": str(len(body or b"")), **headers}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.1"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
            "client": None,
            "server": ("localhost", 80),
            "extensions": {},
        }
        return trio.from_thread.run(self._call, scope, body or b"", trio_token=self._token)

    def close(self) -> None:
        """Nothing is kept open between requests."""

    async def _call(self, scope: Mapping[str, Any], body: bytes) -> Response:
        """One round through the application (ASGI 3.0)."""
        parts: list[bytes] = []
        begun: dict[str, Any] = {}
        asked = [{"type": "http.request", "body": body, "more_body": False}]
        answered = trio.Event()

        async def receive() -> Mapping[str, Any]:
            if asked:
                return asked.pop()
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                begun.update(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    answered.set()

        await self._app(scope, receive, send)
        headers = {name.decode().lower(): value.decode() for name, value in begun["headers"]}
        return Response(begun["status"], headers, b"".join(parts))
