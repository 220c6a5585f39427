"""The bounds of a running node against what is written of them: each is told, and each has a test that meets it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from holo.core import limits
from holo.profile import Http

ROOT = Path(__file__).resolve().parents[1]
OPERATING = (ROOT / "docs" / "operating.md").read_text()
ROWS = re.findall(r"^\| ([A-Z_0-9]+) \| ([0-9.,]+) \| .+ \| .+ \| `(.+)` \|$", OPERATING, re.MULTILINE)


_NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def names() -> list[str]:
    """The names in limits.py from its section on requests on."""
    source = Path(limits.__file__).read_text()
    return re.findall(r"^([A-Z_0-9]+): Final", source[source.index("# requests") :], re.MULTILINE)


def test_every_bound_is_told_once_with_its_value() -> None:
    told = [(name, float(value.replace(",", ""))) for name, value, _ in ROWS]
    assert sorted(told) == sorted((name, float(getattr(limits, name))) for name in names())


@pytest.mark.parametrize(("name", "place"), [(name, place) for name, _, place in ROWS])
def test_every_bound_has_a_test(name: str, place: str) -> None:
    file, *path = place.split("::")
    found: ast.AST = ast.parse((ROOT / file).read_text())
    for part in path:
        assert isinstance(found, ast.Module | ast.ClassDef)
        named = {
            item.name: item
            for item in found.body
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        assert part in named, f"{name}: no {part} in {file}"
        found = named[part]
    assert isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef)
    assert found.name.startswith("test_")


@pytest.mark.parametrize("name", names())
def test_every_bound_is_used(name: str) -> None:
    assert any(
        re.search(rf"\b{name}\b", path.read_text())
        for path in (ROOT / "holo").rglob("*.py")
        if path.name != "limits.py"
    ), f"nothing is bounded by {name}"


def test_the_settings_of_the_listener_are_told_with_their_defaults() -> None:
    rows = re.findall(r"^\| `http\.(\w+)` \| ([0-9,]+) \| .+ \| .+ \|$", OPERATING, re.MULTILINE)
    numbers = {name: value for name in Http.__struct_fields__ if type(value := getattr(Http(), name)) is int}
    assert {name: int(value.replace(",", "")) for name, value in rows} == numbers
