"""Heads, evidence and receipts of convergence at the registry: what is kept, what is exposed, what is signed."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from holo.core import limits
from holo.core.envelope import make_statement
from holo.core.errors import HoloError
from holo.core.evidence import equivocation_of, open_evidence
from holo.core.head import Head, make_head, open_head, open_log_genesis, sign
from holo.core.peer_receipts import Agreed, ConvergenceReceipt
from holo.core.receipt import open_receipt
from holo.core.state import decode_catalog
from holo.core.witness import HeadNote
from holo.profile import Anonymous
from holo.profile import Registry as Settings
from holo.roles.registry import Incoming, Registry
from holo.store.fsck import check_store
from holo.store.ledger import Outcome
from holo.store.store import Store
from tests.records import key, kid
from tests.signing_node import SigningNode
from tests.store.people import ALICE, ROOT, binding, commit, open_store, policy, submit

BY = kid("relay")


@asynccontextmanager
async def running(store: Store) -> AsyncIterator[Registry]:
    registry = Registry(store, Settings(head_interval_ms=50), Anonymous(), lambda: 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(registry.run)
        yield registry
        nursery.cancel_scope.cancel()


def faults(store: Store) -> list[str]:
    with store.view() as view:
        return [f"{fault.table} {fault.subject} {fault.detail}" for fault in check_store(view.records, view.node)]


def own_note(registry: Registry) -> HeadNote:
    newest = registry.known_heads()[0]
    return HeadNote(newest.envelope, newest.genesis)


async def note(registry: Registry, *notes: HeadNote, pinned: Sequence[str] = ("node",)) -> list[str]:
    return [item.status for item in await registry.note_heads(notes, by=BY, pinned=[kid(name) for name in pinned])]


async def test_heads_are_followed_and_outlive_a_restart(tmp_path: Path) -> None:
    node = SigningNode()
    for size in (0, 3, 7):
        while len(node.log.receipts) < size:
            node.receipt(str(len(node.log.receipts)))
        node.head()
    store = open_store(tmp_path / "store")
    async with running(store) as registry:
        assert await note(registry, node.note(1)) == ["opened"]
        assert await note(registry, node.note(1), node.note(0)) == ["stale", "stale"]
        assert await note(registry, node.note(2)) == ["need-proof"]
        assert registry.last_head(node.key.kid, node.log.genesis.id) == node.log.heads[1]
    store.close()
    store = open_store(tmp_path / "store")
    async with running(store) as registry:
        assert await note(registry, node.note(1)) == ["stale"]
        assert await note(registry, node.note(2, since=3)) == ["accepted"]
        own, other = registry.known_heads()
        assert own.head.signer == registry.node
        assert (other.envelope, other.genesis) == (node.log.envelopes[2], node.genesis)
    assert not faults(store)
    store.close()


async def test_two_heads_of_one_seq_expose_their_signer_for_good(tmp_path: Path) -> None:
    node = SigningNode()
    start = node.log
    node.head()
    one, node.log = node.note(0), start
    node.head(at_ms=1)
    other = node.note(0)
    store = open_store(tmp_path / "store")
    async with running(store) as registry:
        mark = registry.mark
        assert await note(registry, one, other) == ["opened", "equivocation"]
        with registry.view() as view:
            ((subject, evidence),) = view.exposed()
            assert subject == node.key.kid
            assert open_evidence(view.object(evidence)).subject == subject
        assert registry.mark.size == mark.size + 1, "one receipt says so"
        assert await note(registry, other, one) == ["equivocation", "stale"]
        assert registry.mark.size == mark.size + 1
        with trio.fail_after(5):
            while True:
                mark = registry.mark
                with registry.view() as view:
                    head = view.head()
                    assert head is not None
                    root = view.catalog(head[0].catalog).evidence
                    if root != decode_catalog(view.object(head[0].catalog)).namespaces:
                        break
                await registry.changed_from(mark)
    assert not faults(store)
    store.close()


async def test_a_smaller_id_takes_the_place_of_a_larger_and_only_the_first_is_logged(tmp_path: Path) -> None:
    node = SigningNode()
    start, heads = node.log, []
    for at in range(4):
        node.log = start
        heads.append(node.head(at_ms=at))
    made = [equivocation_of(one, other) for at, one in enumerate(heads) for other in heads[at + 1 :]]
    pieces = sorted((item for item in made if item is not None), key=lambda item: item.id, reverse=True)
    assert len(pieces) == 6
    roots = []
    for at, order in enumerate((pieces, pieces[::-1], pieces[::2] + pieces[1::2])):
        store = open_store(tmp_path / str(at))
        async with running(store) as registry:
            size = registry.mark.size
            for piece in order:
                (result,) = await registry.admit([Incoming("evidence", [piece.bytes])], relayed=True)
                assert isinstance(result, Outcome)
                with registry.view() as view:
                    standing = view.evidence(node.key.kid)
                assert result.state == ("exposed" if standing == piece.id else "superseded")
            assert registry.mark.size == size + 1
            await registry.sign_head()
            with registry.view() as view:
                assert view.evidence(node.key.kid) == pieces[-1].id
                head = view.head()
                assert head is not None
                roots.append(view.catalog(head[0].catalog).evidence)
        assert not faults(store)
        store.close()
    assert len(set(roots)) == 1


async def test_what_is_no_evidence_is_refused_and_nothing_is_signed(tmp_path: Path) -> None:
    node = SigningNode()
    one, other = node.head(), node.head()
    value = {
        "v": 1, "type": "equivocation", "kind": "heads", "node": bytes(node.key.kid),
        "one": min(one, other, key=lambda data: open_head(data).id),
        "other": max(one, other, key=lambda data: open_head(data).id), "hashes": [], "leaf": None,
    }  # fmt: skip
    store = open_store(tmp_path / "store")
    async with running(store) as registry:
        mark = registry.mark
        (result,) = await registry.admit([Incoming("evidence", [make_statement(value).bytes])])
        assert isinstance(result, HoloError)
        assert result.code == "evidence-invalid"
        assert registry.mark == mark
    store.close()


def lie(name: str) -> bytes:
    """Evidence against a key of somebody's own making."""
    node = SigningNode(name)
    start, one = node.log, node.head()
    node.log = start
    evidence = equivocation_of(one, node.head(at_ms=1))
    assert evidence is not None
    return evidence.bytes


