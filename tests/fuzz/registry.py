"""Every target, and the module under ``tests.fuzz.targets`` that has it."""

from __future__ import annotations

from typing import Final

from tests.fuzz.target import Target
from tests.fuzz.targets import bundles, content, encoding, links, peers, profiles, requests, signed, trees

_ROOMS: Final = (encoding, signed, trees, bundles, content, peers, links, requests, profiles)

TARGETS: Final[dict[str, Target]] = {target.name: target for room in _ROOMS for target in room.TARGETS}
"""name → target."""

ROOMS: Final[dict[str, str]] = {
    target.name: room.__name__.rpartition(".")[2] for room in _ROOMS for target in room.TARGETS
}
"""name of a target → name of its module."""
