"""The signed names benchmarks work on: the same bytes from the same seed, in every run and on every machine.

A corpus is so many namespaces with so many names each. Namespace, name, key, policy and binding number *n* are
functions of *n* and the seed alone, so that a loader can start anywhere and a load generator needs no list of what is
in the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

from blake3 import blake3

from holo.core.cid import RAW, Cid
from holo.core.envelope import Record, Statement, make_record, make_statement
from holo.core.keys import SigningKey

AT_MS: Final = 1_767_225_600_000
"""When every statement says it was made."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """So many namespaces of so many names each; ``seed`` makes the keys and the contents."""

    namespaces: int
    names_per_namespace: int
    seed: str = "holo"

    TAGS: ClassVar = ("stable", "latest", "1.0.0", "1.1.0")
    """The tags of each handle."""

    @property
    def bindings(self) -> int:
        """How many names there are."""
        return self.namespaces * self.names_per_namespace

    def name(self, number: int) -> str:
        """Name ``number`` of all, as ``namespace/handle:tag``."""
        at, index = divmod(number, self.names_per_namespace)
        handle, tag = _path(index)
        return f"{namespace(at)}/{handle}:{tag}"

    def names(self) -> Iterator[str]:
        """Every name, in order."""
        return map(self.name, range(self.bindings))

    def root(self, at: int) -> SigningKey:
        """The root key of namespace ``at``."""
        return self._key("root", at)

    def signer(self, at: int) -> SigningKey:
        """The one key that may write every name of namespace ``at``."""
        return self._key("signer", at)

    def policy(self, at: int) -> Record:
        """The genesis of namespace ``at``: one root, one recovery key, one signer for everything."""
        return make_record(self._genesis(at), self.root(at))

    def bindings_of(self, at: int) -> list[Record]:
        """The first revision of every name of namespace ``at``, in order, signed."""
        genesis, signer = _genesis_of(self, at), self.signer(at)
        first = at * self.names_per_namespace
        return [
            make_record(self._binding(at, first + index, genesis, 1, ()), signer)
            for index in range(self.names_per_namespace)
        ]

    def update(self, number: int, rev: int = 2) -> Record:
        """Revision ``rev`` of name ``number``, over the one before it: a different content."""
        at = number // self.names_per_namespace
        genesis = _genesis_of(self, at)
        before: tuple[Cid, ...] = ()
        for earlier in range(1, rev):
            before = (self._binding(at, number, genesis, earlier, before).id,)
        return make_record(self._binding(at, number, genesis, rev, before), self.signer(at))

    def _genesis(self, at: int) -> Statement:
        return _policy(namespace(at), self.root(at), self._key("recovery", at), self.signer(at))

    def _binding(self, at: int, number: int, genesis: Cid, rev: int, prev: Sequence[Cid]) -> Statement:
        handle, tag = _path(number % self.names_per_namespace)
        return make_statement(
            {
                "v": 1,
                "type": "binding",
                "ns": namespace(at),
                "genesis": genesis,
                "handle": handle,
                "tag": tag,
                "rev": rev,
                "prev": list(prev),
                "cid": Cid.from_digest(RAW, self._digest(f"content {number} {rev}")),
                "policy": genesis,
                "at_ms": AT_MS,
                "meta": {"size": 1024 + number, "media_type": "application/octet-stream"},
            }
        )

    def _key(self, role: str, at: int) -> SigningKey:
        return _key_of(self._digest(f"{role} {at}"))

    def _digest(self, what: str) -> bytes:
        return blake3(f"{self.seed} {what}".encode()).digest()


def namespace(at: int) -> str:
    """The name of namespace ``at``."""
    return f"team-{at:06d}"


def _path(index: int) -> tuple[str, str]:
    """(handle, tag) of the name with this place in its namespace: four tags of each handle."""
    return f"service/{index // len(Corpus.TAGS):04d}", Corpus.TAGS[index % len(Corpus.TAGS)]


def _policy(ns: str, root: SigningKey, recovery: SigningKey, signer: SigningKey) -> Statement:
    return make_statement(
        {
            "v": 1,
            "type": "policy",
            "ns": ns,
            "seq": 0,
            "prev": None,
            "roots": {"keys": [bytes(root.kid)], "threshold": 1},
            "recovery": {"keys": [bytes(recovery.kid)], "threshold": 1},
            "signers": [{"key": bytes(signer.kid), "handles": ["*"], "tags": ["*"]}],
            "thresholds": [],
            "oidc": [],
            "issuers": [],
            "ceilings": {},
            "seal": None,
        }
    )


@lru_cache(maxsize=16384)
def _genesis_of(corpus: Corpus, at: int) -> Cid:
    return corpus._genesis(at).id


@lru_cache(maxsize=16384)
def _key_of(seed: bytes) -> SigningKey:
    return SigningKey(seed)
