"""Where the public test vectors of other projects lie.

They are data we compare with and never ship. A test that reads them carries `@pytest.mark.oracle("<folder>")` and is
skipped, saying which folder is missing, wherever they are absent.
"""

from __future__ import annotations

import os
from pathlib import Path

_BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "oracles"


def oracles_folder() -> Path:
    """Return the folder of public vectors: HOLO_ORACLES, or `../shared/oracles` beside the checkout."""
    named = os.environ.get("HOLO_ORACLES")
    return Path(named) if named else _BESIDE_THE_CHECKOUT
