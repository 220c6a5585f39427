"""Asking several nodes one question: the decision that enough of them give, byte for byte, and one bundle of all.

A node counts once, however many addresses of it are named, and with a receipt that it signed. A node that cannot be
asked, that is not believed or that decides otherwise is told of and passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from holo.cli.invocation import Invocation
from holo.cli.opening import endpoint_of, open_each, told_of
from holo.cli.resolve import Reader, ask_for_proof, write_bundle
from holo.client import Client, Endpoint
from holo.core.bundle import merge_bundles, verify_bundle
from holo.core.errors import HoloError, Rejected
from holo.core.head import Anchors
from holo.core.keys import Kid, did_of
from holo.core.names import Name
from holo.http.types import Resolved

_OURS: Final = frozenset({"usage", "name-invalid", "genesis-foreign"})


@dataclass(frozen=True, slots=True)
class _Told:
    """What one node decided, and its proof."""

    endpoint: Endpoint
    node: Kid
    found: Resolved
    bundle: bytes


def ask_nodes(
    invocation: Invocation, name: Name, policy: Reader, demanded: int, bundle_file: Path | None = None
) -> Resolved:
    """The decision that ``demanded`` of the nodes named give; they are asked in order until there are so many.

    With ``bundle_file`` the receipts of those that agree are written there as one bundle. Raises ``nodes-disagree``
    where fewer give the same, and what every node failed with where none gives any.
    """
    told: list[_Told] = []
    failed: list[dict[str, Any]] = []
    last: HoloError | None = None
    invocation.asked = lambda: _asked(told, failed, demanded)
    with open_each(invocation) as clients:
        for client, text in zip(clients, invocation.nodes, strict=True):
            endpoint = endpoint_of(invocation.home, text)
            try:
                told.append(_ask(invocation, client, endpoint, name, policy, told))
            except HoloError as error:
                if error.code in _OURS:
                    raise
                last = error
                failed.append(told_of(endpoint, None, "passed-over", error.code, error.detail))
                detail = error.detail.removeprefix(f"{endpoint.url}: ")
                invocation.warn(f"{endpoint.url}: {error.code}: {detail}; passed over")
                continue
            if len(_largest(told)) == demanded:
                break
    if not told:
        assert last is not None
        raise last
    agreed = _largest(told)
    for item in told:
        if item not in agreed:
            invocation.warn(f"{item.endpoint.url}: decides otherwise: {_word(item.found)}; passed over")
    if len(agreed) < demanded:
        words = "; ".join(f"{item.endpoint.url}: {_word(item.found)}" for item in told)
        raise HoloError("nodes-disagree", f"{len(agreed)} of {demanded} nodes agree: {words}", subject=str(name))
    bundle = _merged(agreed)
    if bundle_file is not None:
        write_bundle(invocation, bundle_file, bundle)
    invocation.say(f"{len(agreed)} nodes agree")
    return agreed[0].found


def _ask(
    invocation: Invocation, client: Client, endpoint: Endpoint, name: Name, policy: Reader, told: Sequence[_Told]
) -> _Told:
    found, bundle = ask_for_proof(invocation, client, name, policy)
    node = client.kid()
    if any(item.node == node for item in told):
        raise Rejected("nodes-disagree", f"{did_of(node)} was asked already, and counts once", subject=endpoint.url)
    return _Told(endpoint, node, found, bundle)


def _largest(told: Sequence[_Told]) -> list[_Told]:
    """The most nodes that give one decision; of several such decisions, the one of the node named first."""
    by_decision: dict[str, list[_Told]] = {}
    for item in told:
        by_decision.setdefault(item.found.decision, []).append(item)
    return max(by_decision.values(), key=len)


def _merged(agreed: Sequence[_Told]) -> bytes:
    """The bundle of all their receipts, checked as whoever gets it will check it."""
    bundle = merge_bundles([item.bundle for item in agreed])
    report = verify_bundle(bundle, Anchors(nodes=frozenset(item.node for item in agreed)))
    bad = next((check for check in report.checks if check.verdict in ("bad", "open")), None)
    if bad is not None:
        raise Rejected("bundle-invalid", f"{bad.code}: {bad.detail}", at=bad.at)
    return bundle


def _asked(told: Sequence[_Told], failed: Sequence[dict[str, Any]], demanded: int) -> list[dict[str, Any]]:
    agreed = _largest(told) if told else []
    items = [
        told_of(item.endpoint, item.node, "agrees" if item in agreed else "disagrees", None, _word(item.found))
        for item in told
    ]
    return [*items, *failed]


def _word(found: Resolved) -> str:
    return f"{found.outcome} {found.cid}" if found.cid else found.outcome
