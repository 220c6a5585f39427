"""Messages: one form each, bounded before anything is built of them; records as carried; what is left to ask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holo.core import codec, limits
from holo.core.answers import rest_of_range, rest_of_records
from holo.core.binding import open_binding
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import Record, endorse, make_record, make_statement
from holo.core.errors import HoloError, Rejected
from holo.core.keys import SigningKey
from holo.core.messages import (
    Bye,
    Carried,
    Converged,
    Heads,
    Hello,
    Message,
    Objects,
    Proof,
    Push,
    Range,
    Records,
    ShownEvidence,
    ShownHead,
    Span,
    Want,
    WantProof,
    WantRange,
    WantRecords,
    carry,
    carry_pending,
    cut_objects,
    cut_records,
    decode_message,
    encode_message,
)
from holo.core.policy import open_policy
from tests.records import binding_record, key, policy_record

cids = st.binary(max_size=4).map(lambda data: Cid.of(DAG_CBOR, data))
ids = st.integers(0, 2**32 - 1)
blobs = st.binary(min_size=1, max_size=40)
hashes = st.lists(st.binary(min_size=32, max_size=32), max_size=3).map(tuple)
paths = st.sampled_from(("", "app/dev", "app/x/stable"))
namespaces = st.sampled_from(("a", "acme", "b.c-d"))
endorsements = st.dictionaries(
    st.binary(min_size=34, max_size=34), st.binary(min_size=64, max_size=64), min_size=1
).map(lambda found: tuple(sorted(found.items())))
carried = st.builds(Carried, st.sampled_from(("policy", "binding", "pending")), blobs, endorsements)
bindings = st.builds(Carried, st.just("binding"), blobs, endorsements)


def some(items: st.SearchStrategy[object], least: int = 1) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(items, min_size=least, max_size=4).map(tuple)


def each_once(items: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(items, min_size=1, max_size=4, unique=True).map(tuple)


shown = st.builds(ShownHead, blobs, blobs, st.integers(1, 9), hashes) | st.builds(
    ShownHead, blobs, blobs, st.just(0), st.just(())
)
spans = st.lists(st.builds(Span, namespaces, cids, paths), min_size=1, unique_by=lambda span: span.ns).map(tuple)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Hello, st.just("holo/0.2 (x)"), some(st.sampled_from(("a:1", "[::1]:9")), 0), cids),
    st.builds(Heads, some(shown)),
    st.builds(Push, some(carried)),
    st.builds(ShownEvidence, some(blobs)),
    st.builds(Converged, some(blobs)),
    st.builds(Bye, st.sampled_from(("too-large", "x", "a-2")), st.text(max_size=30)),
    st.builds(Want, ids, each_once(cids)),
    st.builds(Objects, ids, some(st.none() | blobs)),
    st.builds(WantRecords, ids, each_once(cids)),
    st.builds(Records, ids, some(st.none() | carried)),
    st.builds(WantRange, ids, spans),
    st.builds(Range, ids, some(bindings, 0), st.none() | st.tuples(st.integers(0, 255), paths)),
    st.builds(WantProof, ids, cids, st.just(3), st.integers(4, 9)),
    st.builds(Proof, ids, st.none() | hashes),
)


@given(messages)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    frame = encode_message(message)
    assert decode_message(frame) == message
    assert codec.decode(frame, limits.FRAME_BYTES)["m"] == message.KIND


@given(messages, st.data())
def test_a_damaged_message_is_another_or_refused(message: Message, data: st.DataObject) -> None:
    frame = bytearray(encode_message(message))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode_message(bytes(frame))
    except HoloError:
        return
    assert encode_message(found) == frame


def refused(frame: bytes) -> str:
    with pytest.raises(Rejected) as error:
        decode_message(frame)
    return error.value.code


def test_what_is_too_large_is_not_decoded() -> None:
    assert refused(bytes(limits.FRAME_BYTES + 1)) == "too-large"
    assert refused(b"\x9a\x00\x1f\x00\x00" + bytes(0x1F0000)) == "too-large"  # two million integers
    many = codec.encode({"m": "objects", "id": 1, "items": [None] * limits.MESSAGE_ITEMS})
    assert refused(many) == "too-large"


def test_what_a_message_carries_is_bounded_together() -> None:
    node = bytes(limits.NODE_BYTES)
    decode_message(encode_message(Objects(1, (node,) * 3)))
    assert refused(encode_message(Objects(1, (node,) * 4))) == "field-invalid"
    policy = Carried("policy", bytes(limits.POLICY_BYTES), ((key("a").kid, bytes(64)),))
    decode_message(encode_message(Push((policy,) * 3)))
    assert refused(encode_message(Push((policy,) * 4))) == "field-invalid"


def test_the_largest_policy_fits_with_all_its_endorsers() -> None:
    endorsers = sorted(SigningKey(bytes(31) + bytes([at])).kid for at in range(limits.ENDORSEMENTS_PER_RECORD))
    item = Carried("policy", bytes(limits.POLICY_BYTES), tuple((kid, bytes(64)) for kid in endorsers))
    assert item.size_bytes < limits.ANSWER_BYTES
    assert decode_message(encode_message(Records(1, (item,)))) == Records(1, (item,))
    assert len(item.submissions()[0]) == limits.ENDORSEMENTS_PER_RECORD


def test_questions_are_bounded() -> None:
    many = [Cid.of(DAG_CBOR, at.to_bytes(2, "big")) for at in range(limits.WANTED_IDS + 1)]
    for kind in (Want, WantRecords):
        decode_message(encode_message(kind(1, tuple(many[:-1]))))
        assert refused(encode_message(kind(1, tuple(many)))) == "field-invalid"
    spans = tuple(Span(f"a{at}", many[0]) for at in range(limits.WANTED_RANGES + 1))
    decode_message(encode_message(WantRange(1, spans[:-1])))
    assert refused(encode_message(WantRange(1, spans))) == "field-invalid"


# --- records as they are carried


def test_a_carried_record_is_offered_as_it_was() -> None:
    policy = policy_record("acme", signers={"alice": (("*",), ("*",))})
    (envelopes,) = carry(policy).submissions()
    assert open_policy(envelopes)[1] == policy
    genesis, _ = open_policy(envelopes)
    binding = binding_record(genesis.id, genesis.id, "acme/app:dev", None, by=("alice", "bob"))
    assert carry(binding).kind == "binding"
    (envelopes,) = carry(binding).submissions()
    assert open_binding(envelopes)[1] == binding


def test_what_is_pending_is_offered_one_by_one() -> None:
    genesis, _ = open_policy(policy_record("acme", signers={"alice": (("*",), ("*",))}).envelopes())
    record = binding_record(genesis.id, genesis.id, "acme/app:dev", None, by=("alice", "bob"))
    offered = [open_binding(envelopes)[1] for envelopes in carry_pending(record).submissions()]
    assert [set(item.endorsements) for item in offered] == [{kid} for kid in sorted(record.endorsements)]


@pytest.mark.parametrize("count", [1, 96, 97, 192, 200, 256])
def test_many_endorsers_make_several_records_each_as_full_as_may_be(count: int) -> None:
    statement = make_statement({"v": 1, "type": "binding"})
    signers = [SigningKey(at.to_bytes(32, "big")) for at in range(count)]
    record = Record(statement, {signer.kid: endorse(statement, signer) for signer in signers})
    offered = carry(record).submissions()
    assert {envelope for item in offered for envelope in item} == set(record.envelopes())
    assert all(len(item) == len(set(item)) == min(count, 96) for item in offered)
    assert len(offered) == -(-count // 96)


# --- what an answer carries, and what is left to ask


@given(st.lists(st.none() | st.integers(1, limits.NODE_BYTES).map(bytes), min_size=1, max_size=12))
def test_answers_are_cut_where_they_are_full(items: list[bytes | None]) -> None:
    taken = cut_objects(iter(items))
    assert list(taken) == items[: len(taken)]
    decode_message(encode_message(Objects(1, taken)))
    size = sum(len(item or b"") for item in items[: len(taken) + 1])
    assert len(taken) == len(items) or size > limits.ANSWER_BYTES


def test_answers_of_records_are_cut_too() -> None:
    item = carry(make_record(make_statement({"v": 1, "type": "binding", "x": bytes(16_000)}), key("a"), key("b")))
    taken = cut_records([item, None] * 100)
    assert 120 < len(taken) < 140
    decode_message(encode_message(Records(1, taken)))


def test_records_have_to_be_those_that_were_asked_for() -> None:
    item = carry(make_record(make_statement({"v": 1, "type": "binding"}), key("a")))
    cid, other = Cid.of(DAG_CBOR, item.payload), Cid.of(DAG_CBOR, b"other")
    assert rest_of_records(WantRecords(1, (cid, other)), Records(1, (item,))) == (other,)
    assert rest_of_records(WantRecords(1, (other, cid)), Records(1, (None, item))) == ()
    for statements, items, code in (
        ((other,), (item,), "cid-mismatch"),
        ((cid,), (item, item), "answer-invalid"),
    ):
        with pytest.raises(Rejected) as error:
            rest_of_records(WantRecords(1, statements), Records(1, items))
        assert error.value.code == code


def test_ranges_go_on_until_their_end_and_always_come_to_it() -> None:
    cid = Cid.of(DAG_CBOR, b"genesis")
    one, two = Span("a", cid, "app/x"), Span("b", cid)
    question = WantRange(1, (one, two))
    item = carry(make_record(make_statement({"v": 1, "type": "binding"}), key("a")))
    assert rest_of_range(question, Range(1, (), None)) == ()
    assert rest_of_range(question, Range(1, (item,), (0, "app/y"))) == (Span("a", cid, "app/y"), two)
    assert rest_of_range(question, Range(1, (), (1, ""))) == (two,)
    assert rest_of_range(question, Range(1, (item,), (1, "b/c"))) == (Span("b", cid, "b/c"),)
    for records, following in (
        ((), (0, "app/y")),  # it could go on like this for ever
        ((item,), (0, "app/x")),
        ((item,), (0, "app/w")),
        ((item,), (2, "")),
    ):
        with pytest.raises(Rejected) as error:
            rest_of_range(question, Range(1, records, following))
        assert error.value.code == "answer-invalid"
