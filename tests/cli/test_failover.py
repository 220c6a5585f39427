"""Several nodes named in order: which of them is passed over and why, what a write may do, and nodes that agree."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from holo.client import Client, Connection, Endpoint
from holo.core import limits
from holo.core.bundle import verify_bundle
from holo.core.cid import DAG_CBOR, RAW, Cid
from holo.core.errors import HoloError
from holo.core.evidence import open_evidence
from holo.core.head import Anchors, make_head, open_head, sign
from holo.core.keys import did_of
from holo.core.names import Name
from holo.http.base64url import decode_base64url, encode_base64url
from holo.http.types import CatalogReply, encode_json
from holo.node import Listening
from holo.store.home import Home
from holo.store.keyring import own_key
from holo.store.outbox import Outbox
from holo.testing import node_in_background
from tests.cli.runner import Ran, holo, said

ONE, TWO, THREE = (str(Cid.of(RAW, content)) for content in (b"one", b"two", b"three"))
NOBODY = "http://127.0.0.1:9"
QUICK = ("roles.registry.head_interval_ms=50",)


@dataclass(frozen=True)
class Three:
    """Three nodes that hold the same of acme, and Alice, who signs it and calls them a, b and c."""

    nodes: Sequence[Listening]
    homes: Sequence[Path]
    alice: Path

    def named(self, *names: str) -> list[str]:
        """The words that name these nodes."""
        return [word for name in names for word in ("--node", name)]


@pytest.fixture(scope="module")
def three(folder: Path) -> Iterator[Three]:
    """Return the nodes; acme/tool is ONE at each of them, in a head."""
    homes = [folder / f"node-{name}" for name in "abc"]
    with (
        node_in_background(homes[0], QUICK) as a,
        node_in_background(homes[1], QUICK) as b,
        node_in_background(homes[2], QUICK) as c,
    ):
        alice = folder / "alice-of-three"
        said(alice, "keys", "new", "alice")
        for name, node in zip("abc", (a, b, c), strict=True):
            said(alice, "remote", "add", name, node.url, did_of(node.node.kid))
        said(alice, "--node", "a", "ns", "new", "acme")
        said(alice, "--node", "a", "publish", "acme/tool", "--cid", ONE)
        for node in (b, c):
            carry(a, node, "acme/tool")
        yield Three((a, b, c), homes, alice)


def carry(source: Listening, target: Listening, name: str) -> None:
    """Bring a namespace and the current record of a name from one node to another, into a head of it."""
    with Client(Connection([Endpoint(source.url)])) as asked, Client(Connection([Endpoint(target.url)])) as told:
        policy = asked.policy(name.partition("/")[0])
        told.post_policy(None, [decode_base64url(item, 1 << 20, at="policy") for item in policy.policy_cose])
        for item in asked.bindings(name.partition("/")[0], name=name):
            envelopes = [decode_base64url(text, 1 << 20, at="record") for text in item.record_cose]
            told.post_record(name.partition("/")[0], envelopes, wait_s=5)


@contextmanager
def answering(answers: Sequence[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Something that answers one request a connection, with each of these bytes in turn, the last one for ever."""
    told: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    told.append(connection.recv(1 << 20))
                    connection.sendall(answers[min(len(told), len(answers)) - 1])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", told
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def reply(status: int, body: bytes) -> bytes:
    """An HTTP reply whose connection ends."""
    return b"HTTP/1.1 %d x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


def test_the_next_is_asked_and_it_is_said_why(three: Three) -> None:
    ran = holo(three.alice, "--node", NOBODY, "--node", "b", "resolve", "acme/tool")
    assert ran.out == f"{ONE}\n"
    assert ran.err.startswith(f"{NOBODY}: unreachable: ")
    assert f"going on with {three.nodes[1].url}" in ran.err
    found = said(three.alice, "--node", NOBODY, "--node", "b", "resolve", "acme/tool")
    assert found["cid"] == ONE
    passed, used = found["nodes"]
    assert (passed["url"], passed["node"], passed["result"], passed["code"]) == (
        NOBODY,
        None,
        "passed-over",
        "unreachable",
    )
    assert (used["url"], used["node"], used["result"]) == (
        three.nodes[1].url,
        did_of(three.nodes[1].node.kid),
        "used",
    )
    assert "nodes" not in said(three.alice, "--node", "b", "resolve", "acme/tool")


