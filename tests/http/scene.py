"""What the HTTP tests share: a running node, a namespace on it, and the records people send."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from holo.core.cid import Cid
from holo.core.envelope import Record
from holo.core.policy import Policy, parse_policy
from holo.http.base64url import decode_base64url, encode_base64url
from holo.node import Listening
from holo.testing import running_node
from tests.http.schema import check_response
from tests.records import EVERYTHING, binding_record, content, policy_record

QUICK_HEADS = ("roles.registry.head_interval_ms=20",)
MANY_DENIALS = ("limits.anonymous.denials_per_minute=100000",)


@dataclass
class Scene:
    """A running node, a client of it, and the namespace acme. ``client`` checks every reply against OpenAPI."""

    running: Listening
    client: httpx.AsyncClient
    genesis: Policy

    def binding(self, name: str = "acme/holo:beta", text: str = "one", **fields: Any) -> Record:
        """A binding of acme by alice, for the first revision unless ``fields`` say otherwise."""
        return binding_record(self.genesis.id, self.genesis.id, name, content(text), **fields)

    async def publish(self, name: str = "acme/holo:beta", text: str = "one", **fields: Any) -> Cid:
        """Publish such a binding; it must be accepted. Returns its statement's id."""
        record = self.binding(name, text, **fields)
        response = await self.post(record)
        assert response.status_code in (201, 202), response.text
        return record.statement.id

    async def post(self, *records: Record, ns: str = "acme", atomic: bool = False, wait_s: int = 0) -> httpx.Response:
        """Send records as JSON."""
        body = {"records": [wire(record) for record in records], "atomic": atomic}
        headers = {"prefer": f"wait={wait_s}"} if wait_s else {}
        return await self.client.post(f"/v1/namespaces/{ns}/bindings", json=body, headers=headers)

    async def get(self, path: str, **headers: str) -> Any:
        """The JSON of a reply that must be 200."""
        response = await self.client.get(path, headers=headers)
        assert response.status_code == 200, response.text
        return response.json()

    async def catalog(self) -> str:
        """The catalog of everything admitted so far: a head is signed first."""
        await self.running.node.registry.sign_head()
        found = await self.get("/v1/catalogs/current")
        return str(found["catalog"])


def wire(record: Record) -> list[str]:
    """A record's envelopes as JSON carries them."""
    return [encode_base64url(envelope) for envelope in record.envelopes()]


def raw(text: str) -> bytes:
    """The bytes that a reply has in base64url."""
    return decode_base64url(text, 1 << 20, at="test")


def acme(ns: str = "acme", **fields: Any) -> Record:
    """The genesis of acme: alice and bob write everything, stable needs both."""
    signers = {"alice": EVERYTHING, "bob": EVERYTHING}
    return policy_record(ns, **{"signers": signers, "thresholds": [(["stable"], 2)], **fields})


@asynccontextmanager
async def open_scene(folder: Path, settings: Sequence[str] = (), **client: Any) -> AsyncIterator[Scene]:
    """A running node that hosts acme. ``client`` goes to httpx."""
    async with running_node(folder / "home", [*MANY_DENIALS, *settings]) as running:
        hooks = {"response": [check_response]}
        async with httpx.AsyncClient(
            base_url=running.url, event_hooks=hooks, timeout=20, **{"verify": False, **client}
        ) as http:
            record = acme()
            response = await http.post("/v1/namespaces", json={"policy_cose": wire(record)})
            assert response.status_code == 201, response.text
            yield Scene(running, http, parse_policy(record.statement))