async def test_evidence_against_strangers_ends_and_against_those_followed_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EVIDENCE_SUBJECTS", 3)
    store = open_store(tmp_path / "store")
    async with running(store) as registry:
        results = await registry.admit([Incoming("evidence", [lie(f"stranger {at}")]) for at in range(5)])
        codes = [item.code if isinstance(item, HoloError) else item.state for item in results]
        assert codes == ["exposed"] * 3 + ["evidence-full"] * 2
        node = SigningNode()
        node.head()
        assert await note(registry, node.note(0)) == ["opened"]
        (result,) = await registry.admit([Incoming("evidence", [lie("node")])])
        assert isinstance(result, Outcome)
        assert result.state == "exposed"
    assert not faults(store)
    store.close()


async def test_a_peer_can_make_no_more_nodes_be_followed_than_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "NODES_PER_PEER", 2)
    nodes = [SigningNode(f"node {at}") for at in range(4)]
    for node in nodes:
        node.head()
    store = open_store(tmp_path / "store")
    async with running(store) as registry:
        assert await note(registry, *(node.note(0) for node in nodes[:3])) == ["opened", "opened", "refused"]
        assert await note(registry, nodes[2].note(0), pinned=["node 2"]) == ["opened"], "a pin has room"
        (noted,) = await registry.note_heads([nodes[3].note(0)], by=kid("another relay"), pinned=[])
        assert noted.status == "opened", "and so has another peer"
        assert await note(registry, nodes[0].note(0)) == ["stale"]
    store.close()


