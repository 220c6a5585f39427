"""The paths a pack may hold (spec section 6).

A path is UTF-8, taken as it is (no normalisation), of at most 4,096 bytes: 1 to 64 components joined by ``/``.

- A component is not empty, not ``.`` or ``..``: so no path is absolute, ends in a slash or leaves its folder.
- No backslash, which some systems take for a separator, and no control character (U+0000 to U+001F, U+007F to U+009F).
- No component is the folder of a version control system, in any ASCII case: such a folder in a pack could run code on
  whoever unpacks it.

Everything else is allowed, a colon or a trailing dot too: whoever unpacks on a system that has its own idea of them
refuses there.
"""

from __future__ import annotations

import re
from typing import Final

from holo.core.errors import Rejected
from holo.core.limits import PACK_DEPTH, PACK_PATH_BYTES

VERSION_CONTROL: Final = frozenset({".bzr", ".git", ".hg", ".jj", ".pijul", ".svn", "_darcs"})

_CONTROL_OR_BACKSLASH: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_SHOWN_CHARS: Final = 200


def check_path(path: str) -> None:
    """Raises ``path-invalid`` unless a pack may hold a file of this path."""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise bad_path(path, "is not valid UTF-8") from None
    if size > PACK_PATH_BYTES:
        raise bad_path(path, f"has {size} bytes where at most {PACK_PATH_BYTES} are allowed")
    components = path.split("/")
    if len(components) > PACK_DEPTH:
        raise bad_path(path, f"has {len(components)} components where at most {PACK_DEPTH} are allowed")
    for component in components:
        if component in ("", ".", ".."):
            raise bad_path(path, f"has the component {component!r}")
        if is_version_control(component):
            raise bad_path(path, f"lies in {component!r}, which belongs to a version control system")
    if _CONTROL_OR_BACKSLASH.search(path):
        raise bad_path(path, "has a backslash or a control character")


def is_version_control(component: str) -> bool:
    """Whether a file or folder of this name belongs to a version control system and is never part of a pack."""
    return component.lower() in VERSION_CONTROL and component.isascii()


def bad_path(path: str, what: str) -> Rejected:
    """A ``path-invalid`` error about ``path``, to raise."""
    return Rejected("path-invalid", f"{path[:_SHOWN_CHARS]!r} {what}", subject=path)
