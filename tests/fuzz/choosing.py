"""Which inputs are worth keeping: those that take holo's code along a way that none before them took."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tests.fuzz.corpus import in_order
from tests.fuzz.target import Target, accepts

_ROOM: Final = str(Path(__file__).resolve().parents[2] / "holo")

Step = tuple[str, int, int]
"""A file, and two lines of it that were run one after the other."""


def choose(target: Target, known: Iterable[bytes], found: Iterable[bytes], most: int, most_bytes: int) -> list[bytes]:
    """Of ``found``, short ones first, at most so many of so many bytes together, what goes beyond ``known``."""
    taken: set[Step] = set()
    for data in known:
        taken |= steps_of(target, data)
    chosen: list[bytes] = []
    for data in in_order(found):
        most_bytes -= len(data)
        if len(chosen) == most or most_bytes < 0:
            break
        steps = steps_of(target, data)
        if steps <= taken:
            most_bytes += len(data)
        else:
            taken |= steps
            chosen.append(data)
    return chosen


def steps_of(target: Target, data: bytes) -> set[Step]:
    """The steps that holo's code takes on ``data``."""
    steps: set[Step] = set()
    last: dict[int, int] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(_ROOM):
            return None
        steps.add((file, last.get(id(frame), 0), frame.f_lineno))
        last[id(frame)] = 0 if event == "return" else frame.f_lineno
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        accepts(target, data)
    finally:
        sys.settrace(before)
    return steps
