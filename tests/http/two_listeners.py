"""Two listeners over one node, one that answers hot reads itself and one that does not, and what each sends back.

What goes back may depend on the bytes that were sent, never on who answers nor on how the bytes came apart on the
way.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio
import trio.testing
import trustme

from holo.embedded import in_thread
from holo.http.server import open_server
from holo.node import open_node
from holo.profile import Http
from holo.store.home import Home
from holo.testing import small_profile
from tests.http.scene import acme, wire
from tests.records import binding_record, content

# No head is signed in the middle of a comparison, and nobody is cut for being slow.
HEADS_ON_DEMAND = ("roles.registry.head_interval_ms=3600000", "roles.registry.head_idle_ms=3600000")
_PATIENT = Http(listen="127.0.0.1:0", header_timeout_ms=60_000, idle_timeout_ms=60_000)
_DATE = re.compile(rb"\r\ndate: [A-Za-z0-9 ,:]{29}(?=\r\n)")


@dataclass(frozen=True)
class Pair:
    """Where the two listen, plain and with TLS: ``(hot, slow)`` each. Called from any thread but the node's."""

    plain: tuple[int, int]
    tls: tuple[int, int]
    trusted: ssl.SSLContext
    token: trio.lowlevel.TrioToken

    def hot(self, packets: Sequence[bytes], *, tls: bool = False) -> bytes:
        """All that comes back, dates aside, from the listener that answers hot reads itself."""
        return self._ask((self.tls if tls else self.plain)[0], packets, tls)

    def slow(self, packets: Sequence[bytes], *, tls: bool = False) -> bytes:
        """All that comes back, dates aside, from the one that hands everything on."""
        return self._ask((self.tls if tls else self.plain)[1], packets, tls)

    def _ask(self, port: int, packets: Sequence[bytes], tls: bool) -> bytes:
        trusted = self.trusted if tls else None
        return trio.from_thread.run(transcript, port, packets, trusted, trio_token=self.token)


async def transcript(port: int, packets: Sequence[bytes], trusted: ssl.SSLContext | None) -> bytes:
    """All that comes back, dates aside, where each packet is read before the next one is sent.

    Once the listener has no more to say, the sending half is shut, and what comes then is waited for. Runs in the
    listener's own event loop, so that it can be seen when there is nothing left to do.
    """
    socket = await trio.open_tcp_stream("127.0.0.1", port)
    stream: Any = socket
    if trusted is not None:
        stream = trio.SSLStream(socket, trusted, server_hostname="localhost", https_compatible=True)
        await stream.do_handshake()
    found = bytearray()
    with trio.fail_after(60):
        async with socket, trio.open_nursery() as nursery:
            nursery.start_soon(_receive, stream, found)
            try:
                for packet in packets:
                    await stream.send_all(packet)
                    await quiet()
                await socket.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # refused, and what was left to say is not read
    return _DATE.sub(b"", bytes(found))


async def quiet() -> None:
    """Wait until every task waits for somebody outside, and no thread works for one of them."""
    while True:
        await trio.testing.wait_all_tasks_blocked()
        if not trio.testing.active_thread_count():
            return
        await trio.testing.wait_all_threads_completed()


async def _receive(stream: Any, found: bytearray) -> None:
    try:
        while data := await stream.receive_some():
            found.extend(data)
    except trio.BrokenResourceError:
        pass  # a connection that ends in a reset ends, too


@contextmanager
def two_listeners(folder: Path) -> Iterator[Pair]:
    """A node that hosts acme, whose acme/holo:beta is settled and covered by a head, behind four listeners."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    cert, key = folder / "cert.pem", folder / "key.pem"
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(cert)
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    tls = msgspec.structs.replace(_PATIENT, tls_cert=str(cert), tls_key=str(key))
    with in_thread(lambda: _listening(folder / "home", (_PATIENT, _PATIENT, tls, tls))) as (ports, token):
        yield Pair((ports[0], ports[1]), (ports[2], ports[3]), trusted, token)


@asynccontextmanager
async def _listening(home: Path, settings: Sequence[Http]) -> AsyncIterator[list[int]]:
    async with (
        open_node(Home(home), small_profile(HEADS_ON_DEMAND)) as node,
        trio.open_nursery() as nursery,
    ):
        ports = []
        for number, http in enumerate(settings):
            answers, posts = (None, None) if number % 2 else (node.app.answers, node.app.posts)
            server = await open_server(node.app, http, grace_s=1, answers=answers, posts=posts)
            url = await nursery.start(server.run)
            ports.append(int(url.rpartition(":")[2]))
        await settle(f"http://127.0.0.1:{ports[0]}")
        await node.registry.sign_head()
        yield ports
        nursery.cancel_scope.cancel()


async def settle(url: str) -> None:
    """Have the node at ``url`` host acme, and bind acme/holo:beta."""
    genesis = acme()
    id = genesis.statement.id
    binding = binding_record(id, id, "acme/holo:beta", content("one"))
    async with httpx.AsyncClient(base_url=url, verify=False) as client:
        assert (await client.post("/v1/namespaces", json={"policy_cose": wire(genesis)})).status_code == 201
        published = await client.post("/v1/namespaces/acme/bindings", json={"records": [wire(binding)]})
        assert published.status_code == 201