async def test_logs_and_heads_kept_of_one_node_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOGS_PER_NODE", 3)
    monkeypatch.setattr(limits, "HEADS_PER_LOG", 4)
    node = SigningNode()
    newest: list[bytes] = []
    store = open_store(tmp_path / "store")
    async with running(store) as registry:
        for _ in range(5):
            for _ in range(6):
                node.head()
                assert (await note(registry, node.note(len(node.log.heads) - 1)))[0] in ("opened", "accepted")
            newest.append(node.log.envelopes[-1])
            node.restore(node.log)
        with registry.view() as view:
            assert len(list(view.records.rows_under("peer_heads", node.key.kid))) == 4 + 2
            assert len(list(view.records.rows_under("peer_logs", node.key.kid))) == 3
        assert registry.known_heads()[1].envelope == newest[-1]
    assert not faults(store)
    store.close()


async def test_of_a_log_begun_before_a_known_one_no_head_is_passed_on(tmp_path: Path) -> None:
    node = SigningNode()
    node.head()
    old = node.note(0)
    node.restore(node.log)
    node.head()
    store = open_store(tmp_path / "store")
    async with running(store) as registry:
        assert await note(registry, node.note(0), old) == ["opened", "opened"]
        assert [item.envelope for item in registry.known_heads()[1:]] == [node.log.envelopes[0]]
    assert not faults(store)
    store.close()


