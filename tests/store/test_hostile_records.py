"""Records that are valid in form and meant to harm: seals that multiply, mailboxes that overflow what a tree holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from holo.core.cid import DAG_CBOR, Cid
from holo.core.keys import SigningKey
from holo.core.limits import PENDING_PER_SIGNER
from holo.core.tree_node import Branch, Leaf, Value, encode_node
from holo.store.store import Store
from tests.store.people import ALICE, BOB, NODE, ROOT, admitted, binding, commit, policy, submit

LETTERS = range(ord("a"), ord("z") + 1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "records", NODE, clock_ms=lambda: 0, map_bytes=1 << 28)


def multiplied(value: Value, levels: int = 9) -> list[bytes]:
    """The nodes of a tree of 26 x 26^levels and more keys, all with one value; the last is the root."""
    data = encode_node(Leaf([(b"/%c%c" % (one, other), value) for one in b"xyz" for other in LETTERS][:64]))
    nodes, count = [data], 64
    for _ in range(levels):
        link = Cid.of(DAG_CBOR, data)
        data = encode_node(Branch(b"", None, [(byte, count, link) for byte in LETTERS]))
        count *= len(LETTERS)
        nodes.append(data)
    return nodes


ABSENT = Cid.of(DAG_CBOR, b"a statement nobody has")


@pytest.mark.parametrize(
    "value",
    [[1], [[ABSENT, [0]]], [[ABSENT, [0]], [ABSENT, [0]]], [[ABSENT, []]]],
    ids=["no entry", "absent statement", "one statement twice", "nobody"],
)
def test_a_seal_that_repeats_a_subtree_costs_what_its_nodes_cost(store: Store, value: Value) -> None:
    genesis = policy(ALICE)
    nodes = multiplied(value)
    seal = policy(ALICE, seq=1, prev=genesis.id, seal=Cid.of(DAG_CBOR, nodes[-1]))
    commit(store, submit(genesis, ROOT))
    (result,) = commit(store, submit(seal, ROOT, nodes=nodes))
    assert getattr(result, "state", None) == "held"
    (after,) = commit(store, submit(binding(genesis, "app", 1, b"x"), ALICE))
    assert getattr(after, "state", None) == "current"
    store.make_head()


def test_more_pending_statements_than_a_tree_value_holds_do_not_stop_heads(store: Store) -> None:
    signers = [SigningKey(bytes([number]) * 32) for number in range(10, 30)]
    genesis = policy(*signers, two_for=["*"])
    commit(store, submit(genesis, ROOT))
    offered = [
        submit(binding(genesis, "app", rev, signer.kid), signer)
        for signer in signers
        for rev in range(1, PENDING_PER_SIGNER + 1)
    ]
    assert {getattr(result, "state", result) for result in commit(store, *offered)} == {"pending"}
    store.make_head()
    done = submit(binding(genesis, "app", 9, b"done"), *signers[:2])
    (result,) = commit(store, done)
    assert getattr(result, "state", result) == "current"
    store.make_head()


def test_half_a_record_of_a_complete_statement_is_not_called_pending(store: Store) -> None:
    genesis = policy(ALICE, BOB, two_for=["*"])
    statement = binding(genesis, "app", 1, b"x")
    _, whole = admitted(store, submit(genesis, ROOT), submit(statement, ALICE, BOB))
    (half,) = admitted(store, submit(statement, ALICE))
    assert (half.new, half.state, half.have, half.need) == (False, "current", 2, 2)
    assert half.receipt == whole.receipt, "nothing new, so no further receipt"
    with store.view() as view:
        assert view.log.size == 2


def test_what_leaves_one_mailbox_is_kept_for_another(store: Store) -> None:
    genesis = policy(ALICE, BOB, SigningKey(bytes([9]) * 32), two_for=["*"])

    admitted(store, submit(genesis, ROOT))
    shared = binding(genesis, "app", 1, b"shared")
    admitted(store, submit(shared, ALICE), submit(shared, BOB))
    higher = [binding(genesis, "app", rev, b"x") for rev in range(2, PENDING_PER_SIGNER + 2)]
    admitted(store, *(submit(item, ALICE) for item in higher))
    with store.view() as view:
        assert view.records.payload(shared.id) is not None, "it is in Bob's mailbox still"
        rows = view.records.box("acme", "app/stable", genesis.id, BOB.kid)
        assert [row.id for row in rows] == [shared.id]
    admitted(store, *(submit(item, BOB) for item in higher))
    with store.view() as view:
        assert view.records.payload(shared.id) is None, "nobody has it any more"
