"""Catalogs over a real socket: what is in them, proofs and differences."""

from __future__ import annotations

from holo.core import tree
from holo.core.cid import DAG_CBOR, Cid
from holo.core.errors import Rejected
from holo.core.head import open_head
from holo.core.state import decode_catalog, decode_namespace_state, parse_current, parse_state_value
from holo.http.catalog_reading import count_names, count_names_since
from tests.http.scene import Scene, acme, raw, wire
from tests.records import content


class TestCatalogs:
    async def test_current_and_snapshot(self, scene: Scene) -> None:
        await scene.publish()
        cid = await scene.catalog()
        current = await scene.get("/v1/catalogs/current")
        head = open_head(raw(current["head_cose"]))
        assert (str(head.id), str(head.catalog), head.log_size) == (current["head"], cid, current["log_size"])
        assert current["count"] == 1
        snapshot = await scene.get(f"/v1/catalogs/{cid}")
        assert Cid.parse(cid).matches(raw(snapshot["data"]))
        assert snapshot["count"] == 1
        cose = await scene.client.get("/v1/catalogs/current", headers={"accept": "application/cose"})
        assert open_head(cose.content).id == head.id

    async def test_names_are_counted_from_any_catalog_counted_before(self, scene: Scene) -> None:
        catalogs, expected = [], []
        for number in range(6):
            ns = f"extra{number}"
            if number % 2:
                await scene.client.post("/v1/namespaces", json={"policy_cose": wire(acme(ns))})
            else:
                await scene.publish(f"acme/n{number}:beta")
                await scene.publish(f"acme/m{number}:beta")
            catalogs.append(await scene.catalog())
            expected.append(len((await scene.get(f"/v1/catalogs/{catalogs[-1]}/entries"))["items"]))
        assert [(await scene.get(f"/v1/catalogs/{catalog}"))["count"] for catalog in catalogs] == expected
        with scene.running.node.registry.view() as view:
            kept = [view.catalog(Cid.parse(catalog)) for catalog in catalogs]
            for one, count in zip(kept, expected, strict=True):
                for other, other_count in zip(kept, expected, strict=True):
                    assert count_names_since(view, one, count, other) == other_count == count_names(view, other)

    async def test_entries_across_namespaces(self, scene: Scene) -> None:
        names = [f"acme/h{number:03}:beta" for number in range(70)]
        for name in names:
            await scene.publish(name)
        await scene.client.post("/v1/namespaces", json={"policy_cose": wire(acme("alpha"))})
        cid = await scene.catalog()
        found: list[str] = []
        url = f"/v1/catalogs/{cid}/entries?limit=30"
        while True:
            page = await scene.get(url)
            found += [item["name"] for item in page["items"]]
            if page["next"] is None:
                break
            url = f"/v1/catalogs/{cid}/entries?limit=30&cursor={page['next']}"
        assert found == names
        some = await scene.get(f"/v1/catalogs/{cid}/entries?prefix=acme/h00")
        assert [item["name"] for item in some["items"]] == names[:10]
        assert (await scene.get(f"/v1/catalogs/{cid}/entries?prefix=al"))["items"] == []

    async def test_proofs_of_presence_and_absence(self, scene: Scene) -> None:
        for number in range(100):
            await scene.publish(f"acme/h{number:03}:beta")
        cid = await scene.catalog()
        for name, statements in [("acme/h050:beta", 1), ("acme/h050:gone", 0), ("nowhere/a:latest", 0)]:
            found = await scene.get(f"/v1/catalogs/{cid}/proof?name={name}")
            assert len(found["statements"]) == statements
            assert _proved(cid, name, [raw(node) for node in found["nodes"]]) == found["statements"]

    async def test_what_else_a_catalog_is_made_of_is_no_catalog(self, scene: Scene) -> None:
        await scene.publish()
        cid = await scene.catalog()
        itself, *others = (await scene.get(f"/v1/catalogs/{cid}/proof?name=acme/holo:beta"))["nodes"]
        assert str(Cid.of(DAG_CBOR, raw(itself))) == cid
        assert len(others) == 3, "a leaf of namespaces, a state and a leaf of names"
        for other in (Cid.of(DAG_CBOR, raw(node)) for node in others):
            for path in (f"{other}", f"{other}/entries", f"{other}/proof?name=acme/a", f"{cid}/diff?from={other}"):
                refused = await scene.client.get(f"/v1/catalogs/{path}")
                assert (refused.status_code, refused.json()["code"]) == (404, "not-found"), path

    async def test_diffs(self, scene: Scene) -> None:
        kept = await scene.publish("acme/kept:beta")
        changed = await scene.publish("acme/changed:beta")
        before = await scene.catalog()
        again = await scene.publish("acme/changed:beta", "two", rev=2, prev=[changed])
        added = await scene.publish("acme/added:beta")
        after = await scene.catalog()
        found = await scene.get(f"/v1/catalogs/{after}/diff?from={before}")
        assert found["items"] == [
            {"name": "acme/added:beta", "before": [], "after": [str(added)]},
            {"name": "acme/changed:beta", "before": [str(changed)], "after": [str(again)]},
        ]
        assert str(kept) not in str(found)
        first = await scene.get(f"/v1/catalogs/{after}/diff?from={before}&limit=1")
        rest = await scene.get(f"/v1/catalogs/{after}/diff?from={before}&limit=1&cursor={first['next']}")
        assert first["items"] + rest["items"] == found["items"]
        assert (await scene.get(f"/v1/catalogs/{after}/diff?from={after}"))["items"] == []

    async def test_unknown(self, scene: Scene) -> None:
        for path in ("", "/entries", "/proof?name=a/b", f"/diff?from={content('x')}"):
            response = await scene.client.get(f"/v1/catalogs/{scene.genesis.id}{path}")
            assert (response.status_code, response.json()["code"]) == (404, "not-found"), path
        response = await scene.client.get(f"/v1/catalogs/{content('x')}")
        assert response.status_code == 404
        response = await scene.client.get("/v1/catalogs/x")
        assert (response.status_code, response.json()["code"]) == (400, "cid-invalid")


def _proved(catalog: str, name: str, nodes: list[bytes]) -> list[str]:
    """What the nodes prove, found from the catalog's CID alone."""
    ns, _, rest = name.partition("/")
    handle, _, tag = rest.partition(":")
    assert Cid.parse(catalog).matches(nodes[0])
    root = decode_catalog(nodes[0])
    for split in range(2, len(nodes) + 1):
        try:
            value = tree.check_proof(root.namespaces, ns.encode(), nodes[1:split])
        except Rejected:
            continue  # the path of the first tree goes on
        break
    else:
        raise AssertionError("no proof")
    if value is None:
        assert split == len(nodes)
        return []
    state_cid = parse_state_value(value)
    assert state_cid.matches(nodes[split])
    state = decode_namespace_state(nodes[split])
    found = tree.check_proof(state.bindings, f"{handle}/{tag}".encode(), nodes[split + 1 :])
    return [] if found is None else [str(cited.statement) for cited in parse_current(found)]
