"""The threat model says only what is there: tests that exist, sections, limits and settings that are so called."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import msgspec
import pytest

from holo.core import limits
from holo.profile import load_profile
from tests.test_readme import PROJECT

MODEL = PROJECT / "docs" / "threat-model.md"
TEXT = MODEL.read_text(encoding="utf-8")
LINK = re.compile(r"\[([^\]]*)\]\(([^)]*)\)")


def part(heading: str) -> str:
    """What stands under a heading."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, its head left out."""
    lines = [line for line in part(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@cache
def functions(path: Path) -> frozenset[str]:
    """The functions a file defines, in classes too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def named_in(row: list[str]) -> list[tuple[str, Path]]:
    """The tests a row names: (function, file)."""
    links = [link for cell in row for link in LINK.findall(cell)]
    return [(words.strip("`"), (MODEL.parent / target).resolve()) for words, target in links if "/tests/" in target]


PROMISES = rows("Guarantees") + rows("Resource abuse") + rows("Hostile peers")


@pytest.mark.parametrize("row", PROMISES, ids=lambda row: str(row[0])[:40])
def test_every_promise_has_tests_and_they_exist(row: list[str]) -> None:
    found = named_in(row)
    assert found, "a promise without a test"
    for function, path in found:
        assert path.is_file(), path
        assert function.startswith("test_")
        assert function in functions(path), f"{path.name} has no {function}"


def test_every_attack_of_a_peer_has_a_test_of_its_name() -> None:
    for attack, *_, tests in rows("Hostile peers"):
        words = attack.partition(":")[0].replace("-", "_").replace(" ", "_")
        assert any(function.startswith(f"test_{words}") for function, _ in named_in([tests])), attack


def test_every_link_leads_somewhere() -> None:
    anchors = set(re.findall(r'<a id="(g\d+)"></a>', TEXT)) | {
        re.sub(r"[^a-z -]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^## (.+)$", TEXT, re.M)
    }
    for words, target in LINK.findall(TEXT):
        file, _, anchor = target.partition("#")
        if file:
            assert (MODEL.parent / file).exists(), target
        else:
            assert anchor in anchors, target
        section = re.fullmatch(r"\d\.\d+", words)
        if section:
            headings = re.findall(r"^## (\d\.\d+) ", (MODEL.parent / file).read_text(encoding="utf-8"), re.MULTILINE)
            assert words in headings, f"{file} has no section {words}"


def test_every_adversary_meets_a_guarantee_and_every_guarantee_an_adversary() -> None:
    met = [re.findall(r"\[G(\d+)\]\(#g(\d+)\)", row[2]) for row in rows("Who attacks, by what they hold")]
    assert all(words == anchor for row in met for words, anchor in row)
    made = [int(number) for number in re.findall(r"</a>G(\d+)", part("Guarantees"))]
    assert made == list(range(1, len(made) + 1))
    assert {int(words) for row in met for words, _ in row} == set(made)


def test_what_enforces_a_guarantee_is_there() -> None:
    for row in rows("Guarantees"):
        modules = re.findall(r"`([a-z_/.]+)`", row[2])
        assert modules, row[0]
        for module in modules:
            assert (PROJECT / "holo" / module).exists(), module


def test_limits_and_settings_are_called_so() -> None:
    settings = msgspec.to_builtins(load_profile("minimal-peer"))
    for name in set(re.findall(r"`([A-Z][A-Z_]+)`", TEXT)):
        assert hasattr(limits, name), name
    for key in set(re.findall(r"`((?:http|store|limits|roles)\.[a-z_.]+)`", TEXT)):
        table = settings
        for word in key.split("."):
            assert word in table, key
            table = table[word]
