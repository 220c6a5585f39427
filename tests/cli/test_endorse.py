"""Policies whose keys live in different homes: signed into a file, endorsed by the next, sent once complete."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from holo.client import Client, Connection, Endpoint
from holo.core.cid import RAW, Cid
from holo.core.proposal import decode_proposal
from tests.cli.conftest import World
from tests.cli.runner import PROJECT, command, environment, holo, said, shape

ONE, TWO, THREE = (str(Cid.of(RAW, content)) for content in (b"one", b"two", b"three"))
WRITTEN = {
    "ns": "str",
    "policy": "str",
    "seq": "int",
    "file": "str",
    "complete": "bool",
    "needs": [{"whose": "str", "have": "int", "need": "int"}],
    "awaited": ["str"],
}
POSTED = {
    "ns": "str",
    "genesis": "str",
    "policy": "str",
    "seq": "int",
    "state": "str",
    "receipt": "str",
    "receipt_cose": "str",
    "sealed_out": [],
}


@dataclass(frozen=True)
class Council:
    """Three homes of a root each, a fourth with the two recovery keys; two roots decide, and two recovery keys."""

    world: World
    ns: str
    homes: dict[str, Path]
    keys: dict[str, str]

    def say(self, who: str, *words: object, expect: int = 0) -> dict[str, object]:
        found: dict[str, object] = said(self.homes[who], "--node", self.world.url, "--yes", *words, expect=expect)
        return found

    def propose(self, who: str, file: Path, *words: object) -> dict[str, object]:
        return self.say(who, "ns", "policy", self.ns, *words, "--sign-only", file)


@pytest.fixture
def council(world: World, tmp_path: Path) -> Council:
    """Return the homes, with their namespace, whose genesis went through two of them."""
    homes = {name: tmp_path / name for name in ("ann", "ben", "cyd", "vault")}
    keys = {name: said(homes[name], "keys", "new", name)["key"] for name in ("ann", "ben", "cyd")}
    keys |= {name: said(homes["vault"], "keys", "new", name)["key"] for name in ("vault1", "vault2")}
    made = Council(world, re.sub(r"[^a-z0-9]", "-", tmp_path.name.lower()).strip("-"), homes, keys)
    roots = [word for name in ("ann", "ben", "cyd") for word in ("--root", keys[name])]
    recovery = [word for name in ("vault1", "vault2") for word in ("--recovery", keys[name])]
    file = tmp_path / "genesis"
    signers = ("--signer", keys["ann"], "--signer", keys["cyd"])
    thresholds = ("--threshold", 2, "--recovery-threshold", 2)
    words = ("ns", "new", made.ns, *roots, *recovery, *thresholds, *signers)
    assert made.say("ann", *words, expect=4)["code"] == "policy-incomplete"
    begun = made.say("ann", *words, "--sign-only", file)
    assert shape(begun) == WRITTEN
    assert begun["needs"] == [{"whose": "roots", "have": 1, "need": 2}]
    assert begun["awaited"] == [keys["ben"], keys["cyd"]]
    assert made.say("ann", "ns", "show", made.ns, expect=5)["code"] == "genesis-unknown"
    done = made.say("ben", "ns", "endorse", file)
    assert shape(done) == POSTED
    assert (done["state"], done["policy"]) == ("effective", begun["policy"])
    return made


def test_two_of_three_roots_change_the_policy(council: Council, tmp_path: Path) -> None:
    file = tmp_path / "change"
    begun = council.propose("ann", file, "--add-signer", f"{council.keys['ben']}=tools*")
    assert (begun["complete"], begun["seq"]) == (False, 1)
    assert council.say("vault", "ns", "endorse", file, expect=2)["code"] == "usage"  # nothing here would count
    told = holo(council.homes["cyd"], "--yes", "ns", "endorse", file, "--no-send")  # no node is asked
    assert f"+ signer {council.keys['ben']} for tools*:*" in told.err
    assert f"endorsed by {council.keys['ann']}" in told.err
    assert "2 of 2" in told.out
    proposal = decode_proposal(file.read_bytes())
    assert proposal.complete
    assert len(proposal.endorsements) == 2
    assert council.say("ann", "ns", "show", council.ns)["seq"] == 0
    done = council.say("ann", "ns", "endorse", file)  # nothing to add: it is only sent
    assert shape(done) == POSTED
    assert (done["state"], done["seq"], done["policy"]) == ("effective", 1, begun["policy"])


def test_changing_roots_takes_the_recovery_keys_too(council: Council, tmp_path: Path) -> None:
    file = tmp_path / "roots"
    new = said(tmp_path / "dan", "keys", "new", "dan")["key"]
    roots = ("--root", council.keys["ann"], "--root", new)
    begun = council.propose("ann", file, *roots)
    assert begun["needs"] == [
        {"whose": "roots", "have": 1, "need": 2},
        {"whose": "new roots", "have": 1, "need": 2},
        {"whose": "recovery", "have": 0, "need": 2},
    ]
    council.homes["dan"] = tmp_path / "dan"
    assert council.say("dan", "ns", "endorse", file)["complete"] is False
    assert council.say("ben", "ns", "endorse", file)["complete"] is False
    one = council.say("vault", "ns", "endorse", file, "--key", "vault1")
    assert one["needs"] == [
        {"whose": "roots", "have": 2, "need": 2},
        {"whose": "new roots", "have": 2, "need": 2},
        {"whose": "recovery", "have": 1, "need": 2},
    ]
    assert one["awaited"] == [council.keys["vault2"]]
    assert council.say("vault", "ns", "endorse", file)["state"] == "effective"
    assert council.say("ann", "ns", "show", council.ns)["roots"] == {"keys": [council.keys["ann"], new], "threshold": 2}


def test_a_seal_travels_and_is_shown_against_what_is_current(council: Council, tmp_path: Path) -> None:
    file, ns = tmp_path / "seal", council.ns
    for name in ("good", "evil"):
        council.say("cyd", "publish", f"{ns}/{name}", "--cid", ONE, "--key", "cyd", "--no-wait")
    roots = [word for name in ("ann", "ben", "cyd") for word in ("--root", council.keys[name])]
    words = ("ns", "revoke", ns, council.keys["cyd"], "--drop", f"{ns}/evil", *roots, "--sign-only", file)
    begun = council.say("ann", *words)
    assert begun["needs"] == [{"whose": "roots", "have": 1, "need": 2}]
    council.say("ann", "publish", f"{ns}/later", "--cid", TWO, "--key", "ann", "--no-wait")
    offline = holo(council.homes["ben"], "--yes", "ns", "endorse", file, "--no-send").err
    assert "which names it drops only a node can say" in offline
    ran = holo(council.homes["cyd"], "--json", "--node", council.world.url, "--yes", "ns", "endorse", file)
    assert "seal keeps 1 name" in ran.err
    assert f"- name {ns}/evil:latest rev 1 {ONE}: dropped" in ran.err
    assert f"- name {ns}/later:latest rev 1 {TWO}: dropped" in ran.err
    assert (ran.json["state"], ran.json["sealed_out"]) == ("effective", [])
    assert council.say("ann", "resolve", f"{ns}/good")["cid"] == ONE
    assert council.say("ann", "resolve", f"{ns}/evil", expect=5)["outcome"] == "not-found"


def test_recovery_keys_decide_between_rivals(council: Council, tmp_path: Path) -> None:
    ours, theirs, ns = tmp_path / "ours", tmp_path / "theirs", council.ns
    good = council.propose("ann", ours, "--add-signer", council.keys["ben"])["policy"]
    council.propose("ann", theirs, "--add-signer", said(tmp_path / "eve", "keys", "new", "eve")["key"])
    for file in (ours, theirs):
        holo(council.homes["ben"], "--yes", "ns", "endorse", file, "--no-send")
    assert council.say("ben", "ns", "endorse", ours)["state"] == "effective"
    # A verb would make no rival: its parent is in effect no more.
    assert council.say("ben", "ns", "endorse", theirs, expect=7)["code"] == "policy-superseded"
    rival = decode_proposal(theirs.read_bytes())
    with Client(Connection([Endpoint(council.world.url)])) as client:
        assert client.post_policy(ns, rival.record().envelopes()).state == "held"
    assert council.say("ann", "resolve", f"{ns}/tool", expect=3)["outcome"] == "held"
    words = ("ns", "endorse", ns, "--policy", good)
    assert council.say("ann", *words, expect=2)["code"] == "usage"  # has no recovery key
    assert council.say("ann", *words, "--key", "ann", expect=3)["state"] == "held"  # a root decides nothing
    first = holo(
        council.homes["vault"], "--json", "--node", council.world.url, "--yes", *words, "--key", "vault1", expect=3
    )
    assert (first.json["state"], shape(first.json)) == ("held", POSTED)
    assert "1 of the 2" in first.err
    assert council.say("vault", *words)["state"] == "effective"
    assert council.say("ann", "ns", "show", ns)["policy"] == good
    assert council.say("ann", "resolve", f"{ns}/tool", expect=5)["outcome"] == "not-found"
    unknown = ("ns", "endorse", ns, "--policy", ONE)
    assert council.say("vault", *unknown, expect=5)["code"] == "not-found"
    assert council.say("vault", *words, "--no-send", expect=2)["code"] == "usage"


def test_a_file_that_was_tampered_with_is_refused(council: Council, tmp_path: Path) -> None:
    file = tmp_path / "change"
    council.propose("ann", file, "--add-signer", council.keys["ben"])
    data = file.read_bytes()
    ((_, signature),) = decode_proposal(data).endorsements.items()
    assert data.count(signature) == 1
    file.write_bytes(data.replace(signature, signature[:-1] + bytes((signature[-1] ^ 1,))))
    assert council.say("ben", "ns", "endorse", file, expect=1)["code"] == "signature-invalid"
    file.write_bytes(data + b"\0")
    assert council.say("ben", "ns", "endorse", file, expect=1)["code"] == "cbor-invalid"
    file.write_bytes(data)
    assert council.say("vault", "ns", "endorse", file, "--key", "nobody", expect=5)["code"] == "key-unknown"
    other = said(tmp_path / "eve", "keys", "new", "eve")
    council.homes["eve"] = tmp_path / "eve"
    assert other["key"]
    assert council.say("eve", "ns", "endorse", file, "--key", "eve", expect=4)["code"] == "signer-not-allowed"
    assert council.say("ben", "ns", "endorse", tmp_path / "none", expect=2)["code"] == "usage"
    assert file.read_bytes() == data


def test_what_a_seal_caught_unawares_is_told(world: World, tmp_path: Path) -> None:
    """Names are published while the one who seals looks at the question."""
    home = tmp_path / "home"
    key = said(home, "keys", "new", "me")["key"]
    other = said(tmp_path / "x", "keys", "new", "x")["key"]
    words = ("--home", home, "--node", world.url)
    said(home, "--node", world.url, "ns", "new", "busy", "--root", key, "--signer", key, "--signer", other)
    for name in ("stays", "moves"):
        said(home, "--node", world.url, "publish", f"busy/{name}", "--cid", ONE, "--no-wait")
    ours, theirs = os.openpty()
    try:
        asked = subprocess.Popen(
            command(*words, "--json", "ns", "revoke", "busy", other),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=environment(TERM="dumb"),
            cwd=PROJECT,
        )
        seen = b""
        while b"[y/N]" not in seen:
            seen += os.read(ours, 4096)
        late = said(home, "--node", world.url, "publish", "busy/moves", "--cid", TWO, "--no-wait")
        said(home, "--node", world.url, "publish", "busy/new", "--cid", THREE, "--no-wait")
        said(home, "--node", world.url, "yank", "busy/new", "--no-wait")
        os.write(ours, b"y\n")
        out, _ = asked.communicate(timeout=60)
        seen += os.read(ours, 1 << 16)
    finally:
        os.close(theirs)
        os.close(ours)
    assert asked.returncode == 0
    result = json.loads(out.splitlines()[-1])
    assert result["state"] == "effective"
    assert [(item["name"], item["cid"], item["rev"]) for item in result["sealed_out"]] == [
        ("busy/moves:latest", TWO, 2),
        ("busy/new:latest", None, 2),
    ]
    assert result["sealed_out"][0]["statement"] == late["statement"]
    assert f"holo publish busy/moves:latest --cid {TWO}".encode() in seen
    assert b"holo yank busy/new:latest" in seen
    assert said(home, "--node", world.url, "resolve", "busy/moves")["cid"] == ONE
    again = said(home, "--node", world.url, "publish", "busy/moves", "--cid", TWO, "--no-wait")
    assert (again["state"], again["rev"]) == ("current", 3)  # this key has signed a revision 2 of it already
