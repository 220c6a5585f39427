"""Receipts and bundles verified by a stranger: no network, no node, and nothing believed that nobody vouched for."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holo.cli.demo.offline import DENIED_LINE, NOT_DENIED
from holo.core.cid import RAW, Cid
from holo.core.evidence import equivocation_of
from holo.core.keys import did_of
from holo.http.base64url import decode_base64url, encode_base64url
from tests.cli.conftest import World
from tests.cli.runner import PROJECT, Ran, environment, holo, said, shape
from tests.signing_node import SigningNode

ONE = str(Cid.of(RAW, b"one"))
VERIFIED = {
    "result": "str",
    "receipt": "str",
    "type": "str",
    "signer": "str",
    "trusted": "bool",
    "logged": None,
    "view": "…",
}
CHECK = {"code": "str", "subject": None, "verdict": "str", "at": None, "detail": "str"}
DECISION = {
    "name": "str",
    "outcome": "str",
    "cid": "str",
    "statement": "str",
    "genesis": "str",
    "decision": "str",
    "node": "str",
    "at_ms": "int",
}


@pytest.fixture(scope="module")
def posted(world: World) -> dict[str, Any]:
    """Return what publishing acme/proof gave, with a head that cites it."""
    found: dict[str, Any] = said(world.alice, "--node", "node", "publish", "acme/proof", "--cid", ONE)
    assert found["head"] is not None
    return found


@pytest.fixture(scope="module")
def bundle(world: World, posted: dict[str, Any], folder: Path) -> Path:
    """Return the bundle that proves acme/proof."""
    file = folder / "proof.bundle"
    said(world.bob, "--node", "node", "resolve", "acme/proof", "--receipt", file)
    return file


def offline(*words: object, url: str = "http://127.0.0.1:9") -> Ran:
    """Run a verb where there is no network, against which a connection was tried first."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    args = [sys.executable, "-m", "holo.cli.demo.offline", host, port, *(str(word) for word in words)]
    done = subprocess.run(args, capture_output=True, text=True, timeout=60, env=environment(), cwd=PROJECT)
    assert DENIED_LINE in done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def test_a_receipt_verifies_from_a_file_in_every_form(world: World, posted: dict[str, Any], tmp_path: Path) -> None:
    cose = decode_base64url(posted["receipt_cose"], 1 << 16, at="receipt_cose")
    forms = {"cose": cose, "text": posted["receipt_cose"].encode(), "json": json.dumps(posted).encode()}
    for form, data in forms.items():
        file = tmp_path / form
        file.write_bytes(data)
        found = said(tmp_path / "home", "receipts", "verify", file, "--signer", world.did, "--offline")
        assert shape({**found, "view": 0}) == {**VERIFIED, "view": "int"}
        assert (found["result"], found["receipt"], found["view"]["name"]) == (
            "ok",
            posted["receipt"],
            "acme/proof:latest",
        )
    assert not (tmp_path / "home").exists()