def test_another_node_at_a_known_address_is_passed_over(three: Three, tmp_path: Path) -> None:
    said(tmp_path, "remote", "add", "moved", three.nodes[0].url, did_of(three.nodes[1].node.kid))
    found = said(tmp_path, "--node", "moved", "--node", three.nodes[2].url, "resolve", "acme/tool")
    assert [item["code"] for item in found["nodes"]] == ["anchor-missing", None]
    assert said(tmp_path, "--node", "moved", "resolve", "acme/tool", expect=3)["code"] == "anchor-missing"


def test_what_a_node_refuses_is_not_asked_elsewhere(three: Three) -> None:
    ran = holo(three.alice, *three.named("a", "b"), "history", "nobody/tool", expect=5)
    assert "going on" not in ran.err


def test_where_every_node_fails_the_last_says_why(three: Three, tmp_path: Path) -> None:
    found = said(tmp_path, "--node", NOBODY, "--node", "http://127.0.0.1:11", "resolve", "acme/tool", expect=6)
    assert (found["code"], [item["url"] for item in found["nodes"]]) == ("unreachable", [NOBODY])


class TestStale:
    """Nodes that show an old state."""

    def test_a_head_older_than_the_reader_allows(self, three: Three, tmp_path: Path) -> None:
        with frozen(three, 0, time.time_ns() // 1_000_000 - 7200_000) as url:
            refused = said(tmp_path, "--node", url, "resolve", "acme/tool", expect=3)
            assert (refused["code"], refused["subject"]) == ("stale", url)
            assert "7200 s old" in refused["detail"]
            found = said(tmp_path, "--node", url, "--node", three.nodes[1].url, "resolve", "acme/tool")
            assert [item["code"] for item in found["nodes"]] == ["stale", None]

    def test_a_head_from_the_future(self, three: Three, tmp_path: Path) -> None:
        with frozen(three, 0, time.time_ns() // 1_000_000 + 7200_000) as url:
            assert "ahead" in said(tmp_path, "--node", url, "resolve", "acme/tool", expect=3)["detail"]

    def test_how_old_is_the_readers_to_say(self, three: Three, tmp_path: Path) -> None:
        time.sleep(0.01)
        words = ("--node", three.nodes[0].url, "resolve", "acme/tool")
        assert said(tmp_path, "--max-age-s", 0.001, *words, expect=3)["code"] == "stale"
        assert said(tmp_path, "--max-age-s", 86400, *words)["cid"] == ONE

    def test_who_wants_to_know_what_is_wrong_is_told(self, three: Three, tmp_path: Path) -> None:
        ran = holo(tmp_path, "--max-age-s", 0.001, "--node", three.nodes[0].url, "status")
        assert "stale" in ran.err
        assert did_of(three.nodes[0].node.kid) in ran.out

    def test_a_node_put_back_on_an_old_copy_is_reported(self, folder: Path, tmp_path: Path) -> None:
        """A copy of a home that runs beside its future: its log ends where it was copied."""
        home, alice = tmp_path / "node", tmp_path / "alice"
        with node_in_background(home, QUICK) as node:
            said(alice, "keys", "new", "alice")
            said(alice, "--node", node.url, "ns", "new", "acme")
            said(alice, "--node", node.url, "publish", "acme/tool", "--cid", ONE)
        with node_in_background(home, QUICK) as node:
            said(alice, "--node", node.url, "publish", "acme/tool", "--cid", TWO)
            old = head_of(node)
            said(alice, "--node", node.url, "publish", "acme/tool", "--cid", THREE)
            said(alice, "--node", node.url, "resolve", "acme/tool")
        with answering([reply(200, encode_json(old))]) as (url, _):
            refused = said(alice, "--node", url, "resolve", "acme/tool", expect=3)
        assert refused["code"] == "stale"
        assert f"shows head {old.seq} of log" in refused["detail"]

    def test_an_honest_restore_is_told_and_believed(self, tmp_path: Path) -> None:
        home, alice = tmp_path / "node", tmp_path / "alice"
        with node_in_background(home, QUICK) as node:
            said(alice, "keys", "new", "alice")
            said(alice, "--node", node.url, "ns", "new", "acme")
            said(alice, "--node", node.url, "publish", "acme/tool", "--cid", ONE)
        shutil.copytree(home, tmp_path / "backup")
        with node_in_background(home, QUICK) as node:
            said(alice, "--node", node.url, "publish", "acme/tool", "--cid", TWO)
        shutil.rmtree(home)
        shutil.copytree(tmp_path / "backup", home)
        with node_in_background(home, QUICK) as node:
            ran = holo(alice, "--node", node.url, "resolve", "acme/tool")
            assert ran.out == f"{ONE}\n"
            assert "began a new log after" in ran.err
            again = holo(alice, "--node", node.url, "resolve", "acme/tool")
            assert again.err == "", "it is told once"

    def test_two_heads_of_one_place_are_kept_as_evidence(self, three: Three, tmp_path: Path) -> None:
        reader = tmp_path / "reader"
        said(reader, "--node", three.nodes[2].url, "resolve", "acme/tool")
        with frozen(three, 2, time.time_ns() // 1_000_000) as url:
            refused = said(reader, "--node", url, "resolve", "acme/tool", expect=1)
        assert refused["code"] == "equivocation"
        (file,) = (reader / "seen").glob("*.evidence")
        assert str(file) in refused["detail"]
        evidence = open_evidence(file.read_bytes())
        assert (evidence.subject, evidence.kind) == (three.nodes[2].node.kid, "heads")
        found = said(reader, "--node", three.nodes[2].url, "resolve", "acme/tool")
        assert found["cid"] == ONE, "what it was first shown still counts"

    def test_what_is_seen_is_bounded_and_a_broken_file_costs_nothing(
        self, three: Three, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("holo.store.seen.NODES", 2)
        for node in three.nodes:
            said(tmp_path, "--node", node.url, "resolve", "acme/tool")
        files = sorted((tmp_path / "seen").glob("*.head"))
        assert len(files) == 2
        for file in files:
            file.write_bytes(b"rubbish")
        for node in three.nodes:
            said(tmp_path, "--node", node.url, "resolve", "acme/tool")


def head_of(node: Listening) -> CatalogReply:
    """What a node says of its newest head."""
    with Client(Connection([Endpoint(node.url)])) as client:
        return client.catalog()


@contextmanager
def frozen(three: Three, which: int, at_ms: int) -> Iterator[str]:
    """Something with a node's key that shows another head of the node's newest seq, of this time, for ever."""
    key = own_key(Home(three.homes[which]), "node")
    newest = head_of(three.nodes[which])
    head = open_head(decode_base64url(newest.head_cose, 2 * limits.HEAD_BYTES, at="head"))
    statement = make_head(
        log=head.log,
        seq=head.seq,
        prev=head.prev,
        catalog=head.catalog,
        log_size=head.log_size,
        log_root=head.log_root,
        at_ms=at_ms,
    )
    envelope = encode_base64url(sign(statement, key))
    shown = msgspec.structs.replace(newest, head=str(statement.id), head_cose=envelope, at_ms=at_ms)
    with answering([reply(200, encode_json(shown))]) as (url, _):
        yield url


class TestWrites:
    """Where a write may go on, and what is remembered of it."""

    def test_a_record_goes_on_to_the_next_node(self, three: Three) -> None:
        found = said(three.alice, "--node", NOBODY, "--node", "a", "publish", "acme/other", "--cid", TWO)
        assert (found["state"], found["rev"]) == ("current", 1)
        assert [item["result"] for item in found["nodes"]] == ["passed-over", "used"]

    def test_a_record_that_a_silent_node_may_have_taken_is_kept_where_another_refuses_it(
        self, three: Three, tmp_path: Path
    ) -> None:
        """Were it dropped, the next try would sign the same revision again: two statements by one key, held."""
        alice = tmp_path / "alice"
        shutil.copytree(three.alice, alice)
        with Client(Connection([Endpoint(three.nodes[0].url)])) as client:
            head = encode_json(client.catalog())
            policy = encode_json(client.policy("acme"))
        with Connection([Endpoint(three.nodes[0].url)]) as connection:
            page = connection.request("GET", "/v1/namespaces/acme/bindings", {"handle": "acme/nothing"}).body
        # It shows a's head and the policy, no name, and is silent about the record; b has had the name for long.
        answers = [reply(200, head), reply(200, policy), reply(200, page), reply(200, page), b""]
        with answering(answers) as (url, told):
            words = ("--node", url, "--node", "b", "publish", "acme/tool", "--cid", TWO)
            refused = said(alice, *words, expect=7)
        assert refused["code"] in ("binding-conflict", "binding-stale")
        assert any(item.startswith(b"POST ") for item in told)
        kept = list(Outbox(Home(alice)).waiting(Name.parse("acme/tool")))
        assert [str(binding.cid) for binding, _ in kept] == [TWO]

    def test_what_another_node_took_is_not_signed_over(self, three: Three) -> None:
        """Alice publishes at a, which is gone before it tells anybody, and again at b: b's must not be the same rev."""
        said(three.alice, "--node", "a", "publish", "acme/apart", "--cid", ONE)
        ran = holo(three.alice, "--json", "--node", "b", "publish", "acme/apart", "--cid", TWO)
        assert ran.json["rev"] == 2
        assert "is not at this node" in ran.err
        assert said(three.alice, "--node", "b", "publish", "acme/apart", "--cid", THREE)["rev"] == 3

    def test_what_is_remembered_of_what_was_signed_is_bounded(
        self, three: Three, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("holo.store.outbox.SETTLED", 2)
        for name in ("one", "two", "three"):
            said(three.alice, "--node", "a", "publish", f"acme/{name}", "--cid", ONE)
        assert len(list((three.alice / "signed").iterdir())) == 2
        assert said(three.alice, "--node", "a", "publish", "acme/one", "--cid", TWO)["rev"] == 2

    def test_a_policy_stays_with_a_node_that_may_have_taken_it(self, three: Three, tmp_path: Path) -> None:
        with Client(Connection([Endpoint(three.nodes[0].url)])) as client:
            head = encode_json(client.catalog())
        home = tmp_path / "home"
        said(home, "keys", "new", "me")
        with answering([reply(200, head), b""]) as (url, told):
            refused = holo(home, "--node", url, "--node", three.nodes[1].url, "ns", "new", "mine", expect=6)
        assert "unreachable" in refused.err
        assert any(item.startswith(b"POST ") for item in told)
        with Client(Connection([Endpoint(three.nodes[1].url)])) as client:
            assert [item.ns for item in client.namespaces()] == ["acme"]

    def test_a_policy_goes_on_where_it_cannot_have_been_taken(self, three: Three, tmp_path: Path) -> None:
        home = tmp_path / "home"
        said(home, "keys", "new", "me")
        words = ("--node", NOBODY, "--node", three.nodes[2].url, "ns", "new", "fresh")
        assert said(home, *words)["state"] == "effective"


class TestAgreement:
    """Several nodes asked the same."""

    def test_so_many_agree_and_their_receipts_make_one_bundle(self, three: Three, tmp_path: Path) -> None:
        bundle = tmp_path / "all.bundle"
        words = ("resolve", "acme/tool", "--agree", 3, "--receipt", bundle)
        found = said(three.alice, *three.named("a", "b", "c"), *words)
        assert found["cid"] == ONE
        assert [item["result"] for item in found["nodes"]] == ["agrees"] * 3
        anchors = Anchors(nodes=frozenset(node.node.kid for node in three.nodes))
        report = verify_bundle(bundle.read_bytes(), anchors)
        assert {receipt.signer for receipt in report.receipts} == anchors.nodes
        assert {check.verdict for check in report.checks} <= {"ok", "stated"}

    def test_a_readers_policy_that_wants_two_is_met_offline_too(self, three: Three, tmp_path: Path) -> None:
        said(three.alice, "trust", "policy", tmp_path / "two", "--agreeing", 2)
        bundle = tmp_path / "two.bundle"
        words = ("resolve", "acme/tool", "--policy", tmp_path / "two", "--receipt", bundle)
        found = said(three.alice, *three.named("a", "b", "c"), *words)
        assert [item["result"] for item in found["nodes"]] == ["agrees"] * 2
        signers = [word for node in three.nodes[:2] for word in ("--signer", did_of(node.node.kid))]
        verdict = said(tmp_path / "stranger", "receipts", "bundle-verify", bundle, *signers)
        assert verdict["result"] == "ok"
        one = said(tmp_path / "stranger", "receipts", "bundle-verify", bundle, *signers[:2], expect=3)
        assert one["result"] == "inconclusive"

    def test_a_node_that_is_behind_or_gone_is_passed_over(self, three: Three, tmp_path: Path) -> None:
        said(three.alice, "--node", "a", "publish", "acme/behind", "--cid", ONE)
        carry(three.nodes[0], three.nodes[2], "acme/behind")
        words = ("resolve", "acme/behind", "--agree", 2)
        ran = holo(three.alice, "--node", NOBODY, *three.named("a", "b", "c"), *words)
        assert ran.out == f"{ONE}\n"
        assert f"{three.nodes[1].url}: decides otherwise: not-found" in ran.err
        assert f"{NOBODY}: unreachable" in ran.err
        refused = said(three.alice, *three.named("a", "b"), *words, expect=3)
        assert refused["code"] == "nodes-disagree"
        assert [item["result"] for item in refused["nodes"]] == ["agrees", "disagrees"]

    def test_one_node_by_two_names_counts_once(self, three: Three) -> None:
        words = ("--node", "a", "--node", three.nodes[0].url, "resolve", "acme/tool", "--agree", 2)
        refused = said(three.alice, *words, expect=3)
        assert refused["code"] == "nodes-disagree"

    def test_fewer_nodes_than_have_to_agree_are_inconclusive(self, three: Three) -> None:
        ran: Ran = holo(three.alice, "--node", "a", "resolve", "acme/tool", "--agree", 2, expect=3)
        assert (ran.out, "the decision of one" in ran.err) == (f"{ONE}\n", True)

    def test_what_everyone_denies_is_denied(self, three: Three) -> None:
        words = ("resolve", "acme/nothing", "--agree", 3)
        assert said(three.alice, *three.named("a", "b", "c"), *words, expect=5)["outcome"] == "not-found"

    def test_is_this_the_release_asks_them_all(self, three: Three, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"one")
        words = ("verify", tmp_path / "file", "acme/tool", "--agree", 2)
        assert said(three.alice, *three.named("b", "c"), *words)["match"]


def test_a_list_stays_with_the_node_that_began_it(three: Three, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LIST_LIMIT_MAX", 1)
    first = encode_json({"items": [], "next": str(Cid.of(DAG_CBOR, b"cursor"))})
    with (
        answering([reply(200, first), b""]) as (url, _),
        Client(Connection([Endpoint(url), Endpoint(three.nodes[0].url)])) as client,
    ):
        with pytest.raises(HoloError) as refused:
            list(client.namespaces())
        assert (refused.value.code, client.url) == ("unreachable", url)
