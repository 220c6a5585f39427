"""Signing names: publish, cosign, yank, rollback; what they print, what they refuse, and how they try again."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from holo.core.binding import open_binding
from holo.core.cid import RAW, Cid
from holo.core.names import Name
from holo.store.home import Home
from holo.store.outbox import Outbox
from tests.cli.conftest import World
from tests.cli.runner import holo, said, shape

ONE, TWO = (str(Cid.of(RAW, content)) for content in (b"one", b"two"))
POSTED = {
    "name": "str",
    "statement": "str",
    "cid": "str",
    "rev": "int",
    "state": "str",
    "have": "int",
    "need": "int",
    "receipt": "str",
    "receipt_cose": "str",
    "catalog": "str",
    "head": "str",
}
DRY = {"name": "str", "cid": "str", "rev": "int", "prev": [], "policy": "str", "key": "str", "need": "int"}


def test_publishing_a_folder_stores_and_binds_it(world: World, tmp_path: Path) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "file").write_bytes(b"content")
    posted = said(world.alice, "--node", "node", "publish", "acme/folder", tmp_path / "tree")
    assert shape(posted) == POSTED
    assert (posted["state"], posted["rev"], posted["have"], posted["need"]) == ("current", 1, 1, 1)
    assert posted["cid"] == said(world.alice, "put", tmp_path / "tree")["cid"]
    said(world.alice, "get", posted["cid"], "-o", tmp_path / "out")
    assert (tmp_path / "out" / "deep" / "file").read_bytes() == b"content"
    yes = said(world.bob, "--node", "node", "verify", tmp_path / "tree", "acme/folder")
    assert yes["match"]
    (tmp_path / "tree" / "deep" / "file").write_bytes(b"Content")
    no = said(world.bob, "--node", "node", "verify", tmp_path / "tree", "acme/folder", expect=1)
    assert not no["match"]
    assert no["expected"] == posted["cid"] != no["cid"]


def test_a_threshold_makes_it_wait_for_the_other_signature(world: World) -> None:
    first = said(world.alice, "--node", "node", "publish", "acme/two:stable", "--cid", ONE)
    assert (first["state"], first["have"], first["need"]) == ("pending", 1, 2)
    assert said(world.alice, "--node", "node", "resolve", "acme/two:stable", expect=3)["outcome"] == "pending"
    dry = said(world.bob, "--node", "node", "cosign", "acme/two:stable", "--dry-run")
    assert (dry["cid"], len(dry["signers"])) == (ONE, 2)
    done = said(world.bob, "--node", "node", "cosign", "acme/two:stable")
    assert shape(done) == POSTED
    assert (done["state"], done["statement"], done["have"]) == ("current", first["statement"], 2)
    assert said(world.alice, "--node", "node", "resolve", "acme/two:stable")["cid"] == ONE
    nothing = said(world.bob, "--node", "node", "cosign", "acme/two:stable", expect=5)
    assert nothing["code"] == "not-found"


def test_saying_the_same_again_while_it_waits_makes_nothing_new(world: World) -> None:
    publish = ("--node", "node", "publish", "acme/again:stable", "--cid")
    first = said(world.alice, *publish, ONE)
    again = said(world.alice, *publish, ONE)
    other = said(world.alice, *publish, TWO)
    assert (again["statement"], again["receipt"]) == (first["statement"], first["receipt"])
    assert (other["rev"], other["state"]) == (2, "pending")


def test_cosign_asks_which_of_several_is_meant(world: World) -> None:
    one = said(world.alice, "--node", "node", "publish", "acme/which:stable", "--cid", ONE, "--no-wait")
    two = said(world.alice, "--node", "node", "publish", "acme/which:stable", "--cid", TWO, "--no-wait")
    assert (one["rev"], two["rev"]) == (1, 2)  # one key never signs two statements of one revision
    asked = holo(world.bob, "--node", "node", "cosign", "acme/which:stable", expect=2)
    assert one["statement"] in asked.err
    assert two["statement"] in asked.err
    words = ("cosign", "acme/which:stable", "--statement", two["statement"], "--no-wait")
    assert said(world.bob, "--node", "node", *words)["cid"] == TWO
    assert said(world.bob, "--node", "node", "cosign", "acme/which:stable", expect=5)["code"] == "not-found"
    said(world.alice, "--node", "node", "publish", "acme/which:stable", "--cid", ONE, "--no-wait")
    own = said(world.alice, "--node", "node", "cosign", "acme/which:stable", expect=2)
    assert "another key has to cosign" in own["detail"]


def test_yank_and_rollback_only_ever_go_forward(world: World) -> None:
    for cid in (ONE, TWO):
        said(world.alice, "--node", "node", "publish", "acme/back", "--cid", cid, "--no-wait")
    yanked = said(world.alice, "--node", "node", "yank", "acme/back", "--reason", "it leaks", "--no-wait")
    assert (yanked["cid"], yanked["rev"]) == (None, 3)
    assert said(world.alice, "--node", "node", "resolve", "acme/back", expect=5)["outcome"] == "yanked"
    back = said(world.alice, "--node", "node", "rollback", "acme/back", "--to", 1, "--no-wait")
    assert (back["cid"], back["rev"]) == (ONE, 4)
    items = said(world.alice, "--node", "node", "history", "acme/back")["items"]
    assert [(item["rev"], item["cid"]) for item in items] == [(4, ONE), (3, None), (2, TWO), (1, ONE)]
    assert items[1]["reason"] == "it leaks"
    assert said(world.alice, "--node", "node", "rollback", "acme/back", "--to", 9, expect=5)["code"] == "not-found"


def test_a_dry_run_signs_and_sends_nothing(world: World) -> None:
    dry = said(world.alice, "--node", "node", "publish", "acme/dry", "--cid", ONE, "--dry-run")
    assert shape(dry) == DRY
    assert (dry["rev"], dry["need"]) == (1, 1)
    assert said(world.alice, "--node", "node", "resolve", "acme/dry", expect=5)["outcome"] == "not-found"


def test_sign_only_writes_what_any_courier_may_deliver(world: World, tmp_path: Path) -> None:
    file = tmp_path / "signed.cose"
    words = ("publish", "acme/courier", "--cid", ONE, "--sign-only", file)
    signed = said(world.alice, "--node", "node", *words)
    assert shape(signed) == {"name": "str", "statement": "str", "file": "str"}
    binding, _ = open_binding([file.read_bytes()])
    assert str(binding.id) == signed["statement"]
    assert said(world.alice, "--node", "node", "resolve", "acme/courier", expect=5)["outcome"] == "not-found"
    parts = urlsplit(world.url)
    courier = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    courier.request("POST", "/v1/namespaces/acme/bindings", file.read_bytes(), {"content-type": "application/cose"})
    assert courier.getresponse().status == 201
    courier.close()
    assert said(world.alice, "--node", "node", "resolve", "acme/courier")["statement"] == signed["statement"]


def test_compare_and_swap_refuses_what_was_decided_on_old_news(world: World) -> None:
    first = said(world.alice, "--node", "node", "publish", "acme/swap", "--cid", ONE, "--no-wait")
    said(world.alice, "--node", "node", "publish", "acme/swap", "--cid", TWO, "--no-wait", "--prev", first["statement"])
    words = ("publish", "acme/swap", "--cid", ONE, "--prev", first["statement"])
    problem = said(world.alice, "--node", "node", *words, expect=7)
    assert problem["code"] == "binding-conflict"
    assert [item["cid"] for item in problem["current"]] == [TWO]
    assert problem["denial"].startswith("bafyr4i")
    assert Outbox(Home(world.alice)).waiting(Name("acme", "swap")) == []  # a refusal is an answer


def test_the_policy_that_was_expected_has_to_be_in_effect(world: World) -> None:
    said(world.alice, "--node", "node", "publish", "acme/pol", "--cid", ONE, "--policy", world.genesis, "--no-wait")
    problem = said(world.alice, "--node", "node", "publish", "acme/pol", "--cid", ONE, "--policy", TWO, expect=7)
    assert problem["code"] == "policy-superseded"


def test_a_stranger_is_refused_with_a_receipt(world: World) -> None:
    problem = said(world.mallory, "--node", "node", "publish", "acme/x", "--cid", ONE, "--key", "mallory", expect=4)
    assert problem["code"] == "signer-not-allowed"
    shown = said(world.mallory, "--node", "node", "receipts", "show", problem["denial"])
    assert shown["view"]["code"] == "signer-not-allowed"
    assert shown["view"]["requester"] == said(world.mallory, "keys", "show", "mallory")["key"]


def test_which_key_signs(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "both"
    for owner in (world.alice, world.bob):
        holo(owner, "keys", "export", owner.name, "--private", "-o", tmp_path / f"{owner.name}.key")
        said(home, "keys", "import", owner.name, tmp_path / f"{owner.name}.key")
    said(home, "keys", "new", "other")
    said(home, "keys", "default", "other")
    key = {owner.name: said(home, "keys", "show", owner.name)["key"] for owner in (world.alice, world.bob)}
    dry = ("--node", world.url, "publish", "acme/key", "--cid", ONE, "--dry-run")
    several = holo(home, *dry, expect=2)  # the default may not sign here, and two others may
    assert key["alice"] in several.err
    assert key["bob"] in several.err
    assert said(home, *dry, "--key", "bob")["key"] == key["bob"]
    assert said(home, *dry, "--key", key["bob"])["key"] == key["bob"]
    assert said(home, *dry, "--key", tmp_path / "alice.key")["key"] == key["alice"]
    monkeypatch.setenv("HOLO_KEY", "alice")
    assert said(home, *dry)["key"] == key["alice"]
    assert said(home, *dry, "--key", "bob")["key"] == key["bob"]
    monkeypatch.delenv("HOLO_KEY")
    said(home, "keys", "default", "bob")
    assert said(home, *dry)["key"] == key["bob"]
    said(home, "keys", "rm", "bob", "--yes")
    assert said(home, *dry)["key"] == key["alice"]
    said(home, "keys", "rm", "alice", "--yes")
    assert key["alice"] in holo(home, *dry, expect=2).err  # nobody here may: it says who may


def test_what_was_sent_and_not_answered_is_sent_again_byte_for_byte(world: World) -> None:
    with _swallowing(world.url) as url:
        lost = said(world.alice, "--node", url, "publish", "acme/again", "--cid", ONE, expect=6)
    assert lost["code"] == "unreachable"
    ((binding, _),) = Outbox(Home(world.alice)).waiting(Name("acme", "again"))
    assert said(world.alice, "--node", "node", "status")["home"]["outbox"] == [str(binding.id)]
    taken = said(world.alice, "--node", "node", "resolve", "acme/again")
    assert taken["statement"] == str(binding.id)  # the node had it: only the answer was lost
    again = said(world.alice, "--node", "node", "publish", "acme/again", "--cid", ONE)
    assert (again["statement"], again["rev"]) == (str(binding.id), 1)
    items = said(world.alice, "--node", "node", "receipts", "list", "--subject", again["statement"])["items"]
    assert [item["receipt"] for item in items] == [again["receipt"]]
    assert Outbox(Home(world.alice)).waiting(Name("acme", "again")) == []


def test_a_change_of_mind_after_a_lost_answer_takes_a_higher_revision(world: World) -> None:
    said(world.alice, "--node", "http://127.0.0.1:9", "publish", "acme/mind", "--cid", ONE, expect=6)
    assert Outbox(Home(world.alice)).waiting(Name("acme", "mind")) == []  # nothing was known to sign for
    with _swallowing(world.url, deliver=False) as url:
        said(world.alice, "--node", url, "publish", "acme/mind", "--cid", ONE, expect=6)
    changed = said(world.alice, "--node", "node", "publish", "acme/mind", "--cid", TWO, "--no-wait")
    assert changed["rev"] == 2  # revision 1 is signed and may still turn up
    assert said(world.alice, "--node", "node", "resolve", "acme/mind")["cid"] == TWO


def test_a_name_to_sign_takes_no_pin_and_one_content(world: World, tmp_path: Path) -> None:
    for words in (
        ("publish", f"acme/x@{ONE}", "--cid", ONE),
        ("publish", "acme/x"),
        ("publish", "acme/x", tmp_path, "--cid", ONE),
        ("publish", "acme/UPPER", "--cid", ONE),
        ("publish", "acme/x", "--cid", "bafy"),
        ("publish", "acme", "--cid", ONE),
        ("yank", f"acme/x@{ONE}"),
        ("rollback", "acme/x", "--to", "0"),
    ):
        assert said(world.alice, "--node", "node", *words, expect=2)["code"] == "usage"


@contextmanager
def _swallowing(url: str, *, deliver: bool = True) -> Iterator[str]:
    """A way to the node at ``url`` that loses the answer to every POST; with ``deliver`` the node still gets it."""
    parts = urlsplit(url)

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            while line := reader.readline():
                method, target, _ = line.decode().split(" ", 2)
                headers = {}
                while (header := reader.readline()) not in (b"\r\n", b""):
                    name, _, value = header.decode().partition(":")
                    headers[name.lower()] = value.strip()
                body = reader.read(int(headers.get("content-length", 0)))
                if method == "POST" and not deliver:
                    return
                node = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
                node.request(method, target, body, {**headers, "host": parts.netloc})
                answer = node.getresponse()
                data = answer.read()
                node.close()
                if method == "POST":
                    return
                head = f"HTTP/1.1 {answer.status} OK\r\ncontent-type: {answer.headers['content-type']}\r\n"
                connection.sendall(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)

    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)
