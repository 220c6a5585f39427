"""Bundles with any part changed, missing or added: they do not verify, and the report says where."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import codec, limits
from holo.core.bundle import make_bundle, verify_bundle
from holo.core.bundle_contents import Contents, decode_contents, encode_contents
from holo.core.cid import Cid
from holo.core.consumer import make_consumer_policy
from holo.core.errors import Rejected
from tests.core.bundles import (
    OUTCOMES,
    SIGNERS,
    STABLE,
    A,
    acme,
    failures,
    merged,
    sealed_world,
    trusting,
    with_head,
)
from tests.world import EVERYTHING, Namespace, Node


def small_bundle() -> tuple[Node, bytes]:
    """A bundle with something in each of its parts: both kinds of receipt, a seal, a reader's policy."""
    namespace = acme()
    namespace.bind("app:stable", A, by=("alice", "bob"))
    namespace.amend(signers={"bob": EVERYTHING}, seal=namespace.seal_tree())
    node = Node([namespace])
    for record in namespace.records:
        if record.statement.type == "binding":
            node.log_binding(record)
        else:
            node.log_policy(record, namespace.genesis.id)
    pack = node.keep_consumer_policy(make_consumer_policy(min_signers=2))
    node.take_head()
    return node, make_bundle([node.resolve("acme/app:stable", pack.id), node.receipts[1]], node)


NODE, BUNDLE = small_bundle()


def test_the_bundle_to_damage_has_something_in_every_part() -> None:
    contents = decode_contents(BUNDLE)
    assert verify_bundle(BUNDLE, trusting(NODE)).result == "ok"
    for part in ("receipts", "heads", "logs", "payloads", "signatures", "objects", "inclusions"):
        assert getattr(contents, part)


def refused_with_a_place(data: bytes) -> None:
    report = verify_bundle(data, trusting(NODE))
    assert report.result == "bad"
    assert all(check.at for check in failures(report))


@pytest.mark.slow
def test_one_flipped_bit_in_any_byte_is_noticed() -> None:
    rng = random.Random(1)
    for index in range(len(BUNDLE)):
        damaged = bytearray(BUNDLE)
        damaged[index] ^= 1 << rng.randrange(8)
        refused_with_a_place(bytes(damaged))


@given(index=st.integers(0, len(BUNDLE) - 1), change=st.integers(1, 255))
def test_a_changed_byte_is_noticed(index: int, change: int) -> None:
    damaged = bytearray(BUNDLE)
    damaged[index] ^= change
    refused_with_a_place(bytes(damaged))


@given(st.integers(0, len(BUNDLE) - 1))
def test_a_cut_bundle_is_noticed(length: int) -> None:
    refused_with_a_place(BUNDLE[:length])


@given(st.binary(max_size=64))
def test_rubbish_is_never_a_bundle(data: bytes) -> None:
    assert verify_bundle(data, trusting(NODE)).result == "bad"
    refused_with_a_place(BUNDLE + (data or b"\0"))


def test_a_bundle_is_bounded_before_it_is_read() -> None:
    report = verify_bundle(bytes(limits.BUNDLE_BYTES + 1), trusting(NODE))
    assert "too-large" in failures(report)[0].detail


PARTS = [
    (part, cid)
    for part in ("receipts", "heads", "logs", "payloads", "objects", "inclusions")
    for cid in getattr(decode_contents(BUNDLE), part)
]


@pytest.mark.parametrize(("part", "cid"), PARTS, ids=[part for part, _ in PARTS])
def test_nothing_can_be_left_out(part: str, cid: Cid) -> None:
    contents = decode_contents(BUNDLE)
    del getattr(contents, part)[cid]
    refused_with_a_place(encode_contents(contents))


def test_no_signature_can_be_left_out_or_swapped() -> None:
    for cid, signatures in decode_contents(BUNDLE).signatures.items():
        for who in signatures:
            contents = decode_contents(BUNDLE)
            del contents.signatures[cid][who]
            refused_with_a_place(encode_contents(contents))
            contents = decode_contents(BUNDLE)
            contents.signatures[cid][who] = bytes(64)
            refused_with_a_place(encode_contents(contents))


