"""The conventions over a real socket: caching, HEAD, negotiation, bounds, Host, methods, paging."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from holo.core import limits
from holo.testing import running_node
from tests.http.scene import Scene, open_scene, wire
from tests.records import content

CACHED = ["/v1/node", "/v1/namespaces", "/v1/namespaces/acme/bindings", "/v1/resolve?handle=acme/a", "/v1/peers"]


class TestCaching:
    @pytest.mark.parametrize("path", CACHED)
    async def test_checked_answers_are_confirmed_by_304(self, scene: Scene, path: str) -> None:
        first = await scene.client.get(path)
        etag = first.headers["etag"]
        assert first.headers["cache-control"] == "no-cache"
        for sent in (etag, f'"x", {etag}', f"W/{etag}", "*"):
            again = await scene.client.get(path, headers={"if-none-match": sent})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
            assert "content-length" not in again.headers
        other = await scene.client.get(path, headers={"if-none-match": '"x"'})
        assert other.content == first.content

    async def test_a_change_changes_the_etag(self, scene: Scene) -> None:
        path = "/v1/resolve?handle=acme/holo:beta"
        before = await scene.client.get(path)
        await scene.publish()
        after = await scene.client.get(path, headers={"if-none-match": before.headers["etag"]})
        assert (after.status_code, after.json()["outcome"]) == (200, "resolved")

    async def test_immutable_and_never(self, scene: Scene) -> None:
        cid = await scene.catalog()
        for path in (f"/v1/catalogs/{cid}", f"/v1/catalogs/{cid}/entries", f"/v1/objects/{scene.genesis.id}"):
            response = await scene.client.get(path)
            assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert response.headers["etag"]
        posted = await scene.post(scene.binding())
        refused = await scene.post(scene.binding(text="other"))
        for response in (posted, refused, await scene.client.get("/healthz"), await scene.client.get("/v1/nothing")):
            assert response.headers["cache-control"] == "no-store"
            assert "etag" not in response.headers

    async def test_the_two_forms_have_two_etags(self, scene: Scene) -> None:
        forms = [
            await scene.client.get("/v1/catalogs/current", headers={"accept": accept})
            for accept in ("application/json", "application/cose")
        ]
        assert forms[0].headers["etag"] != forms[1].headers["etag"]
        assert {form.headers["vary"] for form in forms} == {"Accept"}

    @pytest.mark.parametrize("path", [*CACHED, "/healthz", "/v1/nothing", "/v1/events", "/openapi.json"])
    async def test_head_is_get_without_a_body(self, scene: Scene, path: str) -> None:
        head = await scene.client.head(path)
        assert head.content == b""
        if path != "/v1/events":
            got = await scene.client.get(path)
            assert head.status_code == got.status_code
            for name in ("content-type", "content-length", "etag", "cache-control"):
                assert head.headers.get(name) == got.headers.get(name)


class TestRefusals:
    async def test_problems_have_their_own_type(self, scene: Scene) -> None:
        response = await scene.client.get("/v1/resolve")
        assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
        assert response.headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize(
        ("path", "code"),
        [
            ("/v1/node?x=1", "parameter-unknown"),
            ("/v1/resolve?handle=acme/a&handle=acme/a", "parameter-repeated"),
            ("/v1/resolve?handle=acme/a:b&tag=c", "parameter-repeated"),
            ("/v1/resolve?handle=acme%2", "request-invalid"),
            ("/v1/resolve?handle=acme", "name-invalid"),
            ("/v1/resolve?handle=acme/a&policyRef=z", "cid-unsupported"),
            ("/v1/resolve?handle=acme/a&receipt=yes", "request-invalid"),
            ("/v1/namespaces?limit=0", "request-invalid"),
            ("/v1/namespaces?limit=1001", "request-invalid"),
            ("/v1/namespaces?cursor=x", "cursor-invalid"),
            ("/v1/namespaces/acme/bindings?handle=other/a", "parameter-repeated"),
            ("/v1/namespaces/acme/bindings?state=old", "request-invalid"),
            ("/v1/namespaces/acme/history", "request-invalid"),
            ("/v1/namespaces/acme/history?handle=other/a", "parameter-repeated"),
            ("/v1/receipts/x", "cid-invalid"),
            ("/v1/receipts?subject=No", "name-invalid"),
        ],
    )
    async def test_what_cannot_be_parsed(self, scene: Scene, path: str, code: str) -> None:
        response = await scene.client.get(path)
        assert (response.status_code, response.json()["code"]) == (400, code)

    @pytest.mark.parametrize(
        "path", ["/", "/v1", "/v1/", "/v1/node/", "//v1/node", "/v2/node", "/v1/Node", "/v1/namespaces//policy"]
    )
    async def test_no_such_resource(self, scene: Scene, path: str) -> None:
        response = await scene.client.get(path)
        assert (response.status_code, response.json()["code"]) == (404, "not-found")

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("POST", "/v1/node", "GET, HEAD"),
            ("DELETE", "/v1/namespaces", "GET, HEAD, POST"),
            ("OPTIONS", "/v1/resolve", "GET, HEAD, POST"),
            ("PUT", "/v1/namespaces/acme/bindings", "GET, HEAD, POST"),
            ("PATCH", "/metrics", "GET, HEAD"),
            ("BREW", "/docs", "GET, HEAD"),
        ],
    )
    async def test_no_such_method(self, scene: Scene, method: str, path: str, allowed: str) -> None:
        response = await scene.client.request(method, path)
        assert (response.status_code, response.json()["code"]) == (405, "method-not-allowed")
        assert response.headers["allow"] == allowed

    @pytest.mark.parametrize("accept", ["text/html", "application/cose", "application/json;q=0"])
    async def test_not_acceptable(self, scene: Scene, accept: str) -> None:
        response = await scene.client.get("/v1/node", headers={"accept": accept})
        assert (response.status_code, response.json()["code"]) == (406, "not-acceptable")
        assert response.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "10.0.0.1", "x y"])
    @pytest.mark.parametrize("path", ["/v1/node", "/nothing", "/docs"])
    async def test_a_foreign_host(self, scene: Scene, host: str, path: str) -> None:
        response = await scene.client.get(path, headers={"host": host})
        assert (response.status_code, response.json()["code"]) == (421, "host-not-allowed")

    async def test_our_names(self, scene: Scene) -> None:
        for host in ("localhost", "127.0.0.1:1", "[::1]"):
            assert (await scene.client.get("/v1/node", headers={"host": host})).status_code == 200

    async def test_named_hosts(self, tmp_path: Path) -> None:
        async with open_scene(tmp_path, ['http.hosts=["holo.example"]']) as scene:
            assert (await scene.client.get("/v1/node", headers={"host": "holo.example"})).status_code == 200


class TestBodies:
    PATH = "/v1/namespaces/acme/bindings"

    @pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded"])
    async def test_content_types(self, scene: Scene, content_type: str | None) -> None:
        headers = {} if content_type is None else {"content-type": content_type}
        response = await scene.client.post(self.PATH, content=b"{}", headers=headers)
        assert (response.status_code, response.json()["code"]) == (415, "media-type-unsupported")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"{}",
            b'{"records":[]}',
            b'{"records":[[]]}',
            b'{"records":[[1]]}',
            b'{"records":[["AA"]],"x":1}',
            b'{"records":[["AA"]],"atomic":1}',
            b'{"records":[[""]]}',
            b'{"records":[["A"]]}',
            b'{"records":[["AA=="]]}',
            b'{"records":[["A+"]]}',
            b'{"records":' + b"[" * 100_000,
            b"\xff\xfe",
        ],
    )
    async def test_json_that_is_not_what_it_should_be(self, scene: Scene, body: bytes) -> None:
        response = await scene.client.post(self.PATH, content=body, headers={"content-type": "application/json"})
        assert (response.status_code, response.json()["code"]) == (400, "request-invalid")

    async def test_bounds_inside_the_body(self, scene: Scene) -> None:
        many = {"records": [["AA"]] * (limits.RECORDS_PER_POST + 1)}
        assert (await scene.client.post(self.PATH, json=many)).status_code == 400
        wide = {"records": [["AA"] * (limits.ENDORSEMENTS_PER_RECORD + 1)]}
        assert (await scene.client.post(self.PATH, json=wide)).status_code == 400
        long = {"records": [["A" * 40_000]]}
        response = await scene.client.post(self.PATH, json=long)
        assert (response.status_code, response.json()["code"], response.json()["at"]) == (
            413,
            "too-large",
            "records[0][0]",
        )

    async def test_a_body_beyond_the_bound(self, tmp_path: Path) -> None:
        async with open_scene(tmp_path, ["http.max_body_bytes=20000"]) as scene:
            for size, status in ((20_000, 400), (20_001, 413), (3_000_000, 413)):
                response = await scene.client.post(
                    self.PATH, content=b" " * size, headers={"content-type": "application/json"}
                )
                assert response.status_code == status

            async def chunks() -> AsyncIterator[bytes]:
                for _ in range(300):
                    yield b" " * 10_000

            response = await scene.client.post(
                self.PATH, content=chunks(), headers={"content-type": "application/json"}
            )
            assert (response.status_code, response.json()["code"]) == (413, "too-large")
            assert (await scene.client.get("/v1/node")).status_code == 200

    async def test_cose_that_is_none(self, scene: Scene) -> None:
        headers = {"content-type": "application/cose"}
        for body in (b"", b"\xd2", b"\xd2\x84"):
            response = await scene.client.post(self.PATH, content=body, headers=headers)
            assert (response.status_code, response.json()["code"]) == (422, "envelope-invalid")
        response = await scene.client.post(
            self.PATH, content=b"\xd2\x84" + bytes(100_000), headers={"content-type": "application/cose"}
        )
        assert (response.status_code, response.json()["code"]) == (413, "too-large")


class TestCursors:
    async def test_bound_to_their_list(self, scene: Scene) -> None:
        for name in ("acme/a:beta", "acme/b:beta"):
            await scene.publish(name)
        page = await scene.get("/v1/namespaces/acme/bindings?limit=1")
        for path in (
            "/v1/namespaces/acme/bindings?tag=beta",
            "/v1/namespaces/acme/bindings?state=pending",
            "/v1/receipts?type=binding-receipt",
        ):
            response = await scene.client.get(f"{path}&cursor={page['next']}")
            assert (response.status_code, response.json()["code"]) == (400, "cursor-invalid")
        other_limit = await scene.get(f"/v1/namespaces/acme/bindings?limit=5&cursor={page['next']}")
        assert [item["name"] for item in other_limit["items"]] == ["acme/b:beta"]

    async def test_the_link_leads_to_the_next_page(self, scene: Scene) -> None:
        names = [f"acme/h{number}:1+{number}" for number in range(5)]
        for name in names:
            await scene.publish(name)
        found: list[str] = []
        url = "/v1/namespaces/acme/bindings?limit=2"
        while True:
            response = await scene.client.get(url)
            found += [item["name"] for item in response.json()["items"]]
            if "next" not in response.links:
                break
            url = response.links["next"]["url"]
        assert found == names

    async def test_into_a_collected_snapshot(self, tmp_path: Path) -> None:
        async with open_scene(tmp_path, ["store.keep_heads=2"]) as scene:
            for name in ("acme/a:beta", "acme/b:beta"):
                await scene.publish(name)
            cid = await scene.catalog()
            page = await scene.get(f"/v1/catalogs/{cid}/entries?limit=1")
            for number in range(4):
                await scene.publish(f"acme/later{number}:beta")
                await scene.catalog()
            gone = await scene.client.get(f"/v1/catalogs/{cid}/entries?limit=1&cursor={page['next']}")
            assert (gone.status_code, gone.json()["code"]) == (410, "cursor-gone")
            fresh = await scene.client.get(f"/v1/catalogs/{cid}/entries")
            assert (fresh.status_code, fresh.json()["code"]) == (410, "gone")


async def test_writes_that_need_a_capability_are_refused(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        assert (await scene.post(scene.binding())).status_code == 201
        later = scene.binding(text="two")
    closed = running_node(tmp_path / "home", ["http.require=capability"])
    async with closed as running, httpx.AsyncClient(base_url=running.url, verify=False) as client:
        reading = await client.get("/v1/resolve?handle=acme/holo:beta")
        assert reading.json()["cid"] == str(content("one"))
        response = await client.post("/v1/namespaces/acme/bindings", json={"records": [wire(later)]})
        assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
        assert response.headers["www-authenticate"]
