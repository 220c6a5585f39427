"""Keys and signed records for store tests: one namespace, a few people, nothing clever."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holo.core.binding import open_binding
from holo.core.cid import RAW, Cid
from holo.core.envelope import Statement, make_record, make_statement
from holo.core.keys import SigningKey
from holo.core.policy import open_policy
from holo.store.ledger import BindingSubmission, Outcome, PolicySubmission, Submission
from holo.store.store import Request, Result, Store

ROOT, RECOVERY, ALICE, BOB, CAROL, NODE = (SigningKey(bytes([number]) * 32) for number in range(1, 7))


def policy(
    *signers: SigningKey,
    seq: int = 0,
    prev: Cid | None = None,
    two_for: Sequence[str] = (),
    seal: Cid | None = None,
    ns: str = "acme",
) -> Statement:
    """A policy whose ``signers`` may write everything and whose tags ``two_for`` need two of them."""
    return make_statement(
        {
            "v": 1,
            "type": "policy",
            "ns": ns,
            "seq": seq,
            "prev": prev,
            "roots": {"keys": [ROOT.kid], "threshold": 1},
            "recovery": {"keys": [RECOVERY.kid], "threshold": 1},
            "signers": [{"key": key.kid, "handles": ["*"], "tags": ["*"]} for key in signers],
            "thresholds": [{"tags": list(two_for), "count": 2}] if two_for else [],
            "oidc": [],
            "issuers": [],
            "ceilings": {},
            "seal": seal,
        }
    )


def binding(genesis: Statement, handle: str, rev: int, content: bytes | None, **fields: Any) -> Statement:
    """A binding of ``acme/handle:stable`` to a raw blob, or a yank; ``fields`` override what it says."""
    value = {
        "v": 1,
        "type": "binding",
        "ns": genesis.value["ns"],
        "genesis": genesis.id,
        "handle": handle,
        "tag": "stable",
        "rev": rev,
        "prev": [],
        "cid": None if content is None else Cid.of(RAW, content),
        "policy": genesis.id,
        "at_ms": 0,
        "meta": {},
    }
    return make_statement({**value, **fields})


def submit(statement: Statement, *keys: SigningKey, nodes: Sequence[bytes] = (), cas: bool = False) -> Submission:
    """The submission of ``statement`` endorsed by ``keys``, verified as a node would."""
    envelopes = make_record(statement, *keys).envelopes()
    if statement.type == "policy":
        return PolicySubmission(*open_policy(envelopes), nodes=tuple(nodes))
    return BindingSubmission(*open_binding(envelopes), compare_and_swap=cas)


def commit(store: Store, *submissions: Submission) -> list[Result]:
    """What became of each, in one transaction."""
    (results,) = store.commit([Request(submissions)])
    return results


def admitted(store: Store, *submissions: Submission) -> list[Outcome]:
    """The outcomes of submissions none of which may be refused."""
    results = commit(store, *submissions)
    assert all(isinstance(item, Outcome) for item in results), results
    return [item for item in results if isinstance(item, Outcome)]


def open_store(path: Path, **settings: Any) -> Store:
    """A store of :data:`NODE` in ``path`` whose clock stands still unless ``settings`` bring one."""
    return Store(path, NODE, **{"clock_ms": lambda: 1_000, "map_bytes": 1 << 28, **settings})
