"""What a checkout promises about itself: locks that name no host, and a wheel that has what it needs to run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PIN = re.compile(r"([a-z0-9-]+)==\S+( ; [^\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def pins(lock: str) -> dict[str, int]:
    """How many hashes each package in a lock file has; every line has to be one of the forms it may have."""
    found: dict[str, int] = {}
    name = ""
    for line in (ROOT / "requirements" / lock).read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        pin = PIN.fullmatch(line)
        if pin:
            name = pin[1]
            found[name] = 0
        else:
            assert HASH.fullmatch(line), line
            found[name] += 1
    return found


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=~! ]", item)[0] for item in requirements}


@pytest.mark.parametrize("lock", ["run.lock", "dev.lock"])
def test_a_lock_pins_by_version_and_hash_and_names_no_host(lock: str) -> None:
    found = pins(lock)
    assert found.keys() >= names(PROJECT["project"]["dependencies"])
    assert min(found.values()) >= 1


def test_what_guides_the_fuzzers_is_locked_by_itself() -> None:
    assert pins("fuzz.lock").keys() == names(PROJECT["dependency-groups"]["fuzz"])
    assert min(pins("fuzz.lock").values()) >= 1


def test_the_wheel_carries_profiles_and_fixtures() -> None:
    shipped = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert shipped == {"profiles": "holo/profiles", "fixtures": "holo/fixtures"}
    for folder in shipped:
        assert any((ROOT / folder).iterdir())


def test_every_target_has_its_line_of_help() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    declared = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert declared is not None
    helped = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert set(declared[1].split()) == helped
    assert helped >= {"demo", "test", "lint", "type", "vectors", "fmt", "dist", "clean", "help"}


def test_every_dependency_is_used() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "holo").rglob("*.py"))
    imported = set(re.findall(r"^\s*(?:import|from) ([a-z0-9_]+)", sources, re.MULTILINE))
    known_as = {"pynacl": "nacl", "quart-trio": "quart_trio"}
    needed = names(PROJECT["project"]["dependencies"])
    assert {known_as.get(name, name) for name in needed} <= imported
