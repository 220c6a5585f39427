"""A node inside another program: in a thread of its own, reached without a socket.

This is how verbs work on a home that no node runs on. A request crosses into the node's thread, runs through the same
ASGI application a listener would call, and comes back as an ordinary httpx response.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx
import trio

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
    transport: httpx.BaseTransport


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


class _Bridge(httpx.BaseTransport):
    """Carries requests from any thread into the node's thread."""

    def __init__(self, node: Node, token: trio.lowlevel.TrioToken, *, readonly: bool) -> None:
        self._readonly = readonly
        self._inner = httpx.ASGITransport(app=node.app, raise_app_exceptions=False)
        self._token = token

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The node's answer, read whole."""
        reads = request.method == "GET" or request.url.path == "/v1/resolve"
        assert reads or not self._readonly, "whoever writes opens the home for writing"
        return trio.from_thread.run(self._handle, request, trio_token=self._token)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        crossed = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        response = await self._inner.handle_async_request(crossed)
        content = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, content=content, request=request)
