"""The specification against what it describes: CDDL and the vectors, tables and the code, links and files."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cddl_verifier import Validator  # type: ignore[import-untyped]

from holo.core import codec, limits
from holo.core.decision import FLAGS, OUTCOMES, SENTENCES
from holo.core.envelope import decode_envelope
from holo.core.errors import CODES
from holo.core.tree_node import EMPTY_NODE
from tests.dag_json import from_dag_json
from tests.replay import OPERATIONS
from tests.replay_peers import joined

ROOT = Path(__file__).resolve().parents[1]
SPEC = ROOT / "docs" / "spec"
CDDL = Validator((SPEC / "holo.cddl").read_text())

Found = Iterator[tuple[str, bytes]]

# op → the CDDL rule of the object in `bytes`
RULE_OF_BYTES = {
    "decode-consumer-policy": "consumer-policy",
    "decode-namespace-state": "namespace-state",
    "decode-catalog": "catalog",
    "decode-decision": "decision",
    "decode-manifest": "manifest",
    "decode-pack": "pack",
}
RULE_OF_TREE = {
    "bindings": "bindings-value",
    "pending": "pending-value",
    "policies": "policies-value",
    "namespaces": "namespaces-value",
}


def vectors(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((ROOT / "fixtures" / folder).glob("*.json")):
        for case in json.loads(path.read_text())["cases"]:
            yield f"{path.stem}/{case['name']}", case


def described(case: dict[str, Any]) -> Found:
    """The encoded objects of a vector, each with the rule it has to follow."""
    given, op = case["input"], case["op"]
    if op in RULE_OF_BYTES:
        yield RULE_OF_BYTES[op], bytes.fromhex(given["bytes"])
    elif op in ("open-policy", "open-binding"):
        rule = op.removeprefix("open-")
        for text in given["envelopes"]:
            yield f"{rule}-envelope", bytes.fromhex(text)
        yield (
            f"{rule}-record",
            codec.encode([]).replace(b"\x80", head(len(given["envelopes"])))
            + b"".join(map(bytes.fromhex, given["envelopes"])),
        )
    elif op in ("decode-message", "decode-transfer"):
        yield "transfer-message" if op == "decode-transfer" else "message", joined(given["frame"])
    elif op == "offer-carried":
        yield "carried", joined(given["bytes"])
    elif op == "open-receipt":
        data = bytes.fromhex(given["envelope"])
        type, _, payload, _ = decode_envelope(data, limits.RECEIPT_BYTES)
        yield type, payload
        if type.endswith("-receipt"):
            yield "receipt-envelope", data
    elif op == "open-evidence":
        data = bytes.fromhex(given["bytes"])
        yield codec.decode(data, limits.EVIDENCE_BYTES)["type"], data
    elif op == "decode-answer":
        yield "answer", bytes.fromhex(given["frame"])
    elif op == "open-join":
        request = codec.decode(bytes.fromhex(given["frame"]), limits.BLOCK_BYTES)
        yield "join-request", bytes.fromhex(given["frame"])
        if isinstance(request["join"], bytes):
            yield "join", decode_envelope(request["join"], limits.BLOCK_BYTES)[2]
    elif op == "parse-ticket":
        word = given["text"].removeprefix("holoticket1")
        with contextlib.suppress(ValueError):
            yield "ticket", base64.b32decode(word.upper() + "=" * (-len(word) % 8))
    elif op == "open-successor":
        yield from (("successor", decode_envelope(bytes.fromhex(text), 1024)[2]) for text in given["envelopes"])
    elif op == "verify-bundle":
        yield "bundle", bytes.fromhex(given["bundle"])
    elif op in ("check-proof", "check-tree"):
        for text in given["nodes"]:
            yield "node", bytes.fromhex(text)
    elif op == "read-value":
        yield RULE_OF_TREE[given["tree"]], codec.encode(from_dag_json(given["value"]))


def head(length: int) -> bytes:
    """The head of a CBOR array of fewer than 256 items."""
    return bytes((0x80 | length,)) if length < 24 else bytes((0x98, length))


# Rules that only the test needs: the generic ones at their types.
MORE = """
policy-envelope = envelope<policy>
binding-envelope = envelope<binding>
policy-record = record<policy>
binding-record = record<binding>
"""
WITH_MORE = Validator((SPEC / "holo.cddl").read_text() + MORE)


@pytest.mark.parametrize(("name", "case"), [pytest.param(*item, id=item[0]) for item in vectors("valid")])
def test_valid_objects_follow_the_cddl(name: str, case: dict[str, Any]) -> None:
    for rule, data in described(case):
        result = WITH_MORE.validate(data, root_type=rule)
        assert result.valid, (rule, result.errors)


def test_nearly_every_kind_of_object_is_judged() -> None:
    judged = Counter(rule for _, case in vectors("valid") for rule, _ in described(case))
    receipts = {
        "convergence-receipt",
        "evidence-receipt",
        "equivocation",
        "omission",
        "binding-receipt",
        "policy-receipt",
        "denial-receipt",
        "resolve-receipt",
        "head",
        "log-genesis",
    }
    more = {"policy-record", "binding-record", "receipt-envelope", "bundle", "node"}
    more |= {"message", "transfer-message", "carried", "answer", "join-request", "join", "ticket", "successor"}
    assert judged.keys() >= {*RULE_OF_BYTES.values(), *RULE_OF_TREE.values(), *receipts, *more}


SHAPE_FAULTS = {"field-missing", "field-unknown", "version-unsupported", "type-mismatch"}


@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(*item, id=item[0]) for item in vectors("invalid") if item[1]["code"] in SHAPE_FAULTS],
)
def test_objects_of_another_shape_do_not_follow_the_cddl(name: str, case: dict[str, Any]) -> None:
    found = list(described(case))
    assert not all(WITH_MORE.validate(data, root_type=rule).valid for rule, data in found) or not found


def test_most_values_out_of_bounds_do_not_follow_the_cddl_either() -> None:
    judged = [
        all(WITH_MORE.validate(data, root_type=rule).valid for rule, data in found)
        for name, case in vectors("invalid")
        if case["code"] == "field-invalid" and (found := list(described(case)))
    ]
    assert len(judged) > 100
    # What CDDL cannot say: each once, rising, bounds on several texts together, a size that goes with another field.
    assert judged.count(True) <= 35


def test_the_empty_tree_follows_the_cddl() -> None:
    assert CDDL.validate(EMPTY_NODE, root_type="node").valid


def test_the_cddl_knows_every_step_outcome_and_flag() -> None:
    text = (SPEC / "holo.cddl").read_text()
    steps = text[text.index("step-code =") : text.index("; ----", text.index("step-code ="))]
    assert re.findall(r'"([a-z-]+)"', steps) == list(SENTENCES)
    (outcomes,) = re.findall(r"outcome: (.*),", text)
    assert re.findall(r'"([a-z-]+)"', outcomes) == list(OUTCOMES)
    (flags,) = re.findall(r"flags: \[(.*)\],", text)
    assert re.findall(r'"([a-z-]+)"', flags) == list(FLAGS)


def test_the_text_lists_every_step_in_its_order() -> None:
    text = (SPEC / "04-resolve.md").read_text()
    assert re.findall(r"^\| \d+ \| `([a-z-]+)`", text, re.MULTILINE) == list(SENTENCES)
    (outcomes,) = re.findall(r"^\| `outcome` \| one of (.*) \|$", text, re.MULTILINE)
    assert outcomes.split(", ") == list(OUTCOMES)


# ------------------------------------------------------------------------------------------ limits and codes

# Bounds that are nobody else's business.
PRIVATE = {"ERROR_TEXT_CHARS", "POLICIES_PARSED", "POLICIES_PARSED_BYTES"}


def protocol_limits() -> set[str]:
    """The names in limits.py above its section on requests."""
    source = Path(limits.__file__).read_text()
    return set(re.findall(r"^([A-Z_0-9]+): Final", source[: source.index("# requests")], re.MULTILINE)) - PRIVATE


def test_the_table_of_limits_is_the_code() -> None:
    rows = re.findall(
        r"^\| ([A-Z_0-9]+) \| ([0-9,]+) \| (\w+) \| .+ \|$", (SPEC / "limits.md").read_text(), re.MULTILINE
    )
    assert {name: int(value.replace(",", "")) for name, value, _ in rows} == {
        name: getattr(limits, name) for name in protocol_limits()
    }
    assert {kind for _, _, kind in rows} == {"form", "budget"}
    assert len(rows) == len({name for name, _, _ in rows})


def test_the_table_of_codes_is_the_code() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d+) \| (.+) \| (.+) \|$", (SPEC / "errors.md").read_text(), re.MULTILINE)
    assert {code: (int(status), title, fix) for code, status, title, fix in rows} == CODES


def test_every_code_the_text_names_exists() -> None:
    for path in SPEC.glob("0*.md"):
        named = set(
            re.findall(
                r"`([a-z]+(?:-[a-z]+)*-(?:invalid|unknown|unsupported|mismatch|missing|foreign))`", path.read_text()
            )
        )
        assert named - CODES.keys() <= set(), path.name


def test_every_subject_of_vectors_has_its_place_in_the_text() -> None:
    text = (SPEC / "00-conformance.md").read_text()
    rows = re.findall(r"^\| [a-z ]+ \| [\d to,]+ \| (.+) \|$", text, re.MULTILINE)
    told = [name for row in rows for name in row.split(", ")]
    assert sorted(told) == sorted({path.stem for path in (ROOT / "fixtures" / "valid").glob("*.json")})
    assert OPERATIONS


def test_links_between_documents_lead_somewhere() -> None:
    for path in [*(ROOT / "docs").rglob("*.md"), ROOT / "fixtures" / "README.md"]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"
