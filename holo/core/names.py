"""Names and globs (spec section 1).

``namespace/handle:tag``, optionally pinned with ``@cid``. Everything is ASCII, so no two spellings look alike and
no implementation needs Unicode tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from holo.core.cid import Cid
from holo.core.errors import Rejected
from holo.core.limits import GLOB_BYTES, HANDLE_AND_TAG_BYTES, HANDLE_SEGMENTS

DEFAULT_TAG: Final = "latest"

_SEGMENT: Final = r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"
_SEGMENTS: Final = rf"{_SEGMENT}(?:/{_SEGMENT}){{0,{HANDLE_SEGMENTS - 1}}}"
_TAG_TEXT: Final = r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}"
_NAMESPACE: Final = re.compile(_SEGMENT, re.ASCII)
_HANDLE: Final = re.compile(_SEGMENTS, re.ASCII)
_TAG: Final = re.compile(_TAG_TEXT, re.ASCII)
_GLOB: Final = re.compile(r"[A-Za-z0-9._+/-]*\*?", re.ASCII)
_NAME_CHARS_MAX: Final = 64 + 1 + HANDLE_AND_TAG_BYTES + 1 + 1 + 59


PATTERN: Final = rf"({_SEGMENT})/({_SEGMENTS})(?::({_TAG_TEXT}))?"
"""A regular expression for (namespace, handle, tag if written) of a name without a pin.

What it matches is a name, if handle and tag together are within HANDLE_AND_TAG_BYTES.
"""


@dataclass(frozen=True, slots=True)
class Name:
    """A parsed name. ``tag`` is never empty; ``cid`` is set where the reader pinned one."""

    namespace: str
    handle: str
    tag: str = DEFAULT_TAG
    cid: Cid | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The name ``text`` writes: ``namespace/handle[:tag][@cid]``.

        Raises ``name-invalid``, or ``cid-invalid`` or ``cid-unsupported`` for what follows the ``@``.
        """
        if len(text) > _NAME_CHARS_MAX:
            raise Rejected("name-invalid", f"{len(text)} characters")
        rest, at, pinned = text.partition("@")
        rest, colon, tag = rest.partition(":")
        namespace, slash, handle = rest.partition("/")
        if not slash:
            raise Rejected("name-invalid", f"{text!r} has no handle after its namespace", subject=text)
        check_name(namespace, handle, tag if colon else DEFAULT_TAG)
        return cls(namespace, handle, tag if colon else DEFAULT_TAG, Cid.parse(pinned) if at else None)

    @property
    def path(self) -> str:
        """``handle:tag``… joined as the tree key is: ``handle/tag``. A tag has no slash, so this is unambiguous."""
        return f"{self.handle}/{self.tag}"

    def __str__(self) -> str:
        pinned = f"@{self.cid}" if self.cid else ""
        return f"{self.namespace}/{self.handle}:{self.tag}{pinned}"


def check_namespace(namespace: str) -> None:
    """Raises ``name-invalid`` unless ``namespace`` is one."""
    if not _NAMESPACE.fullmatch(namespace):
        raise Rejected("name-invalid", f"namespace {namespace!r}", subject=namespace)


def check_name(namespace: str, handle: str, tag: str) -> None:
    """Raises ``name-invalid`` unless the three make a name."""
    check_namespace(namespace)
    if not _HANDLE.fullmatch(handle):
        raise Rejected("name-invalid", f"handle {handle!r}")
    if not _TAG.fullmatch(tag):
        raise Rejected("name-invalid", f"tag {tag!r}")
    if len(handle) + len(tag) > HANDLE_AND_TAG_BYTES:
        raise Rejected("name-invalid", f"handle and tag are {len(handle) + len(tag)} bytes together")


def check_glob(glob: str) -> None:
    """Raises ``glob-invalid`` unless ``glob`` is a literal, or a literal prefix and a final ``*``."""
    if not glob or len(glob) > GLOB_BYTES or not _GLOB.fullmatch(glob):
        raise Rejected("glob-invalid", f"{glob[:GLOB_BYTES]!r}")


def glob_matches(glob: str, text: str) -> bool:
    """Whether ``glob`` matches the whole of ``text``; a final ``*`` matches any bytes, ``/`` included."""
    return text.startswith(glob[:-1]) if glob.endswith("*") else text == glob


def glob_covers(outer: str, inner: str) -> bool:
    """Whether everything ``inner`` matches is matched by ``outer``."""
    if not outer.endswith("*"):
        return outer == inner
    return inner.startswith(outer[:-1])
