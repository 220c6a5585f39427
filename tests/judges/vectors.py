"""Read the public vectors while tests are collected, so that each case is a test with its own name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.oracles import oracles_folder


def read_vectors(folder: str, pattern: str = "**/*.json") -> dict[str, Any]:
    """The JSON files of one folder by their path in it, without the ending; none where the folder is absent."""
    found = oracles_folder() / folder
    return {
        path.relative_to(found).with_suffix("").as_posix(): json.loads(path.read_text("utf-8"))
        for path in sorted(found.glob(pattern))
    }


def each(cases: Mapping[str, Any]) -> pytest.MarkDecorator:
    """Run a test once for each case, as its argument ``case``; once, to be skipped, where there are none."""
    shown = cases or {"absent": None}
    return pytest.mark.parametrize("case", list(shown.values()), ids=list(shown))
