"""Records signed before they are needed, so that nobody signs while something is measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

from bench.corpus import Corpus

_PROCESSES: Final = 2
_PART: Final = 500


@dataclass(frozen=True, slots=True)
class Update:
    """A new revision of name ``number``, in ``namespace``."""

    number: int
    namespace: str
    envelope: bytes


class Updates:
    """New revisions of names all over a corpus, each following the one before it.

    Taken in order, every one of them is accepted; what was taken must therefore be published, or given back.
    """

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._revs: Counter[int] = Counter()  # name → revisions taken beyond the first
        self._next_name = 0
        self._next_namespace = 0

    def take(self, count: int) -> list[Update]:
        """The next ``count``, each of a name far from the one before it."""
        step, names = _stride(self._corpus.bindings), self._corpus.bindings
        wanted = [(self._next_name + index) * step % names for index in range(count)]
        self._next_name += count
        return self._sign(wanted)

    def take_together(self, batches: int, size: int) -> list[list[Update]]:
        """The next ``batches`` of at most ``size`` names of one namespace each."""
        step, namespaces, names = _stride(self._corpus.namespaces), self._corpus.namespaces, self._corpus
        wanted = []
        for index in range(batches):
            first = (self._next_namespace + index) * step % namespaces * names.names_per_namespace
            wanted.append(range(first, first + min(size, names.names_per_namespace)))
        self._next_namespace += batches
        signed = iter(self._sign([number for batch in wanted for number in batch]))
        return [[next(signed) for _ in batch] for batch in wanted]

    def give_back(self, updates: Sequence[Update]) -> None:
        """Return the last of what was taken, unpublished."""
        self._revs.subtract(update.number for update in updates)

    def _sign(self, numbers: list[int]) -> list[Update]:
        wanted = []
        for number in numbers:
            self._revs[number] += 1
            wanted.append((number, self._revs[number] + 1))
        parts = [wanted[at : at + _PART] for at in range(0, len(wanted), _PART)]
        if len(parts) <= 1:
            return [update for part in parts for update in sign_updates(self._corpus, part)]
        with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
            signed = pool.map(sign_updates, [self._corpus] * len(parts), parts)
            return [update for part in signed for update in part]


def sign_updates(corpus: Corpus, wanted: Sequence[tuple[int, int]]) -> list[Update]:
    """The updates of these (name, revision)."""
    signed = []
    for number, rev in wanted:
        (envelope,) = corpus.update(number, rev).envelopes()
        signed.append(Update(number, corpus.name(number).partition("/")[0], envelope))
    return signed


def _stride(names: int) -> int:
    """A step that visits every one of ``names`` once before it comes back, far from its last stop each time."""
    step = max(1, int(names * 0.6180339887))
    while math.gcd(step, names) != 1:
        step += 1
    return step
