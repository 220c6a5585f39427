"""A real node on a loopback socket, with one namespace, and a client that checks every reply against OpenAPI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http.scene import Scene, open_scene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Return a node that hosts acme: alice writes everything, stable needs alice and bob."""
    async with open_scene(tmp_path) as found:
        yield found