def test_nothing_can_be_added() -> None:
    other, receipt = OUTCOMES["resolved by reader"]
    more = decode_contents(
        make_bundle([receipt, other.log_denial(other.namespaces[0].records[1], "x")], with_head(other))
    )
    added = {
        part: merged(decode_contents(BUNDLE), more, only=part) for part in ("heads", "logs", "objects", "inclusions")
    }
    added["records"] = merged(decode_contents(BUNDLE), more, only="payloads")
    for place, contents in added.items():
        report = verify_bundle(encode_contents(contents), trusting(NODE))
        (failure,) = failures(report)
        assert (failure.code, report.result) == ("nothing-unused", "bad")
        assert failure.at is not None
        assert failure.at.startswith(place)


def test_not_even_a_true_signature_can_be_added() -> None:
    namespace = NODE.namespaces[0]
    record = namespace.records[0]
    contents = decode_contents(BUNDLE)
    spare = Namespace("acme", signers=SIGNERS, thresholds=STABLE, by=("root", "mallory"))
    contents.signatures[record.statement.id].update(spare.endorsements(record.statement.id))
    (failure,) = failures(verify_bundle(encode_contents(contents), trusting(NODE)))
    assert failure.code == "nothing-unused"
    assert failure.at is not None
    assert ".signatures[" in failure.at


LISTS = ("receipts", "heads", "logs", "records", "objects", "inclusions")


SHAPES: list[Any] = [
    *(None, 1, [1], [None], [b""], [b"\xa0"], [A], [[]], [["x"]]),
    *([[b"", []]], [[b"", 1]], [[b"", [1]]], [[b"", [[b"", b""]]]]),
    *([[A, A, [1]]], [[A, A, 1]], [[A, 1, []]], [[1, A, []]]),
]


@pytest.mark.parametrize("part", LISTS)
@pytest.mark.parametrize("items", SHAPES, ids=repr)
def test_a_part_of_another_shape_is_refused(part: str, items: Any) -> None:
    refused_with_a_place(codec.encode({**codec.decode(BUNDLE, len(BUNDLE)), part: items}))


@pytest.mark.parametrize("part", LISTS)
def test_every_list_has_one_order_and_nothing_twice(part: str) -> None:
    node = sealed_world()
    value = codec.decode(make_bundle([node.resolve("acme/app:stable"), *node.receipts], node), limits.BUNDLE_BYTES)

    def found(items: list[Any]) -> tuple[str, str | None]:
        (failure,) = failures(verify_bundle(codec.encode({**value, part: items}), trusting(node)))
        return failure.code, failure.at

    mine = value[part]
    assert found([mine[0], *mine]) == ("bundle-decoded", f"bundle {part}[1]")
    if len(mine) > 1:
        assert found(mine[::-1]) == ("bundle-decoded", f"bundle {part}[1]")
    else:  # with another node's beside it, one order is only too much, the other is wrong
        peer = with_head(Node([acme()], name="peer"))
        (theirs,) = codec.decode(make_bundle([peer.resolve("acme/app")], peer), limits.BUNDLE_BYTES)[part]
        codes = {found([mine[0], theirs])[0], found([theirs, mine[0]])[0]}
        assert codes == {"nothing-unused", "bundle-decoded"}


def test_signatures_have_one_order() -> None:
    value = codec.decode(BUNDLE, len(BUNDLE))
    index, record = next((at, item) for at, item in enumerate(value["records"]) if len(item[1]) > 1)
    for pairs in (record[1][::-1], [record[1][0], *record[1]]):
        records = [*value["records"][:index], [record[0], pairs], *value["records"][index + 1 :]]
        (failure,) = failures(verify_bundle(codec.encode({**value, "records": records}), trusting(NODE)))
        assert (failure.code, failure.at) == ("bundle-decoded", f"bundle records[{index}]")


def test_a_bundle_too_large_to_be_read_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BUNDLE_BYTES", len(BUNDLE) - 1)
    with pytest.raises(Rejected) as error:
        encode_contents(decode_contents_of_any_size(BUNDLE, monkeypatch))
    assert error.value.code == "too-large"


def decode_contents_of_any_size(data: bytes, monkeypatch: pytest.MonkeyPatch) -> Contents:
    with monkeypatch.context() as patch:
        patch.setattr(limits, "BUNDLE_BYTES", len(data))
        return decode_contents(data)