async def test_a_node_shown_a_head_of_its_own_that_it_lost_begins_a_new_log_once(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    async with running(store) as registry:
        before = own_note(registry)
        genesis = open_log_genesis(before.genesis)
        lost = make_head(
            log=genesis.id, seq=9, prev=open_head(before.head).id, catalog=open_head(before.head).catalog,
            log_size=1, log_root=bytes(32), at_ms=1,
        )  # fmt: skip
        shown = HeadNote(sign(lost, store.key), before.genesis)
        assert await note(registry, before) == ["stale"]
        assert await note(registry, shown) == ["own-unknown"]
        after = own_note(registry)
        opened = open_log_genesis(after.genesis)
        assert (opened.prev_log, opened.prev_head) == (genesis.id, open_head(before.head).id)
        assert open_head(after.head).seq == 0
        assert await note(registry, shown, before, after) == ["stale", "stale", "stale"]
        assert own_note(registry) == after
        with registry.view() as view:
            assert not list(view.exposed())
    assert not faults(store)
    store.close()


async def test_a_node_shown_a_log_of_its_own_that_it_lost_begins_a_new_log_once(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    lost = SigningNode()
    lost.head()
    store.close()
    store = Store(tmp_path / "other", key("node"), clock_ms=lambda: 0)
    async with running(store) as registry:
        before = own_note(registry)
        assert await note(registry, lost.note(0)) == ["own-unknown"]
        after = own_note(registry)
        assert open_log_genesis(after.genesis).prev_log == open_log_genesis(before.genesis).id
        assert await note(registry, lost.note(0), before) == ["stale", "stale"]
        assert own_note(registry) == after
        assert len(registry.known_heads()) == 1
    store.close()


async def test_an_honest_restore_is_followed_by_peers_as_a_new_log(tmp_path: Path) -> None:
    store = open_store(tmp_path / "node")
    peer = Store(tmp_path / "peer", key("peer"), clock_ms=lambda: 0)
    async with running(peer) as witness:
        async with running(store) as registry:
            first = own_note(registry)
            shutil.copytree(tmp_path / "node", tmp_path / "copy")
            await registry.sign_head()
            second = own_note(registry)
            assert await note(witness, first, second) == ["opened", "accepted"]
        store.close()
        store = open_store(tmp_path / "copy")
        async with running(store) as registry:
            third = own_note(registry)
            assert await note(witness, third) == ["opened"]
            assert await note(registry, second) == ["stale"], "it has moved on already"
            assert own_note(registry) == third
        store.close()
        with witness.view() as view:
            assert not list(view.exposed())
    peer.close()


def state_of(store: Store) -> Agreed:
    with store.view() as view:
        row = view.namespace("acme")
        assert row.state is not None
        return Agreed("acme", row.genesis, row.state)


async def test_convergence_is_signed_once_for_what_is_held(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    genesis = policy(ALICE)
    commit(store, submit(genesis, ROOT))
    async with running(store) as registry:
        await registry.sign_head()
        agreed = state_of(store)
        size = registry.mark.size
        assert await registry.sign_convergence(kid("peer"), [agreed._replace(state=agreed.genesis)]) is None
        envelope = await registry.sign_convergence(kid("peer"), [agreed])
        assert envelope is not None
        receipt = open_receipt(envelope)
        assert isinstance(receipt, ConvergenceReceipt)
        assert (receipt.signer, receipt.peer, receipt.cites, receipt.states) == (
            registry.node, kid("peer"), None, (agreed,),
        )  # fmt: skip
        assert await registry.sign_convergence(kid("peer"), [agreed]) == envelope
        assert registry.mark.size == size + 1
        commit(store, submit(binding(genesis, "app", 1, b"one"), ALICE))
        await registry.sign_head()
        assert await registry.sign_convergence(kid("peer"), [agreed]) is None, "that is past"
        assert await registry.sign_convergence(kid("peer"), [state_of(store)]) is None, "not so soon"
        assert await registry.sign_convergence(kid("another"), [state_of(store)], receipt.id) is not None
    assert not faults(store)
    store.close()


def signed_over(registry: Registry, store: Store, catalog: Head, size: int) -> bytes:
    """A head by the node itself, after its newest, over an earlier catalog: what only a liar signs."""
    newest = registry.known_heads()[0].head
    head = make_head(
        log=newest.log, seq=newest.seq + 1, prev=newest.id, catalog=catalog.catalog, log_size=size,
        log_root=bytes(range(32)), at_ms=1,
    )  # fmt: skip
    return sign(head, store.key)


async def test_a_head_that_takes_back_what_was_promised_is_evidence(tmp_path: Path) -> None:
    genesis = policy(ALICE)
    first, second = submit(binding(genesis, "app", 1, b"one"), ALICE), submit(binding(genesis, "app", 2, b"two"), ALICE)
    other = submit(binding(genesis, "lib", 1, b"lib"), ALICE)
    store, peer = open_store(tmp_path / "node"), Store(tmp_path / "peer", key("peer"), clock_ms=lambda: 0)
    for each in (store, peer):
        commit(each, submit(genesis, ROOT))
    async with running(store) as liar, running(peer) as witness:
        earlier = []
        for submission in (first, second, other):
            await liar.submit([submission])
            await liar.sign_head()
            earlier.append(liar.known_heads()[0].head)
            await witness.submit([submission])
        await witness.sign_head()
        agreed = state_of(store)
        assert agreed == state_of(peer)
        before = liar.known_heads()[0]
        promise = await liar.sign_convergence(witness.node, [agreed])
        assert promise is not None
        assert await witness.note_convergence([promise], by=liar.node) == [None]
        refused = (await witness.note_convergence([promise], by=kid("relay")))[0]
        assert refused is not None
        assert refused.code == "receipt-invalid"
        await liar.sign_head()

        with liar.view() as view:
            assert await witness.check_promises(liar.known_heads()[0].envelope, view.object) is None, "kept"
            assert await witness.check_promises(before.envelope, view.object) is None, "signed before the promise"
            said = set()
            for old in earlier[:2]:
                head = signed_over(liar, store, old, liar.mark.size)
                evidence = await witness.check_promises(head, view.object)
                assert evidence is not None
                assert (evidence.kind, evidence.subject) == ("omission", liar.node)
                assert open_evidence(evidence.bytes) == evidence
                said.add(evidence.detail)
        assert said == {"a name went back", "a name is gone"}
        with witness.view() as view:
            assert [subject for subject, _ in view.exposed()] == [liar.node]
    assert not faults(peer)
    store.close()
    peer.close()
