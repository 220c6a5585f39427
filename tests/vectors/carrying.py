"""Vectors of section 7.2: records as peers carry them."""

from __future__ import annotations

import re
from typing import Any, Final

from holo.core import codec
from holo.core.envelope import Record, make_record, make_statement
from holo.core.keys import SigningKey
from tests.records import binding_record, content, key, policy_record
from tests.vectors.form import Group, Json, changed, envelopes


def wire(kind: str, record: Record) -> list[Any]:
    """The carried form of a record."""
    pairs = [kid + signature for kid, signature in sorted(record.endorsements.items())]
    return [kind, record.statement.bytes, pairs]


_ZEROS: Final = re.compile(b"\\0{256,}")


def written(data: bytes, again: bytes = b"") -> Json:
    """``data`` in hexadecimal; where it has many zero bytes in a row, or ``again`` and again, a list of parts."""
    start = data.find(again * 2) if again else -1
    if start >= 0:
        end = start
        while data.startswith(again, end):
            end += len(again)
        return [data[:start].hex(), [again.hex(), (end - start) // len(again)], data[end:].hex()]
    parts: list[Json] = []
    at = 0
    for zeros in _ZEROS.finditer(data):
        parts += [data[at : zeros.start()].hex(), ["00", zeros.end() - zeros.start()]]
        at = zeros.end()
    return [*parts, data[at:].hex()] if parts else data.hex()


def carried_records() -> Group:
    """The group of this section."""
    group = Group(
        "carried-records",
        "Carried records (7.2), encoded by themselves in `bytes`: the records to offer, as their envelopes.",
    )
    genesis = policy_record("acme", signers={"alice": (("*",), ("*",))}, roots=("root", "root2"))
    binding = binding_record(
        genesis.statement.id, genesis.statement.id, "acme/app:dev", content("one"), by=("alice", "bob", "carol")
    )
    single = sorted(
        (make_record(binding.statement, key(name)) for name in ("alice", "bob", "carol")),
        key=lambda record: sorted(record.endorsements),
    )
    for kind, record, offered in (
        ("policy", genesis, [envelopes(genesis)]),
        ("binding", binding, [envelopes(binding)]),
        ("pending", binding, [envelopes(item) for item in single]),
    ):
        group.valid(kind, "offer-carried", {"records": offered}, bytes=codec.encode(wire(kind, record)).hex())
    many = make_record(make_statement({"v": 1, "type": "binding"}), *_many(98))
    listed = envelopes(many)
    group.valid(
        "more-endorsers-than-a-record-has", "offer-carried", {"records": [listed[:96], listed[2:]]},
        bytes=codec.encode(wire("binding", many)).hex(),
    )  # fmt: skip
    _invalid(group, wire("binding", binding), wire("policy", make_record(genesis.statement, *_many(97))))
    return group


def _many(count: int) -> list[SigningKey]:
    return [SigningKey(at.to_bytes(32, "big")) for at in range(count)]


def _invalid(group: Group, binding: list[Any], crowded: list[Any]) -> None:
    field, one = "field-invalid", binding[2][0]
    for name, code, of, change, wrong in (
        ("unknown-kind", field, "binding", "the kind head", changed(binding, [0], "head")),
        ("kind-as-number", field, "binding", "a number as kind", changed(binding, [0], 1)),
        ("payload-as-text", field, "binding", "a text as payload", changed(binding, [1], "x")),
        ("payload-too-large", "too-large", "binding", "16,385 bytes", changed(binding, [1], bytes(16_385))),
        ("policy-too-large", "too-large", "policy", "262,145 bytes", ["policy", bytes(262_145), [one]]),
        ("no-endorsements", field, "binding", "no endorsements", changed(binding, [2], [])),
        ("endorsement-cut", field, "binding", "97 bytes", changed(binding, [2, 0], one[:-1])),
        (
            "endorsement-as-pair",
            field,
            "binding",
            "kid and signature apart",
            changed(binding, [2, 0], [one[:34], one[34:]]),
        ),
        ("endorser-twice", field, "binding", "an endorser twice", changed(binding, [2], [one, one])),
        ("endorsers-unsorted", field, "binding", "another order", changed(binding, [2], binding[2][::-1])),
        ("too-many-endorsers-of-a-policy", field, "policy", "97 endorsers", crowded),
        ("a-fourth-item", field, "binding", "an item more", [*binding, 1]),
        ("null", field, "binding", "null", None),
    ):
        group.invalid(name, "offer-carried", code, of, change, bytes=written(codec.encode(wrong)))
