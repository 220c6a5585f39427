"""Reading names: resolve, history, release, why, catalog and status; what they print and how they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from holo.cli.exits import exit_of_decision
from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.http.types import Problem
from tests.cli.conftest import World
from tests.cli.runner import holo, process, said, shape

ONE, TWO = (str(Cid.of(RAW, content)) for content in (b"one", b"two"))
STEP = {"code": "str", "subject": "str", "ok": "bool", "n": None}
DECISION = {
    "name": "str",
    "outcome": "str",
    "cid": "str",
    "statement": "str",
    "rev": "int",
    "genesis": "str",
    "policy": "str",
    "consumer_policy": None,
    "decision": "str",
    "steps": [STEP],
    "flags": [],
}
BINDING: dict[str, Any] = {
    "name": "str",
    "statement": "str",
    "cid": "str",
    "rev": "int",
    "prev": [],
    "policy": "str",
    "at_ms": "int",
    "signers": ["str"],
    "state": "str",
    "have": "int",
    "need": "int",
    "meta": {},
    "reason": None,
    "source": None,
    "record_cose": ["str"],
}
RECEIPT = {
    "receipt": "str",
    "type": "str",
    "log": "str",
    "seq": "int",
    "at_ms": "int",
    "view": {
        "v": "int",
        "cid": "str",
        "log": "str",
        "rev": "int",
        "seq": "int",
        "name": "str",
        "type": "str",
        "at_ms": "int",
        "state": "str",
        "displaced": [],
        "endorsers": ["str"],
        "statement": "str",
    },
    "receipt_cose": "str",
}


@pytest.fixture(scope="module")
def published(world: World) -> dict[str, str]:
    """Return what publishing acme/tool gave; acme/tool:old stands for the same content."""
    said(world.alice, "--node", "node", "publish", "acme/tool:old", "--cid", ONE, "--no-wait")
    posted: dict[str, str] = said(world.alice, "--node", "node", "publish", "acme/tool", "--cid", ONE)
    return posted


def test_a_name_resolves_to_its_content(world: World, published: dict[str, str]) -> None:
    found = said(world.bob, "--node", "node", "resolve", "acme/tool")
    assert shape(found) == DECISION
    assert (found["outcome"], found["cid"], found["name"]) == ("resolved", ONE, "acme/tool:latest")
    assert holo(world.bob, "--node", "node", "resolve", "acme/tool").out == ONE + "\n"
    loud = holo(world.bob, "--node", "node", "resolve", "acme/tool", "-v").out
    assert all(step["code"] in loud for step in found["steps"])
    assert published["statement"] in loud


@pytest.mark.parametrize(
    ("name", "outcome", "code"),
    [
        ("acme/nothing", "not-found", 5),
        ("nobody/nothing", "not-found", 5),
        (f"acme/tool@{TWO}", "refused", 1),
        (f"acme/tool@{ONE}", "resolved", 0),
    ],
)
def test_every_outcome_is_an_answer_with_an_exit_code(
    world: World, published: dict[str, str], name: str, outcome: str, code: int
) -> None:
    assert said(world.bob, "--node", "node", "resolve", name, expect=code)["outcome"] == outcome


def test_the_readers_policy_decides(world: World, published: dict[str, str]) -> None:
    words = ("--node", "node", "resolve", "acme/tool", "--policy")
    assert said(world.bob, *words, world.genesis)["outcome"] == "resolved"
    unknown = said(world.bob, *words, Cid.of(DAG_CBOR, b"x"), expect=3)
    assert unknown["outcome"] == "policy-unknown"


def test_a_pinned_namespace_is_asked_for_by_its_genesis(
    world: World, tmp_path: Path, published: dict[str, str]
) -> None:
    home, other = tmp_path / "home", str(Cid.of(DAG_CBOR, b"another"))
    assert said(home, "ns", "pin", "acme", other) == {"ns": "acme", "genesis": other}
    assert said(home, "--node", world.url, "resolve", "acme/tool", expect=3)["outcome"] == "policy-unknown"
    problem = said(home, "--node", world.url, "ns", "show", "acme", expect=4)
    assert problem["code"] == "genesis-foreign"
    asked = process("--home", home, "--node", world.url, "ns", "pin", "acme")
    assert asked.code == 2
    assert "--yes" in asked.err
    assert said(home, "--node", world.url, "--yes", "ns", "pin", "acme")["genesis"] == world.genesis
    assert said(home, "--node", world.url, "resolve", "acme/tool")["outcome"] == "resolved"


def test_outcomes_and_exit_codes() -> None:
    fork = [{"code": "name-bound", "ok": True}, {"code": "consumer-forks", "ok": False}]
    assert exit_of_decision("refused", fork) == 3
    assert exit_of_decision("refused", [{"code": "pin-matched", "ok": False}]) == 1
    assert [exit_of_decision(outcome, []) for outcome in ("held", "pending", "policy-unknown")] == [3, 3, 3]
    assert [exit_of_decision(outcome, []) for outcome in ("resolved", "yanked", "not-found")] == [0, 5, 5]
    assert exit_of_decision("something-newer", []) == 3


def test_history_lists_every_revision(world: World, published: dict[str, str]) -> None:
    found = said(world.bob, "--node", "node", "history", "acme/tool")
    assert shape(found) == {"name": "str", "items": [BINDING]}
    assert found["items"][0]["statement"] == published["statement"]
    assert said(world.bob, "--node", "node", "history", "acme/none", expect=5)["code"] == "not-found"
    said(world.alice, "--node", "node", "publish", "acme/many", "--cid", ONE, "--no-wait")
    said(world.alice, "--node", "node", "publish", "acme/many", "--cid", TWO, "--no-wait")
    assert [item["rev"] for item in said(world.bob, "--node", "node", "history", "acme/many")["items"]] == [2, 1]
    assert len(said(world.bob, "--node", "node", "history", "acme/many", "--limit", 1)["items"]) == 1


def test_a_release_is_its_content_and_all_its_names(world: World, published: dict[str, str]) -> None:
    found = said(world.bob, "--node", "node", "release", "show", "acme/tool")
    assert shape(found) == {
        "name": "str",
        "outcome": "str",
        "cid": "str",
        "size": None,
        "bindings": [BINDING],
        "receipts": ["str"],
        "decision": "str",
    }
    assert {item["name"] for item in found["bindings"]} == {"acme/tool:latest", "acme/tool:old"}
    assert found["receipts"] == [published["receipt"]]
    assert said(world.bob, "--node", "node", "release", "show", "acme/none", expect=5)["outcome"] == "not-found"


def test_why_explains_names_receipts_statements_and_contents(world: World, published: dict[str, str]) -> None:
    name = said(world.bob, "--node", "node", "why", "acme/tool")
    assert (name["kind"], name["decision"]["cid"], name["receipts"]) == ("name", ONE, [published["receipt"]])
    receipt = said(world.bob, "--node", "node", "why", published["receipt"])
    assert shape(receipt) == {"kind": "str", **RECEIPT}
    statement = said(world.bob, "--node", "node", "why", published["statement"])
    assert (statement["kind"], statement["type"], statement["state"]) == ("object", "binding", "current")
    content = said(world.bob, "--node", "node", "why", ONE)
    assert (content["kind"], content["names"][0]["cid"]) == ("content", ONE)
    assert said(world.bob, "--node", "node", "why", Cid.of(RAW, b"?"), expect=5)["code"] == "not-found"
    for subject in ("acme/tool", published["receipt"], published["statement"], ONE):
        assert holo(world.bob, "--node", "node", "why", subject).out


def test_why_ends_as_resolve_does(world: World, published: dict[str, str]) -> None:
    for name in ("acme/tool", "acme/none", "nobody/none", f"acme/tool@{TWO}"):
        code = process("--home", world.bob, "--node", "node", "resolve", name).code
        told = holo(world.bob, "--node", "node", "why", name, expect=code).out
        assert ("resolved" in told) == (code == 0)
    assert said(world.bob, "--node", "node", "why", "acme/none", expect=5)["decision"]["outcome"] == "not-found"


def test_the_catalog_is_shown_compared_and_proved(world: World, published: dict[str, str]) -> None:
    before = said(world.bob, "--node", "node", "catalog", "show")
    assert {item["name"]: item["statements"] for item in before["items"]}["acme/tool:latest"] == [
        published["statement"]
    ]
    posted = said(world.alice, "--node", "node", "publish", "acme/later", "--cid", TWO)
    diff = said(world.bob, "--node", "node", "catalog", "diff", before["catalog"], posted["catalog"])
    assert diff["items"] == [{"name": "acme/later:latest", "before": [], "after": [posted["statement"]]}]
    assert (
        f"+ acme/later:latest {posted['statement']}"
        in holo(world.bob, "--node", "node", "catalog", "diff", before["catalog"]).out
    )
    proof = said(world.bob, "--node", "node", "catalog", "prove", "acme/later")
    assert shape(proof) == {
        "catalog": "str",
        "name": "str",
        "statements": ["str"],
        "nodes": ["str"],
        "proved": "bool",
    }
    earlier = ("catalog", "prove", "acme/later", "--catalog", before["catalog"])
    absent = said(world.bob, "--node", "node", *earlier)
    assert absent["proved"]
    assert absent["statements"] == []
    assert said(world.bob, "--node", "node", "catalog", "prove", "nobody/here")["statements"] == []


def test_status_tells_of_the_home_and_its_node(world: World, published: dict[str, str]) -> None:
    found = said(world.node_home, "status")
    assert found["running"]["url"] == world.url
    assert found["node"]["node"] == world.did
    assert [item["ns"] for item in found["namespaces"]] == ["acme"]
    remote = said(world.alice, "--node", "node", "status")
    assert remote["home"]["keys"] == ["acme-recovery", "alice"]
    assert remote["running"] is None


def test_an_unreachable_node_is_left_for_the_next(world: World, published: dict[str, str]) -> None:
    dead = "http://127.0.0.1:9"
    assert said(world.bob, "--node", dead, "resolve", "acme/tool", expect=6)["code"] == "unreachable"
    ran = holo(world.bob, "--json", "--node", dead, "--node", "node", "resolve", "acme/tool")
    assert ran.json["cid"] == ONE
    assert f"going on with {world.url}" in ran.err


def test_a_remote_has_to_be_the_node_it_was_added_as(world: World, tmp_path: Path, published: dict[str, str]) -> None:
    home = tmp_path / "home"
    other = said(home, "keys", "new", "somebody")["key"]
    said(home, "remote", "add", "node", world.url, other)
    problem = said(home, "--node", "node", "status", expect=3)
    assert problem["code"] == "anchor-missing"
    assert holo(home, "--node", "nod", "status", expect=2).err.count("did you mean node?") == 1
    assert said(home, "--node", "ftp://x", "status", expect=2)["code"] == "usage"


def test_a_failure_is_the_nodes_own_problem_object(world: World, tmp_path: Path) -> None:
    members = set(Problem.__struct_fields__)
    assert set(said(world.bob, "--node", "node", "ns", "show", "nobody", expect=5)) == members
    assert set(said(tmp_path / "home", "keys", "show", "nobody", expect=5)) == members
    assert set(said(tmp_path / "home", "keys", "show", expect=2)) == members


def test_a_page_of_something_else_is_no_node(tmp_path: Path) -> None:
    import http.server
    import threading

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        ran = process("--home", tmp_path / "home", "--node", url, "--json", "status")
        server.shutdown()
        thread.join()
    assert ran.code == 6
    assert json.loads(ran.out)["code"] == "reply-invalid"
