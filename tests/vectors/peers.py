"""Vectors of section 7: messages, carried records, what an answer leaves to ask, comparisons, transfers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from holo.core import codec, head, limits, tree
from holo.core.cid import DAG_CBOR, Cid
from holo.core.log import EMPTY_ROOT
from tests.records import binding_record, content, key, policy_record
from tests.vectors.carrying import carried_records, wire, written
from tests.vectors.comparing import comparisons
from tests.vectors.form import DELETED, Group, changed, dag_json
from tests.vectors.transferring import transfers

Value = dict[str, Any]


def groups() -> Iterator[Group]:
    """Every group of this section."""
    yield _messages()
    yield carried_records()
    yield _answers()
    yield comparisons()
    yield transfers()


_GENESIS = policy_record("acme", signers={"alice": (("*",), ("*",)), "bob": (("*",), ("*",))})
_ID = _GENESIS.statement.id
_BINDING = binding_record(_ID, _ID, "acme/app:dev", content("one"), by=("alice", "bob"))
_PENDING = binding_record(_ID, _ID, "acme/app:stable", content("two"), by=("bob",))


def _log() -> tuple[bytes, bytes]:
    """The envelopes of a head and of its log-genesis."""
    node = key("node")
    genesis = head.make_log_genesis(node=node.kid, nonce=bytes(16))
    first = head.make_head(
        log=genesis.id, seq=0, prev=None, catalog=tree.EMPTY, log_size=0, log_root=EMPTY_ROOT, at_ms=1
    )
    return head.sign(first, node), head.sign(genesis, node)


def _forms() -> Mapping[str, Value]:
    head_envelope, genesis_envelope = _log()
    one, other = Cid.of(DAG_CBOR, b"one"), Cid.of(DAG_CBOR, b"other")
    policy, binding, pending = wire("policy", _GENESIS), wire("binding", _BINDING), wire("pending", _PENDING)
    shown = {"head": head_envelope, "genesis": genesis_envelope, "from": 0, "proof": []}
    return {
        "hello": {
            "m": "hello",
            "v": 1,
            "agent": "holo/1 (test)",
            "addresses": ["a.example:4100", "[::1]:1"],
            "log": one,
        },
        "hello-bare": {"m": "hello", "v": 1, "agent": "x", "addresses": [], "log": one},
        "heads": {"m": "heads", "items": [shown]},
        "heads-with-proof": {"m": "heads", "items": [{**shown, "from": 3, "proof": [bytes(32), bytes(31) + b"x"]}]},
        "push": {"m": "push", "records": [policy, binding, pending]},
        "evidence": {"m": "evidence", "items": [b"evidence", b"more"]},
        "converged": {"m": "converged", "receipts": [head_envelope]},
        "bye": {"m": "bye", "code": "rate-limited", "detail": "too much"},
        "bye-of-a-later-version": {"m": "bye", "code": "a-code-of-2030", "detail": ""},
        "want": {"m": "want", "id": 0, "cids": [one, other]},
        "objects": {"m": "objects", "id": 2**32 - 1, "items": [tree.EMPTY_NODE, None]},
        "want-records": {"m": "want-records", "id": 1, "statements": [one]},
        "records": {"m": "records", "id": 1, "items": [None, binding, pending]},
        "want-range": {"m": "want-range", "id": 7, "spans": [["acme", _ID, ""], ["other", one, "app/dev"]]},
        "range": {"m": "range", "id": 7, "records": [binding], "next": [1, "app/dev"]},
        "range-at-its-end": {"m": "range", "id": 7, "records": [], "next": None},
        "want-proof": {"m": "want-proof", "id": 7, "log": one, "old": 1, "new": 2},
        "proof": {"m": "proof", "id": 7, "hashes": [bytes(32)]},
        "proof-not-given": {"m": "proof", "id": 7, "hashes": None},
    }


def _messages() -> Group:
    group = Group("messages", "Messages (7.1 to 7.4), as the payload of a frame. `value` is the decoded map.")
    forms = _forms()
    for name, value in forms.items():
        group.valid(name, "decode-message", {"value": dag_json(value)}, frame=codec.encode(value).hex())
    field = "field-invalid"
    cases: list[tuple[str, str, str, list[str | int], Any]] = [
        ("unknown-kind", "message-unknown", "bye", ["m"], "good-bye"),
        ("kind-missing", "message-unknown", "bye", ["m"], DELETED),
        ("kind-as-number", "message-unknown", "bye", ["m"], 1),
        ("kind-of-the-other-plane", "message-unknown", "bye", ["m"], "get"),
        ("unknown-field", "field-unknown", "want", ["more"], 1),
        ("no-id", "field-missing", "want", ["id"], DELETED),
        ("version-2", "version-unsupported", "hello", ["v"], 2),
        ("agent-empty", field, "hello", ["agent"], ""),
        ("agent-two-spaces", field, "hello", ["agent"], "a  b"),
        ("agent-not-ascii", field, "hello", ["agent"], "hölo"),
        ("agent-too-long", field, "hello", ["agent"], "a" * 65),
        ("too-many-addresses", field, "hello", ["addresses"], ["a:1"] * 9),
        ("address-without-port", "address-invalid", "hello", ["addresses"], ["a.example"]),
        ("address-of-port-0", "address-invalid", "hello", ["addresses"], ["a.example:0"]),
        ("log-as-text", field, "hello", ["log"], "log"),
        ("no-heads", field, "heads", ["items"], []),
        ("too-many-heads", field, "heads", ["items"], [forms["heads"]["items"][0]] * 65),
        ("head-empty", field, "heads", ["items", 0, "head"], b""),
        ("head-too-long", field, "heads", ["items", 0, "head"], bytes(4353)),
        ("head-with-more", "field-unknown", "heads", ["items", 0, "more"], 1),
        ("from-negative", field, "heads", ["items", 0, "from"], -1),
        ("proof-from-nothing", field, "heads", ["items", 0, "proof"], [bytes(32)]),
        ("proof-hash-cut", field, "heads-with-proof", ["items", 0, "proof", 0], bytes(31)),
        ("proof-too-long", field, "heads-with-proof", ["items", 0, "proof"], [bytes(32)] * 65),
        ("push-of-nothing", field, "push", ["records"], []),
        ("push-of-too-many", field, "push", ["records"], [forms["push"]["records"][2]] * 257),
        ("no-evidence", field, "evidence", ["items"], []),
        ("evidence-empty", field, "evidence", ["items"], [b""]),
        ("too-much-evidence", field, "evidence", ["items"], [b"x"] * 17),
        ("evidence-too-large-together", field, "evidence", ["items"], [bytes(1024), bytes(1_047_553)]),
        ("receipt-too-long", field, "converged", ["receipts"], [bytes(16_641)]),
        ("too-many-receipts", field, "converged", ["receipts"], [b"x"] * 17),
        ("code-with-space", field, "bye", ["code"], "too large"),
        ("code-empty", field, "bye", ["code"], ""),
        ("code-too-long", field, "bye", ["code"], "a" * 65),
        ("detail-too-long", field, "bye", ["detail"], "a" * 257),
        ("id-negative", field, "want", ["id"], -1),
        ("id-too-large", field, "want", ["id"], 2**32),
        ("wanting-nothing", field, "want", ["cids"], []),
        ("wanting-one-twice", field, "want", ["cids"], [content("a"), content("a")]),
        ("wanting-text", field, "want", ["cids"], ["a"]),
        ("no-objects", field, "objects", ["items"], []),
        ("object-empty", field, "objects", ["items"], [b""]),
        ("object-as-text", field, "objects", ["items"], ["a"]),
        ("object-too-large", field, "objects", ["items"], [bytes(limits.NODE_BYTES + 1)]),
        ("objects-too-large-together", field, "objects", ["items"], [bytes(limits.NODE_BYTES)] * 4),
        ("too-many-objects", field, "objects", ["items"], [None] * 1025),
        ("statements-twice", field, "want-records", ["statements"], [content("a"), content("a")]),
        ("no-items", field, "records", ["items"], []),
        ("record-as-bytes", field, "records", ["items", 0], b"x"),
        ("no-spans", field, "want-range", ["spans"], []),
        ("namespace-twice", field, "want-range", ["spans", 1, 0], "acme"),
        ("namespace-invalid", "name-invalid", "want-range", ["spans", 0, 0], "Acme"),
        ("span-without-path", field, "want-range", ["spans", 0], ["acme", _ID]),
        ("span-with-a-null", field, "want-range", ["spans", 0, 2], None),
        ("path-too-long", field, "want-range", ["spans", 0, 2], "a" * 257),
        ("path-not-ascii", field, "want-range", ["spans", 0, 2], "ü"),
        ("policy-in-a-range", field, "range", ["records", 0], forms["push"]["records"][0]),
        ("next-without-path", field, "range", ["next"], [1]),
        ("next-negative", field, "range", ["next"], [-1, "a"]),
        ("next-too-large", field, "range", ["next"], [256, "a"]),
        ("proof-from-0", field, "want-proof", ["old"], 0),
        ("proof-backwards", field, "want-proof", ["new"], 1),
        ("hash-cut", field, "proof", ["hashes"], [bytes(33)]),
    ]
    for name, code, of, path, new in cases:
        wrong = codec.encode(changed(forms[of], path, new))
        change = f"{'.'.join(map(str, path))} is {'gone' if new is DELETED else 'another'}"
        again = codec.encode(new[0]) if isinstance(new, list) and len(new) > 64 else b""
        group.invalid(name, "decode-message", code, of, change, frame=written(wrong, again))
    _encodings(group, forms)
    return group


def _encodings(group: Group, forms: Mapping[str, Value]) -> None:
    frame = codec.encode(forms["bye"])
    for name, code, change, wrong in (
        ("empty", "cbor-invalid", "no bytes", b""),
        ("cut", "cbor-invalid", "the last byte is gone", frame[:-1]),
        ("trailing", "cbor-invalid", "a byte more", frame + b"\0"),
        ("array", "message-unknown", "an array", codec.encode(["bye"])),
        ("unsorted", "cbor-invalid", "keys in another order", frame[:1] + frame[7:] + frame[1:7]),
        ("too-many-items", "too-large", "65,537 items and more", codec.encode([[0] * limits.MESSAGE_ITEMS])),
    ):
        group.invalid(name, "decode-message", code, "bye", change, frame=written(wrong))


def _answers() -> Group:
    group = Group(
        "answers",
        "What is left to ask after an answer (7.4): ids of statements, or spans. `question` and `answer` are messages.",
    )
    binding, pending = wire("binding", _BINDING), wire("pending", _PENDING)
    ids = [_BINDING.statement.id, _PENDING.statement.id]
    asked = {"m": "want-records", "id": 1, "statements": ids}
    got = {"m": "records", "id": 1, "items": [binding, pending]}
    ranged = {"m": "want-range", "id": 1, "spans": [["acme", _ID, "app/a"], ["other", _ID, ""]]}
    part = {"m": "range", "id": 1, "records": [binding], "next": [0, "app/dev"]}
    spans = [["acme", str(_ID), "app/dev"], ["other", str(_ID), ""]]
    for name, question, answer, rest in (
        ("all", asked, got, []),
        ("cut", asked, {**got, "items": [None]}, [str(ids[1])]),
        ("range-cut", ranged, part, spans),
        ("range-cut-behind-a-span", ranged, {**part, "records": [], "next": [1, ""]}, spans[1:]),
        ("range-ended", ranged, {**part, "next": None}, []),
    ):
        group.valid(name, "rest-of-answer", {"rest": rest}, **_pair(question, answer))
    for name, code, of, change, question, answer in (
        ("more-than-asked", "answer-invalid", "all", "an item more", asked, {**got, "items": [binding, pending, None]}),
        (
            "another-record",
            "cid-mismatch",
            "all",
            "the records change places",
            asked,
            {**got, "items": [pending, binding]},
        ),
        ("range-of-nothing", "answer-invalid", "range-cut", "no records", ranged, {**part, "records": []}),
        (
            "range-stays",
            "answer-invalid",
            "range-cut",
            "next is where it began",
            ranged,
            {**part, "next": [0, "app/a"]},
        ),
        ("range-goes-back", "answer-invalid", "range-cut", "next lies before", ranged, {**part, "next": [0, "app/A"]}),
        ("range-beyond", "answer-invalid", "range-cut", "next in no span", ranged, {**part, "next": [2, "app/dev"]}),
    ):
        group.invalid(name, "rest-of-answer", code, of, change, **_pair(question, answer))
    return group


def _pair(question: Value, answer: Value) -> dict[str, str]:
    return {"question": codec.encode(question).hex(), "answer": codec.encode(answer).hex()}
