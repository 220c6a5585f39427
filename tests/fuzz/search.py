"""Coverage-guided searches: ``python -m tests.fuzz.search ROOM``, with a job a line on standard input. Needs atheris.

A job is JSON: ``{"target": name, "options": [libFuzzer's], "log": file}``. Each is run in a process of its own, since
libFuzzer ends the one it is in; they are forked from this one, since every module that is imported has to be
instrumented first, which takes longer than many a search. After each, a line of JSON says ``[name, exit status]``.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

with atheris.instrument_imports(include=["holo", "h11", "tomllib"]):
    room = importlib.import_module(f"tests.fuzz.targets.{sys.argv[1]}")

from tests.fuzz import corpus
from tests.fuzz.mutation import mutate
from tests.fuzz.target import Target, accepts

_BITS_INSTEAD = 4  # one mutation in so many is of bits, which finds what no value can be
_GOOD_INSTEAD = 2  # and one of good input: what libFuzzer collects are mostly ways of being refused


def search(target: Target, options: list[str]) -> None:
    """Search until the options say otherwise. Does not return."""
    seeds = [*target.seeds(), *corpus.read(target.name).inputs]
    good = [data for data in seeds if accepts(target, data)]

    def change(data: bytes, limit_bytes: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if good and rng.randrange(_GOOD_INSTEAD) == 0:
            data = rng.choice(good)
        if rng.randrange(_BITS_INSTEAD):
            made = mutate(data, limit_bytes, rng, seeds)
            if made is not None:
                return made
        changed: bytes = atheris.Mutate(data, limit_bytes)
        return changed

    def run(data: bytes) -> None:
        accepts(target, data)

    atheris.Setup([sys.argv[0], *options], run, **({"custom_mutator": change} if target.structured else {}))
    atheris.Fuzz()


def main() -> None:
    """Run the jobs, one after the other."""
    targets = {target.name: target for target in room.TARGETS}
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if not child:
            with open(job["log"], "wb") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            search(targets[job["target"]], job["options"])
            os._exit(1)
        _, status = os.waitpid(child, 0)
        print(json.dumps([job["target"], os.waitstatus_to_exitcode(status)]), flush=True)


if __name__ == "__main__":
    main()