def test_without_an_anchor_it_says_whose_signature_it_is(world: World, posted: dict[str, Any], tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "receipt"
    file.write_text(posted["receipt_cose"])
    told = holo(home, "receipts", "verify", file, expect=3)
    assert world.did in told.out
    assert "inconclusive" in told.out
    assert said(home, "receipts", "verify", file, expect=3)["trusted"] is False
    said(home, "trust", "add", "us", world.did)
    assert said(home, "receipts", "verify", file)["trusted"] is True
    said(home, "trust", "rm", "us")
    assert said(home, "receipts", "verify", file, expect=3)["result"] == "inconclusive"


def test_a_spoiled_receipt_is_bad_even_with_an_anchor(world: World, posted: dict[str, Any], tmp_path: Path) -> None:
    data = bytearray(decode_base64url(posted["receipt_cose"], 1 << 16, at="receipt_cose"))
    file = tmp_path / "receipt"
    for at in (len(data) - 1, len(data) // 2, 5):
        spoiled = bytes(data[:at]) + bytes((data[at] ^ 1,)) + bytes(data[at + 1 :])
        file.write_bytes(spoiled)
        assert said(tmp_path, "receipts", "verify", file, "--signer", world.did, expect=1)["status"] == 422
    file.write_text("neither this nor that!")
    assert said(tmp_path, "receipts", "verify", file, expect=2)["code"] == "request-invalid"
    file.write_text('{"no": "receipt"}')
    assert said(tmp_path, "receipts", "verify", file, expect=1)["code"] == "envelope-invalid"


def test_a_receipt_of_the_node_is_proved_to_be_in_its_log(world: World, posted: dict[str, Any]) -> None:
    found = said(world.bob, "--node", "node", "receipts", "verify", posted["receipt"], "--signer", world.did)
    assert shape(found["logged"]) == {"log": "str", "index": "int", "size": "int", "head": "str"}
    words = ("receipts", "verify", posted["receipt"])
    assert said(world.bob, "--node", "node", *words, expect=3)["logged"] == found["logged"]
    assert said(world.bob, "--node", "node", *words, "--offline", expect=2)["code"] == "usage"
    assert said(world.bob, "--node", "node", "receipts", "verify", ONE, expect=5)["code"] == "not-found"


def test_receipts_are_listed_and_shown(world: World, posted: dict[str, Any]) -> None:
    items = said(world.bob, "--node", "node", "receipts", "list")["items"]
    assert [item["seq"] for item in items] == list(range(len(items)))
    some = said(world.bob, "--node", "node", "receipts", "list", "--subject", posted["statement"])["items"]
    assert [item["receipt"] for item in some] == [posted["receipt"]]
    kinds = said(world.bob, "--node", "node", "receipts", "list", "--type", "policy-receipt")["items"]
    assert {item["type"] for item in kinds} == {"policy-receipt"}
    later = said(world.bob, "--node", "node", "receipts", "list", "--since", len(items) - 1)["items"]
    assert [item["seq"] for item in later] == [len(items) - 1]
    assert said(world.bob, "--node", "node", "receipts", "show", posted["receipt"])["view"]["rev"] == 1


def test_a_bundle_proves_a_decision_where_networking_is_denied(world: World, bundle: Path, tmp_path: Path) -> None:
    words = ("--home", tmp_path / "home", "--json", "receipts", "bundle-verify", bundle)
    for anchor in (("--signer", world.did), ("--genesis", world.genesis, "--signer", world.did)):
        ran = offline(*words, *anchor, url=world.url)
        assert ran.code == 0
        assert ran.json["result"] == "ok"
        assert shape(ran.json["decisions"]) == [DECISION]
        assert (ran.json["decisions"][0]["cid"], ran.json["signers"]) == (ONE, [world.did])
        assert shape(ran.json["checks"][0]) == CHECK
    nobody = offline(*words, url=world.url)
    assert (nobody.code, nobody.json["result"]) == (3, "inconclusive")
    told = holo(tmp_path / "home", "receipts", "bundle-verify", bundle, expect=3).out
    assert world.did in told


def test_one_flipped_bit_anywhere_makes_a_bundle_bad(world: World, bundle: Path, tmp_path: Path) -> None:
    data, file = bundle.read_bytes(), tmp_path / "spoiled"
    for at in range(0, len(data), max(1, len(data) // 40)):
        file.write_bytes(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])
        words = ("receipts", "bundle-verify", file, "--signer", world.did, "--genesis", world.genesis)
        found = said(tmp_path, *words, expect=1)
        assert (found["result"], found["decisions"]) == ("bad", []), "what a broken bundle claims is not repeated"


def test_the_denial_of_networking_is_real(world: World, tmp_path: Path) -> None:
    ran = offline("--home", tmp_path / "home", "--node", world.url, "--json", "status")
    assert (ran.code, ran.json["code"]) == (6, "unreachable")
    allowed = "import sys; from holo.cli.demo import offline as o; o.deny_networking = lambda: None; sys.exit(o.main())"
    host, port = world.url.removeprefix("http://").rsplit(":", 1)
    done = subprocess.run(
        [sys.executable, "-c", allowed, host, port, "explain"], capture_output=True, env=environment(), cwd=PROJECT
    )
    assert (done.returncode, done.stdout) == (NOT_DENIED, b"")


def test_a_denial_is_a_receipt_like_any_other(world: World, tmp_path: Path) -> None:
    problem = said(world.mallory, "--node", "node", "publish", "acme/x", "--cid", ONE, "--key", "mallory", expect=4)
    file = tmp_path / "denial.json"
    file.write_text(json.dumps(problem))
    found = said(tmp_path / "home", "receipts", "verify", file, "--signer", world.did)
    assert (found["type"], found["view"]["code"]) == ("denial-receipt", "signer-not-allowed")
    assert encode_base64url(decode_base64url(problem["denial_cose"], 1 << 16, at="x")) == problem["denial_cose"]
    why = holo(world.mallory, "--node", "node", "why", problem["denial"]).out
    assert "None of the signers may write this name" in why


def test_evidence_in_a_file_proves_itself_where_neither_party_is_known(world: World, tmp_path: Path) -> None:
    node = SigningNode("mallory")
    start, one = node.log, node.head()
    node.log = start
    evidence = equivocation_of(one, node.head(at_ms=1))
    assert evidence is not None
    file = tmp_path / "evidence"
    for data in (evidence.bytes, base64.urlsafe_b64encode(evidence.bytes).rstrip(b"=")):
        file.write_bytes(data)
        ran = offline("--json", "--home", tmp_path / "nobody", "receipts", "verify", file)
        assert ran.code == 0, ran.err
        assert (ran.json["kind"], ran.json["subject"]) == ("heads", did_of(node.key.kid))
        assert ran.json["evidence"] == str(evidence.id)
    assert "two heads of one log" in holo(tmp_path / "nobody", "receipts", "verify", file).out
    spoiled = bytearray(evidence.bytes)
    spoiled[-70] ^= 1
    file.write_bytes(spoiled)
    holo(tmp_path / "nobody", "receipts", "verify", file, expect=1)


def test_a_key_nobody_caught_has_nothing_against_it(world: World) -> None:
    found = said(world.alice, "--node", "node", "why", did_of(SigningNode("mallory").key.kid))
    assert (found["kind"], found["evidence"], found["receipts"]) == ("key", None, [])
