"""Nodes on loopback sockets: one with a client that checks every reply against OpenAPI, one that others listen for."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from holo.node import Node, open_node
from holo.profile import Http
from holo.store.home import Home
from holo.testing import small_profile
from tests.http.polling import PATIENT, Authority, serving_node
from tests.http.scene import Scene, open_scene
from tests.http.two_listeners import HEADS_ON_DEMAND, settle


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Return a node that hosts acme: alice writes everything, stable needs alice and bob."""
    async with open_scene(tmp_path) as found:
        yield found


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """Return a node whose acme/holo:beta is settled and covered by a head, without a listener."""
    async with open_node(Home(tmp_path / "home"), small_profile(HEADS_ON_DEMAND)) as opened:
        async with serving_node(opened, PATIENT, None) as server:
            await settle(server.url)
        await opened.registry.sign_head()
        yield opened


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return settings with TLS, and a client's context."""
    folder = tmp_path_factory.mktemp("tls")
    made = trustme.CA()
    issued = made.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    trusted = ssl.create_default_context()
    made.configure_trust(trusted)
    http = Http(
        listen="127.0.0.1:0",
        tls_cert=str(folder / "cert.pem"),
        tls_key=str(folder / "key.pem"),
        header_timeout_ms=400,
        idle_timeout_ms=800,
        max_connections=64,
    )
    return Authority(http, trusted)
