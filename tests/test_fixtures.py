"""Every golden vector, replayed through holo's public functions; and the files themselves."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from holo.core.errors import CODES, HoloError
from tests.replay import OPERATIONS

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"

# file (without .json): how many vectors it has at least. Adding some is fine; losing one is not.
VALID = {
    "addresses": 4, "joins": 3, "leaves": 4, "link-answers": 2, "successors": 9, "tickets": 2,
    "answers": 5, "carried-records": 4, "comparisons": 7, "messages": 19, "transfers": 10,
    "admissions": 32, "bindings": 13, "bundles": 13, "catalogs": 2, "chains": 21, "cids": 12, "codec": 32,
    "consumer-policies": 3, "decisions": 40, "envelopes": 6, "evidence": 10, "globs": 29, "heads": 13, "ignores": 25,
    "keys": 11, "logs": 28, "mailboxes": 9, "manifests": 9, "merges": 26, "names": 11, "namespace-states": 3,
    "packs": 8, "policies": 3, "policy-steps": 16, "receipts": 20, "settling": 19, "signatures": 9, "tree-diffs": 10,
    "tree-proofs": 15, "tree-values": 5, "trees": 25,
}  # fmt: skip
INVALID = {
    "addresses": 11, "joins": 18, "leaves": 8, "link-answers": 7, "successors": 13, "tickets": 16,
    "answers": 6, "carried-records": 13, "comparisons": 12, "messages": 70, "transfers": 18,
    "admissions": 18, "bindings": 42, "bundles": 16, "catalogs": 8, "cids": 17, "codec": 55, "consumer-policies":
    26, "decisions": 21, "envelopes": 50, "evidence": 46, "globs": 10, "heads": 30, "ignores": 11, "keys": 22,
    "logs": 20, "manifests": 18, "names": 30, "namespace-states": 20, "packs": 32, "policies": 55,
    "policy-steps": 21, "receipts": 100, "signatures": 17, "tree-proofs": 12, "tree-values": 17, "trees": 32,
}  # fmt: skip


def load(folder: str) -> dict[str, dict[str, Any]]:
    files = {path.stem: json.loads(path.read_text()) for path in sorted((FIXTURES / folder).glob("*.json"))}
    for file in files.values():
        for case in file["cases"] if "records" in file else ():
            case["input"]["records"] = file["records"]
    return files


FILES = {folder: load(folder) for folder in ("valid", "invalid")}


def cases(folder: str) -> list[Any]:
    return [
        pytest.param(case, id=f"{name}/{case['name']}")
        for name, file in FILES[folder].items()
        for case in file["cases"]
    ]


@pytest.mark.parametrize("case", cases("valid"))
def test_valid(case: dict[str, Any]) -> None:
    found = OPERATIONS[case["op"]](case["input"])
    if case["op"] == "build-tree" and "nodes" not in case["result"]:
        del found["nodes"]  # only roots are written down for large trees
    assert found == case["result"]


@pytest.mark.parametrize("case", cases("invalid"))
def test_invalid(case: dict[str, Any]) -> None:
    with pytest.raises(HoloError) as refused:
        OPERATIONS[case["op"]](case["input"])
    assert refused.value.code == case["code"]


@pytest.mark.parametrize(("folder", "least"), [("valid", VALID), ("invalid", INVALID)])
def test_no_vector_was_lost(folder: str, least: dict[str, int]) -> None:
    counts = {name: len(file["cases"]) for name, file in FILES[folder].items()}
    assert counts.keys() == least.keys()
    assert {name: count for name, count in counts.items() if count < least[name]} == {}


def test_every_operation_is_used_and_told() -> None:
    used = {case["op"] for files in FILES.values() for file in files.values() for case in file["cases"]}
    assert used == OPERATIONS.keys()
    told = set(re.findall(r"^\| `([a-z-]+)` \|", (FIXTURES / "README.md").read_text(), re.MULTILINE))
    assert told == used


def test_every_file_says_what_it_is_about_and_names_each_case_once() -> None:
    for files in FILES.values():
        for file in files.values():
            assert file["about"].endswith(".")
            names = Counter(case["name"] for case in file["cases"])
            assert [name for name, times in names.items() if times > 1] == []


def test_every_invalid_vector_is_one_change_of_a_valid_one() -> None:
    valid = {f"{name}/{case['name']}": case for name, file in FILES["valid"].items() for case in file["cases"]}
    for file in FILES["invalid"].values():
        for case in file["cases"]:
            assert case["code"] in CODES
            assert case["change"]
            origin = valid[case["of"]]
            assert origin["op"] == case["op"] or origin["result"], case["name"]
            assert origin["input"] != case["input"]


def test_the_whole_is_small_enough_to_travel() -> None:
    assert sum(path.stat().st_size for path in FIXTURES.rglob("*.json")) < 2_700_000
