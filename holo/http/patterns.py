"""What names and ids look like, as patterns for the OpenAPI document; :mod:`holo.core` decides what they are.

Everything core accepts fits. What fits is accepted but for lengths that several parts have together.
"""

from __future__ import annotations

from typing import Final

from holo.core.limits import HANDLE_SEGMENTS

_SEGMENT: Final = "[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"
_TAG: Final = "[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}"
# 36 bytes: four that say version, codec and hash, then 32 of hash; the last letter has two bits to spare, both 0.
_CID: Final = "b(?:afkr4i|afyr4i|afir4i)[a-h][a-z2-7]{50}[aeimquy4]"

NAMESPACE: Final = f"^{_SEGMENT}$"
TAG: Final = f"^{_TAG}$"
CID: Final = f"^{_CID}$"
_UNPINNED: Final = f"{_SEGMENT}/{_SEGMENT}(?:/{_SEGMENT}){{0,{HANDLE_SEGMENTS - 1}}}(?::{_TAG})?"
UNPINNED: Final = f"^{_UNPINNED}$"
NAME: Final = f"^{_UNPINNED}(?:@{_CID})?$"
SUBJECT: Final = f"(?:{CID})|(?:{NAME})|(?:{NAMESPACE})"
