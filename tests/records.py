"""Keys, policies and bindings for tests, the same bytes in every run. What they say need not be valid."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from blake3 import blake3

from holo.core.cid import RAW, Cid
from holo.core.envelope import Record, make_record, make_statement
from holo.core.keys import Kid, SigningKey
from holo.core.names import Name
from holo.core.policy import Policy

AT_MS = 1_700_000_000_000

Globs = tuple[Sequence[str], Sequence[str]]
EVERYTHING: Globs = (("*",), ("*",))


@functools.cache
def key(name: str) -> SigningKey:
    """The key of that name, the same in every run."""
    return SigningKey(blake3(b"key of " + name.encode()).digest())


def kid(name: str) -> Kid:
    """The public half of `key(name)`."""
    return key(name).kid


def content(text: str) -> Cid:
    """The CID of some content."""
    return Cid.of(RAW, text.encode())


def policy_record(
    ns: str,
    parent: Policy | None = None,
    *,
    roots: Sequence[str] = ("root",),
    root_threshold: int = 1,
    recovery: Sequence[str] = ("recovery",),
    recovery_threshold: int = 1,
    signers: Mapping[str, Globs] | None = None,
    thresholds: Sequence[tuple[Sequence[str], int]] = (),
    seal: Cid | None = None,
    by: Sequence[str] = ("root",),
) -> Record:
    """A policy, a genesis where `parent` is None, endorsed by the keys named in `by`. It need not be valid."""
    value = {
        "v": 1,
        "type": "policy",
        "ns": ns,
        "seq": parent.seq + 1 if parent else 0,
        "prev": parent.id if parent else None,
        "roots": {"keys": [bytes(kid(name)) for name in roots], "threshold": root_threshold},
        "recovery": {"keys": [bytes(kid(name)) for name in recovery], "threshold": recovery_threshold},
        "signers": [
            {"key": bytes(kid(name)), "handles": list(handles), "tags": list(tags)}
            for name, (handles, tags) in (signers if signers is not None else {"alice": EVERYTHING}).items()
        ],
        "thresholds": [{"tags": list(tags), "count": count} for tags, count in thresholds],
        "oidc": [],
        "issuers": [],
        "ceilings": {},
        "seal": seal,
    }
    return make_record(make_statement(value), *(key(name) for name in by))


def binding_record(
    genesis: Cid,
    policy: Cid,
    name: str,
    cid: Cid | None,
    *,
    rev: int = 1,
    prev: Sequence[Cid] = (),
    at_ms: int = AT_MS,
    by: Sequence[str] = ("alice",),
    meta: Mapping[str, Any] | None = None,
) -> Record:
    """A binding of `name` (namespace/handle:tag) under `policy`, endorsed by the keys named in `by`."""
    parsed = Name.parse(name)
    value = {
        "v": 1,
        "type": "binding",
        "ns": parsed.namespace,
        "genesis": genesis,
        "handle": parsed.handle,
        "tag": parsed.tag,
        "rev": rev,
        "prev": list(prev),
        "cid": cid,
        "policy": policy,
        "at_ms": at_ms,
        "meta": dict(meta or {}),
    }
    return make_record(make_statement(value), *(key(who) for who in by))
