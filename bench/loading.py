"""Loading a corpus into a home, once: ``python -m bench load``.

Every policy and binding is really signed and goes in by :meth:`Store.commit`, so that the store is what a node would
have made of the same records. Two things are left out that a node does: the records do not come over HTTP, and the
signatures that the loader itself has just made are not verified again. Heads are signed as it goes, one a commit.

A loaded home is kept under ``build/bench``, in a folder named after what decides its bytes: the store's schema, the
corpus and :data:`VERSION`. A load that was interrupted goes on where it stopped, for a commit is of whole namespaces.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Final

from blake3 import blake3

from bench.corpus import AT_MS, Corpus, namespace
from holo.core.binding import parse_binding
from holo.core.policy import parse_policy
from holo.store.home import Home
from holo.store.keyring import NODE, own_key
from holo.store.ledger import BindingSubmission, Outcome, PolicySubmission, Submission
from holo.store.store import SCHEMA, Request, Store

VERSION: Final = 1
"""Raise it where the same corpus would load as other bytes."""

BUILD: Final = Path(__file__).parents[1] / "build" / "bench"

_NAMESPACES_PER_COMMIT: Final = 64
_FREE_RESERVE_BYTES: Final = 1 << 30
_LINE_EVERY_S: Final = 10.0


def home_of(corpus: Corpus, build: Path = BUILD) -> Home:
    """Where the loaded home of ``corpus`` lies, or would."""
    key = f"{VERSION} {SCHEMA} {corpus.namespaces} {corpus.names_per_namespace} {corpus.seed}"
    folder = f"{corpus.bindings}-in-{corpus.namespaces}-{blake3(key.encode()).hexdigest(4)}"
    return Home(build / folder / "home")


def is_loaded(home: Home) -> bool:
    """Whether a load into ``home`` was finished."""
    return _mark(home).exists()


def load(corpus: Corpus, build: Path = BUILD, *, signing_processes: int = 1) -> Home:
    """The home with all of ``corpus`` in it: the one that is there, or one made, or finished, now."""
    home = home_of(corpus, build)
    if is_loaded(home):
        return home
    with home.create().lock():
        store = Store(home.records, own_key(home, NODE), clock_ms=lambda: AT_MS, free_reserve_bytes=_FREE_RESERVE_BYTES)
        try:
            _load(store, corpus, signing_processes)
        finally:
            store.close()
    _mark(home).touch()
    return home


def _load(store: Store, corpus: Corpus, signing_processes: int) -> None:
    missing = [batch for batch in _batches(corpus) if not _holds(store, batch)]
    progress = _Progress(corpus, done=corpus.namespaces - sum(map(len, missing)))
    for batch, submissions in _signed(corpus, missing, signing_processes):
        (results,) = store.commit([Request(submissions)])
        refused = [item for item in results if not isinstance(item, Outcome)]
        if refused:
            raise refused[0]
        store.make_head()
        progress.advance(len(batch))


def _batches(corpus: Corpus) -> Iterator[range]:
    """The namespaces of each commit."""
    for first in range(0, corpus.namespaces, _NAMESPACES_PER_COMMIT):
        yield range(first, min(first + _NAMESPACES_PER_COMMIT, corpus.namespaces))


def _holds(store: Store, batch: range) -> bool:
    """Whether ``batch`` was committed: all of it was, where one of its namespaces is there."""
    with store.view() as view:
        return view.records.namespace(namespace(batch[0])) is not None


def _signed(corpus: Corpus, batches: list[range], processes: int) -> Iterator[tuple[range, list[Submission]]]:
    """Each batch with what is to be committed of it, in order; several are signed in processes beside this one."""
    if len(batches) == 1:
        yield batches[0], _sign(corpus, batches[0])
        return
    waiting: deque[tuple[range, Future[list[Submission]]]] = deque()
    # Spawned, not forked: the store's LMDB environment must not be open in a child.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for batch in batches:
            waiting.append((batch, pool.submit(_sign, corpus, batch)))
            if len(waiting) > 2 * processes:  # more would pile up in memory where signing is the faster
                following, future = waiting.popleft()
                yield following, future.result()
        for following, future in waiting:
            yield following, future.result()


def _sign(corpus: Corpus, batch: range) -> list[Submission]:
    """The submissions of some namespaces: of each, its policy and then its bindings."""
    submissions: list[Submission] = []
    for at in batch:
        record = corpus.policy(at)
        submissions.append(PolicySubmission(parse_policy(record.statement), record))
        for record in corpus.bindings_of(at):
            submissions.append(BindingSubmission(parse_binding(record.statement), record))
    return submissions


def _mark(home: Home) -> Path:
    return home.path.parent / "loaded"


class _Progress:
    """Says on stderr how far a load is: in place on a terminal, elsewhere in a line now and then."""

    def __init__(self, corpus: Corpus, done: int) -> None:
        self._corpus = corpus
        self._before = self._done = done
        self._began = self._said = time.monotonic()

    def advance(self, namespaces: int) -> None:
        """So many namespaces more are on the disk."""
        self._done += namespaces
        now = time.monotonic()
        terminal = sys.stderr.isatty()
        last = self._done == self._corpus.namespaces
        if not (terminal or last or now - self._said > _LINE_EVERY_S):
            return
        self._said = now
        names = self._corpus.names_per_namespace
        rate = (self._done - self._before) * names / (now - self._began)
        left_s = (self._corpus.namespaces - self._done) * names / rate
        text = (
            f"{self._done * names:,} of {self._corpus.bindings:,} bindings, {rate:,.0f} a second, {left_s:.0f} s left"
        )
        sys.stderr.write(f"\rloaded {text} " if terminal else f"loaded {text}\n")
        if terminal and last:
            sys.stderr.write("\n")
        sys.stderr.flush()
