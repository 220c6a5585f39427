"""A child process that extracts a content: ``python -m tests.store.extracts CAM CID DESTINATION``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from holo.core.cid import Cid
from holo.core.errors import HoloError
from holo.store.cam import Cam
from tests.store.puts import MAP_BYTES


def main(directory: Path, cid: Cid, destination: Path) -> None:
    """Extract and answer how many files, or the error's code."""
    cam = Cam(directory, map_bytes=MAP_BYTES, free_reserve_bytes=0, readonly=True)
    try:
        answer = f"extracted {cam.extract(cid, destination).files}"
    except HoloError as error:
        answer = f"{type(error).__name__} {error.code}"
    os.write(1, answer.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Cid.parse(sys.argv[2]), Path(sys.argv[3]))
