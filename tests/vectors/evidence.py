"""Vectors of sections 5.4 and 5.5: evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from holo.core import limits
from holo.core import log as rfc9162
from holo.core.cid import DAG_CBOR, Cid
from holo.core.envelope import make_statement
from holo.core.equivocation import Evidence
from holo.core.evidence import entry_of, equivocation_of, history_of, open_evidence
from holo.core.keys import did_of
from tests.broken_promise import BROKEN, promise
from tests.records import kid
from tests.signing_node import SigningNode
from tests.vectors.form import Group, changed

Faults = list[tuple[str, str, list[str | int], Any]]


def groups() -> Iterator[Group]:
    """The group of these sections."""
    group = Group("evidence", "Evidence (5.5): two signed things that cannot both be honest, and what is none.")
    made = dict(_made())
    for name, evidence in made.items():
        assert open_evidence(evidence.bytes) == evidence
        result = {"id": str(evidence.id), "subject": did_of(evidence.subject), "kind": evidence.kind}
        group.valid(name, "open-evidence", result, bytes=evidence.bytes.hex())
    for of, name, code, change, value in _faults(made):
        group.invalid(f"{of}-{name}", "open-evidence", code, of, change, bytes=make_statement(value).bytes.hex())
    yield group


def _made() -> Iterator[tuple[str, Evidence]]:
    node = SigningNode()
    start, one = node.log, node.head()
    node.log = start
    yield "heads-of-one-seq", _found(equivocation_of(one, node.head(at_ms=7)))
    kept = node.receipt("one")
    node.log = start
    yield "receipts-of-one-seq", _found(equivocation_of(kept, node.receipt("other")))
    node.receipt("more")
    head, size = node.head(), 2
    proof = rfc9162.inclusion_proof(0, size, node.log.read)
    yield "receipt-replaced", _found(entry_of(kept, head, rfc9162.leaf_hash(node.log.receipts[0]), proof))
    for name, old in (("rewritten", 3), ("rewritten-after-four", 4)):
        yield name, _rewritten(old)
    for text, break_ in BROKEN.items():
        broken = promise()
        yield text.replace(" ", "-"), _found(broken.find(break_(broken)))


def _rewritten(old: int) -> Evidence:
    node = SigningNode()
    node.receipt("common")
    start = node.log
    for at in range(old - 1):
        node.receipt(f"one {at}")
    one = node.head()
    node.log = start
    node.head(at_ms=7)
    for at in range(6):
        node.receipt(f"other {at}")
    other = node.head()
    proof = list(node.log.consistency(old, 7))
    if old & (old - 1) == 0:
        proof.insert(0, rfc9162.root(old, node.log.read))
    return _found(history_of(one, other, proof))


def _found(evidence: Evidence | None) -> Evidence:
    assert evidence is not None
    return evidence


def _faults(made: Mapping[str, Evidence]) -> Iterator[tuple[str, str, str, str, dict[str, Any]]]:
    honest = SigningNode()
    first, second = honest.head(), honest.head()
    for of in ("heads-of-one-seq", "a-name-is-gone"):
        value = dict(made[of].statement.value)
        for name in value:
            if name not in ("v", "type"):
                yield of, f"no-{name}", "field-missing", f"without {name}", changed(value, [name])
        yield of, "unknown-field", "field-unknown", "another field", {**value, "more": 1}
        yield of, "version-2", "version-unsupported", "v = 2", {**value, "v": 2}
        yield of, "other-type", "type-mismatch", "another type", {**value, "type": "head"}
    value = dict(made["heads-of-one-seq"].statement.value)
    swapped = {**value, "one": value["other"], "other": value["one"]}
    yield "heads-of-one-seq", "swapped", "evidence-invalid", "the two in the other order", swapped
    yield "heads-of-one-seq", "twice", "evidence-invalid", "one head twice", {**value, "other": value["one"]}
    pair = sorted((first, second), key=lambda data: data)
    for index, (one, other) in enumerate((pair, pair[::-1])):
        change = "two heads that agree" if index == 0 else "two heads that agree, in the other order"
        agreeing = {**value, "one": one, "other": other}
        yield "heads-of-one-seq", f"agreeing-{index}", "evidence-invalid", change, agreeing
    for of, faults in _FAULTS.items():
        for name, code, path, new in faults:
            value = dict(made[of].statement.value)
            yield of, name, code, f"{'.'.join(map(str, path))} is changed", changed(value, path, new)
    value = dict(made["rewritten"].statement.value)
    value["hashes"] = value["hashes"][:-1]
    yield "rewritten", "short", "log-invalid", "a hash less", value
    value = dict(made["a-name-is-gone"].statement.value)
    yield (
        "a-name-is-gone", "object-missing", "evidence-invalid", "without an object",
        {**value, "objects": value["objects"][1:]},
    )  # fmt: skip
    added = sorted([*value["objects"], made["heads-of-one-seq"].bytes], key=_id_of)
    yield "a-name-is-gone", "object-unused", "evidence-invalid", "another object", {**value, "objects": added}
    backwards = {**value, "objects": value["objects"][::-1]}
    yield "a-name-is-gone", "objects-unsorted", "field-invalid", "objects in another order", backwards


def _id_of(data: bytes) -> bytes:
    return Cid.of(DAG_CBOR, data)


_FAULTS: dict[str, Faults] = {
    "heads-of-one-seq": [
        ("other-node", "evidence-invalid", ["node"], bytes(kid("alice"))),
        ("kind-receipts", "evidence-invalid", ["kind"], "receipts"),
        ("kind-unknown", "field-invalid", ["kind"], "weather"),
        ("leaf", "evidence-invalid", ["leaf"], bytes(32)),
        ("hashes", "evidence-invalid", ["hashes"], [bytes(32)]),
        ("one-empty", "envelope-invalid", ["one"], b""),
        ("one-as-text", "field-invalid", ["one"], "x"),
    ],
    "receipt-replaced": [
        ("no-leaf", "evidence-invalid", ["leaf"], None),
        ("leaf-short", "field-invalid", ["leaf"], bytes(31)),
        ("another-leaf", "log-invalid", ["leaf"], bytes(32)),
    ],
    "rewritten": [
        ("hash-short", "field-invalid", ["hashes", 0], bytes(31)),
        ("hash-other", "log-invalid", ["hashes", 0], bytes(32)),
        ("too-many-hashes", "field-invalid", ["hashes"], [bytes(32)] * (limits.EVIDENCE_HASHES + 1)),
    ],
    "a-name-is-gone": [
        ("other-node", "evidence-invalid", ["node"], bytes(kid("alice"))),
        ("other-place", "evidence-invalid", ["place"], "policies"),
        ("place-unknown", "field-invalid", ["place"], "pending"),
        ("other-key", "evidence-invalid", ["key"], b"app/latest"),
        ("other-namespace", "evidence-invalid", ["ns"], "other"),
        ("key-too-long", "field-invalid", ["key"], bytes(limits.TREE_KEY_BYTES + 1)),
    ],
}
