"""A child process that commits keys one by one and says after each what it was told: ``python -m tests.store.commits``.

Arguments: the environment's directory, how many commits, bytes per value, and ``durable`` or ``careless``; the careless
one opens LMDB without its syncs, to show that the proof of durability can fail.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import lmdb

from holo.core.errors import HoloError
from holo.store.environment import Environment

MAP_BYTES = 64 * 1024 * 1024


def main(directory: Path, commits: int, value_bytes: int, how: str) -> None:
    """Commit and answer, ``commits`` times."""
    if how == "careless":
        with lmdb.Environment(str(directory), map_size=MAP_BYTES, max_dbs=1, sync=False) as env:
            database = env.open_db(b"keys")
            with env.begin(write=True) as txn:
                txn.put(b"0", bytes(value_bytes), db=database)
            os.write(1, b"ok 0\n")
        return
    environment = Environment(directory, ["keys"], map_bytes=MAP_BYTES, free_reserve_bytes=0)
    for index in range(commits):
        try:
            with environment.write() as writer:
                writer.put("keys", b"%d" % index, bytes(value_bytes))
        except HoloError as error:
            os.write(1, f"{type(error).__name__}:{error.code} {index}\n".encode())
        else:
            os.write(1, b"ok %d\n" % index)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
