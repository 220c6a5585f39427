"""``holo peer``: two homes with a node each are paired by a ticket, or by hand, and told what fails where it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holo.core.keys import SigningKey, did_of
from holo.testing import node_in_background
from tests.cli.runner import holo, said

NOBODY = did_of(SigningKey(b"n" * 32).kid)


@dataclass(frozen=True)
class Pair:
    """Two homes whose nodes run."""

    one: Path
    two: Path
    one_did: str
    two_did: str


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    one, two = tmp_path / "one", tmp_path / "two"
    with node_in_background(one) as first, node_in_background(two) as second:
        yield Pair(one, two, did_of(first.node.kid), did_of(second.node.kid))


def peers(home: Path) -> list[str]:
    return [item["peer"] for item in said(home, "peer", "list")["items"]]


def failed_step(home: Path, who: str, expect: int) -> Any:
    (tried,) = said(home, "peer", "check", who, expect=expect)["addresses"]
    assert [step["ok"] for step in tried["steps"]] == [True] * (len(tried["steps"]) - 1) + [False]
    return tried["steps"][-1]


def test_a_ticket_pairs_both_ways(pair: Pair) -> None:
    ran = holo(pair.one, "peer", "ticket")
    line = ran.out.strip()
    assert (line.isalnum(), line.startswith("holoticket1"), ran.out.count("\n")) == (True, True, 1)
    added = said(pair.two, "peer", "add", line, "--name", "one")
    assert (added["peer"], added["name"], added["paired"]) == (pair.one_did, "one", True)
    assert (peers(pair.one), peers(pair.two)) == ([pair.two_did], [pair.one_did])
    for home, who in ((pair.two, "one"), (pair.one, pair.two_did)):
        found = said(home, "peer", "check", who)
        assert found["ok"]
        steps = [step["step"] for step in found["addresses"][0]["steps"]]
        assert steps == ["pinned", "resolves", "connects", "tls", "alpn", "leaf", "key", "welcome"]
    assert "ok it pins this node" in holo(pair.two, "peer", "check", "one").out


def test_the_same_node_may_come_again_with_a_ticket_and_no_other(pair: Pair, tmp_path: Path) -> None:
    line = said(pair.one, "peer", "ticket", "--expires", "30m")["ticket"]
    for _ in range(2):
        said(pair.two, "peer", "add", line)
    assert said(tmp_path / "three", "peer", "add", line, expect=7)["code"] == "ticket-spent"
    assert (peers(pair.one), peers(tmp_path / "three")) == ([pair.two_did], [])


def test_a_ticket_that_its_node_does_not_know(pair: Pair) -> None:
    line = said(pair.one, "peer", "ticket")["ticket"]
    (pair.one / "tickets.json").unlink()
    assert said(pair.two, "peer", "add", line, expect=4)["code"] == "ticket-unknown"
    assert (peers(pair.one), peers(pair.two)) == ([], [])


def test_what_is_no_ticket_or_one_of_ones_own(pair: Pair) -> None:
    line = said(pair.one, "peer", "ticket")["ticket"]
    for text in ("nonsense", line[:-1], line + "a", line.upper()):
        assert said(pair.two, "peer", "add", text, expect=2)["code"] == "ticket-invalid"
    assert "own node" in holo(pair.one, "peer", "add", line, expect=2).err
    assert "own node" in holo(pair.one, "peer", "add", pair.one_did, expect=2).err


def test_pairing_needs_the_node_that_gave_the_ticket(pair: Pair, tmp_path: Path) -> None:
    home = tmp_path / "asleep"
    line = said(home, "peer", "ticket", "--address", "127.0.0.1:1")["ticket"]
    assert said(pair.one, "peer", "add", line, expect=6)["code"] == "unreachable"
    at_two = said(pair.two, "peer", "ticket")["addresses"][0]
    line = said(home, "peer", "ticket", "--address", at_two)["ticket"]
    assert said(pair.one, "peer", "add", line, expect=1)["code"] == "peer-wrong-key"
    assert peers(pair.one) == []


def test_without_a_node_or_an_address_there_is_no_ticket(tmp_path: Path) -> None:
    assert "--address" in holo(tmp_path / "home", "peer", "ticket", expect=2).err
    for wrong in ("0h", "8d", "1", "h", "1w"):
        holo(tmp_path / "home", "peer", "ticket", "--address", "a:1", "--expires", wrong, expect=2)


def test_by_hand_both_have_to_and_check_says_who_has_not(pair: Pair) -> None:
    address = said(pair.one, "peer", "ticket")["addresses"][0]
    said(pair.two, "peer", "add", pair.one_did, address)
    step = failed_step(pair.two, pair.one_did, 4)
    assert (step["step"], step["code"], "holo peer ticket" in step["fix"]) == ("welcome", "peer-unpinned", True)
    said(pair.one, "peer", "add", pair.two_did)
    assert said(pair.two, "peer", "check", pair.one_did)["ok"]
    assert said(pair.one, "peer", "check", pair.two_did, expect=6)["addresses"] == []  # it knows no address
    assert "may dial this node" in holo(pair.one, "peer", "check", pair.two_did, expect=6).out
    assert said(pair.one, "peer", "remove", pair.two_did)["removed"] == pair.two_did
    assert failed_step(pair.two, pair.one_did, 4)["code"] == "peer-unpinned"


@pytest.mark.parametrize(
    ("address", "step", "code", "expect"),
    [
        ("no-such-host.invalid:1", "resolves", "unreachable", 6),
        ("127.0.0.1:1", "connects", "unreachable", 6),
        ("http", "tls", "tls-failed", 6),
        ("other", "key", "peer-wrong-key", 1),
    ],
)
def test_check_says_which_step_failed(pair: Pair, address: str, step: str, code: str, expect: int) -> None:
    if address == "http":
        address = _url(pair.one).removeprefix("http://")
    elif address == "other":
        address = said(pair.one, "peer", "ticket")["addresses"][0]
    said(pair.two, "peer", "add", NOBODY, address, "--name", "it")
    found = failed_step(pair.two, "it", expect)
    assert (found["step"], found["code"]) == (step, code)
    assert f"failed {_TEXTS[step]}" in holo(pair.two, "peer", "check", "it", expect=expect).out


_TEXTS = {
    "resolves": "address resolves",
    "connects": "something listens there",
    "tls": "it speaks TLS 1.3",
    "key": "it is the node that was meant",
}


def _url(home: Path) -> str:
    from holo.store.home import Home

    running = Home(home).running()
    assert running is not None
    return running.url


def test_peers_have_names_and_are_removed_by_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    said(home, "peer", "add", NOBODY, "a.example:1", "--name", "a")
    said(home, "peer", "add", NOBODY, "b.example:1")
    other = did_of(SigningKey(b"o" * 32).kid)
    assert said(home, "peer", "add", other, "--name", "a", expect=7)["code"] == "key-exists"
    (item,) = said(home, "peer", "list")["items"]
    assert (item["name"], item["addresses"]) == ("a", ["b.example:1", "a.example:1"])
    assert said(home, "peer", "remove", "b", expect=5)["code"] == "not-found"
    assert said(home, "peer", "remove", "a") == {"removed": NOBODY, "name": "a"}
    assert peers(home) == []


def test_the_verbs_are_about_this_home(tmp_path: Path) -> None:
    for words in (["ticket"], ["list"], ["add", NOBODY], ["remove", "a"], ["check", "a"]):
        assert "--node" in holo(tmp_path / "home", "--node", "http://127.0.0.1:1", "peer", *words, expect=2).err
