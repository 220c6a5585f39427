"""A child process that stores a path: ``python -m tests.store.puts CAM PATH``. It answers the CID or a code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from holo.core.errors import HoloError
from holo.store.cam import Cam

MAP_BYTES = 1024 * 1024 * 1024


def main(directory: Path, path: Path) -> None:
    """Store and answer."""
    cam = Cam(directory, map_bytes=MAP_BYTES, free_reserve_bytes=0)
    try:
        answer = f"stored {cam.put_path(path).cid}"
    except HoloError as error:
        answer = f"{type(error).__name__} {error.code}"
    os.write(1, answer.encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
