"""What is kept of searches: one file a target under fixtures/fuzz/, with every finding and a minimised corpus."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.seeds import FIXTURES

FOLDER = FIXTURES / "fuzz"


@dataclass
class Kept:
    """``findings``: what was wrong, in a few words → the input that showed it. ``inputs``: each took another way."""

    findings: dict[str, bytes] = field(default_factory=dict)
    inputs: list[bytes] = field(default_factory=list)


def path_of(name: str) -> Path:
    """The file of the target ``name``."""
    return FOLDER / f"{name}.json"


def read(name: str) -> Kept:
    """What is kept for the target ``name``; nothing where there is no file yet."""
    path = path_of(name)
    if not path.is_file():
        return Kept()
    held = json.loads(path.read_text("utf-8"))
    findings = {what: bytes.fromhex(text) for what, text in held["findings"].items()}
    return Kept(findings, [bytes.fromhex(text) for text in held["inputs"]])


def write(name: str, kept: Kept) -> None:
    """Keep ``kept`` for the target ``name``: one input a line, short ones first."""
    held = {
        "findings": {what: data.hex() for what, data in kept.findings.items()},
        "inputs": [data.hex() for data in in_order(kept.inputs)],
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    path_of(name).write_text(json.dumps(held, indent=1) + "\n", "utf-8")


def in_order(inputs: Iterable[bytes]) -> list[bytes]:
    """Each input once, short ones first."""
    return sorted(set(inputs), key=lambda data: (len(data), data))
