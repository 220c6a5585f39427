"""Bindings and policies as their authors make them: the statement to sign, right by construction (spec section 2).

What comes out has been read back by the same parser that judges what strangers send, so an author learns of a mistake
before anything is signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from holo.core import binding, policy
from holo.core.binding import Binding
from holo.core.cid import Cid
from holo.core.envelope import make_statement
from holo.core.names import Name
from holo.core.policy import KeySet, Policy, Signer, Threshold


def draft_binding(
    name: Name,
    *,
    genesis: Cid,
    policy: Cid,
    rev: int,
    prev: Sequence[Cid],
    cid: Cid | None,
    at_ms: int,
    reason: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Binding:
    """The binding of ``name`` to ``cid``, or the yank where that is None. Raises what :func:`parse_binding` raises."""
    value: dict[str, Any] = {
        "v": 1,
        "type": binding.TYPE,
        "ns": name.namespace,
        "genesis": genesis,
        "handle": name.handle,
        "tag": name.tag,
        "rev": rev,
        "prev": list(prev),
        "cid": cid,
        "policy": policy,
        "at_ms": at_ms,
        "meta": dict(meta or {}),
    }
    if reason is not None:
        value["reason"] = reason
    return binding.parse_binding(make_statement(value))


def draft_policy(
    ns: str,
    *,
    roots: KeySet,
    recovery: KeySet,
    signers: Iterable[Signer],
    thresholds: Iterable[Threshold] = (),
    parent: Policy | None = None,
    seal: Cid | None = None,
) -> Policy:
    """The genesis of ``ns``, or the successor of ``parent``. Raises what :func:`parse_policy` raises.

    A successor keeps its parent's oidc rules, issuers and ceilings.
    """
    kept: Mapping[str, Any] = parent.statement.value if parent else {"oidc": [], "issuers": [], "ceilings": {}}
    value = {
        "v": 1,
        "type": policy.TYPE,
        "ns": ns,
        "seq": parent.seq + 1 if parent else 0,
        "prev": parent.id if parent else None,
        "roots": _key_set(roots),
        "recovery": _key_set(recovery),
        "signers": [
            {"key": bytes(item.key), "handles": list(item.handles), "tags": list(item.tags)} for item in signers
        ],
        "thresholds": [{"tags": list(item.tags), "count": item.count} for item in thresholds],
        "oidc": kept["oidc"],
        "issuers": kept["issuers"],
        "ceilings": kept["ceilings"],
        "seal": seal,
    }
    return policy.parse_policy(make_statement(value))


def _key_set(keys: KeySet) -> dict[str, Any]:
    return {"keys": [bytes(key) for key in keys.keys], "threshold": keys.threshold}
