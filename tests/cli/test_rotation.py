"""``holo keys rotate-node`` and ``holo peer succeed``: a node gets another key, and its peers go along."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from holo.core.cid import RAW, Cid
from holo.core.decision import Query
from holo.core.envelope import sign_payload
from holo.core.keys import SigningKey, did_of
from holo.core.names import Name
from holo.core.successor import Handover, make_successor, open_successor, write_handovers
from holo.node import Listening
from holo.store.home import Home
from holo.store.keyring import own_key
from holo.testing import node_in_background
from tests.cli.runner import holo, said

QUICK = ("roles.registry.head_interval_ms=50", "roles.gossip.pull_interval_ms=200")
ONE, TWO = (str(Cid.of(RAW, content)) for content in (b"one", b"two"))
WAIT_S = 60  # how long what is under way may take on a machine that is busy


def handover(old: SigningKey, new: SigningKey, at_ms: int = 0) -> Handover:
    statement = make_successor(old.kid, new.kid, at_ms)
    record = tuple(sign_payload(statement.type, statement.bytes, key) for key in (old, new))
    return Handover(open_successor(record), record)


def key(name: str) -> SigningKey:
    return SigningKey(name.encode().ljust(32, b"."))


def give(folder: Path, *handovers: Handover) -> Path:
    file = folder / "successors.given"
    file.write_bytes(write_handovers(handovers))
    return file


def found(node: Listening) -> str:
    """What the name is at a node."""
    with node.node.store.view() as view:
        return str(view.decide(Query(Name.parse("acme/tool"))).cid)


def test_a_node_goes_on_with_another_key_and_its_peers_learn_of_it(tmp_path: Path) -> None:
    one, two, file = tmp_path / "one", tmp_path / "two", tmp_path / "one.successors"
    with node_in_background(two, QUICK) as second:
        with node_in_background(one, QUICK) as first:
            said(one, "keys", "new", "alice")
            said(one, "ns", "new", "acme")
            said(one, "publish", "acme/tool", "--cid", ONE)
            said(one, "peer", "add", said(two, "peer", "ticket")["ticket"], "--name", "two")
            old = did_of(first.node.kid)
            assert said(one, "keys", "rotate-node", "--yes", expect=7)["code"] == "home-locked"
        done = said(one, "keys", "rotate-node", "--yes", "-o", file)
        assert (done["old"], done["file"], done["key"] == old) == (old, str(file), False)
        # The peer knows the old key alone, and then the new one alone.
        assert said(one, "peer", "check", "two", expect=4)["ok"] is False
        (changed,) = said(two, "peer", "succeed", file)["items"]
        assert (changed["before"], changed["peer"]) == (old, done["key"])
        assert [item["peer"] for item in said(two, "peer", "list")["items"]] == [done["key"]]
        assert said(two, "peer", "succeed", file)["items"] == []
        with node_in_background(one, QUICK) as first:
            assert did_of(first.node.kid) == done["key"]
            said(one, "publish", "acme/tool", "--cid", TWO)
            deadline = time.monotonic() + WAIT_S
            while found(second) != TWO:
                assert time.monotonic() < deadline
                time.sleep(0.1)
    assert "the same" in holo(one, "doctor", "--fsck").out


def test_nothing_is_rotated_unasked(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    kid = own_key(home, "node").kid
    holo(home.path, "keys", "rotate-node", expect=2)
    taken = tmp_path / "taken"
    taken.touch()
    holo(home.path, "keys", "rotate-node", "--yes", "-o", taken, expect=2)
    assert own_key(home, "node").kid == kid


def test_a_peer_that_was_away_for_two_rotations(tmp_path: Path) -> None:
    a, b, c = map(key, "abc")
    said(tmp_path / "home", "peer", "add", did_of(a.kid), "127.0.0.1:1", "--name", "far")
    (changed,) = said(tmp_path / "home", "peer", "succeed", give(tmp_path, handover(b, c), handover(a, b)))["items"]
    assert (changed["peer"], changed["name"], changed["addresses"]) == (did_of(c.kid), "far", ["127.0.0.1:1"])


def test_of_two_successors_neither_is_followed(tmp_path: Path) -> None:
    a, b, c, d = map(key, "abcd")
    home = tmp_path / "home"
    said(home, "peer", "add", did_of(a.kid))
    both = give(tmp_path, handover(a, b), handover(a, c))
    assert said(home, "peer", "succeed", both, expect=1)["code"] == "successor-invalid"
    for rest in (handover(a, b, 1), handover(a, c), handover(a, d)):
        refused = said(home, "peer", "succeed", give(tmp_path, rest), expect=1)
        assert refused["code"] == "successor-invalid"
    assert [item["peer"] for item in said(home, "peer", "list")["items"]] == [did_of(a.kid)]


def test_a_second_successor_is_noticed_after_the_first_was_followed(tmp_path: Path) -> None:
    a, b, c = map(key, "abc")
    home = tmp_path / "home"
    said(home, "peer", "add", did_of(a.kid))
    said(home, "peer", "succeed", give(tmp_path, handover(a, b)))
    refused = said(home, "peer", "succeed", give(tmp_path, handover(a, c)), expect=1)
    assert did_of(b.kid) in refused["detail"]
    assert did_of(c.kid) in refused["detail"]


@pytest.mark.parametrize("data", [b"", b"\xa0", b"\x81\x81\x60", b"\x81\x80", b"\x81\x81\x41\x00", b"text"])
def test_what_is_no_file_of_successors(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(data)
    said(tmp_path / "home", "peer", "add", did_of(key("a").kid))
    refused = said(tmp_path / "home", "peer", "succeed", file, expect=1)
    assert refused["code"] in ("successor-invalid", "cbor-invalid", "envelope-invalid")


def test_successors_of_strangers_are_not_kept(tmp_path: Path) -> None:
    home, strangers = tmp_path / "home", give(tmp_path, handover(key("b"), key("c")))
    said(home, "peer", "add", did_of(key("a").kid))
    assert said(home, "peer", "succeed", strangers, expect=5)["code"] == "not-found"
    assert not (home / "successors").exists()
