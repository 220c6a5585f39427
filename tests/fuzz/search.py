"""One coverage-guided search, in a process of its own: ``python -m tests.fuzz.search ROOM TARGET LIBFUZZER_OPTION…``.

libFuzzer ends the process; its exit status says whether something was found. Needs atheris. Only the target's room is
imported, because every module that is takes time to be instrumented.
"""

from __future__ import annotations

import importlib
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


if __name__ == "__main__":
    search(next(target for target in room.TARGETS if target.name == sys.argv[2]), sys.argv[3:])
