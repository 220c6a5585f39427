"""A few requests of every kind that the OpenAPI document allows, and some it does not; `make fuzz` tries more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import api


@pytest.mark.slow
def test_what_is_answered_is_what_the_document_says(tmp_path: Path) -> None:
    assert api.try_some(tmp_path / "api"), (tmp_path / "api" / "log").read_text("utf-8")
