"""The corpus of the benchmarks: the same bytes every time, and a load that goes on where it was interrupted."""

from __future__ import annotations

from pathlib import Path

from bench.corpus import Corpus
from bench.loading import home_of, is_loaded, load
from holo.core.binding import open_binding
from holo.core.cid import Cid
from holo.core.policy import open_policy
from holo.store.fsck import check_store
from holo.store.home import Home
from holo.store.keyring import NODE, own_key
from holo.store.store import Store


def test_a_corpus_is_a_function_of_its_numbers() -> None:
    one, other = Corpus(3, 8), Corpus(3, 8)
    assert [record.envelopes() for record in one.bindings_of(2)] == [
        record.envelopes() for record in other.bindings_of(2)
    ]
    assert one.policy(1).statement.id != Corpus(3, 8, seed="another").policy(1).statement.id
    assert len(set(one.names())) == one.bindings == 24


def test_every_record_of_a_corpus_is_properly_signed() -> None:
    corpus = Corpus(2, 5)
    policy, _ = open_policy(corpus.policy(1).envelopes())
    for index, record in enumerate(corpus.bindings_of(1)):
        binding, _ = open_binding(record.envelopes())
        assert binding.policy == policy.id
        assert str(binding.name) == corpus.name(5 + index)
    update, _ = open_binding(corpus.update(7, rev=3).envelopes())
    assert update.prev == (corpus.update(7).statement.id,)


def test_an_interrupted_load_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    corpus = Corpus(65, 2)  # two commits
    home = load(corpus, tmp_path / "whole")
    assert is_loaded(home)
    # The first commit alone, as where the loader was stopped after it.
    partly = home_of(corpus, tmp_path / "partly")
    first = load(Corpus(64, 2), tmp_path / "first")
    partly.path.parent.mkdir(parents=True)
    first.path.rename(partly.path)
    assert not is_loaded(partly)
    assert load(corpus, tmp_path / "partly").path == partly.path
    assert catalog_of(partly) == catalog_of(home)


def catalog_of(home: Home) -> Cid:
    """The newest head's catalog; the store has to be sound."""
    store = Store(home.records, own_key(home, NODE), clock_ms=lambda: 0, map_bytes=1 << 30)
    try:
        with store.view() as view:
            assert view.log.catalog is not None
            assert view.log.head_size == view.log.size
            assert list(check_store(view.records, store.key.kid)) == []
            return view.log.catalog
    finally:
        store.close()
