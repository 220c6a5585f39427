"""Section 4: bundles, and with them everything they rest on: chains, trees, receipts and heads derived again."""

from __future__ import annotations

import functools

from holo.core.bundle import make_bundle, verify_bundle
from holo.core.bundle_contents import Held, decode_contents, encode_contents
from holo.core.errors import Rejected
from holo.core.head import Anchors
from tests.core.bundles import every_outcome, sealed_world
from tests.fuzz.seeds import hexes, of_vectors
from tests.fuzz.target import Target, check_refusal
from tests.records import kid

_TRUSTED = Anchors(nodes=frozenset({kid("node"), kid("peer")}))


def _contents(data: bytes) -> None:
    assert encode_contents(decode_contents(data)) == data


def _bundle(data: bytes) -> None:
    """Verifying never raises. A bundle that is not bad is exactly what a node would make of its receipts."""
    report = verify_bundle(data, _TRUSTED)
    bad = [check for check in report.checks if check.verdict == "bad"]
    assert (report.result == "bad") == bool(bad)
    assert all(check.at and check.detail for check in bad)
    if bad:
        code = bad[0].detail.partition(":")[0]
        refusal = Rejected(code, bad[0].detail)
        check_refusal(refusal)
        raise refusal
    contents = decode_contents(data)
    assert len(report.receipts) == len(contents.receipts)
    assert make_bundle(contents.receipts.values(), Held(contents)) == data


@functools.cache
def _seeds() -> list[bytes]:
    made = [make_bundle([receipt], node) for node, receipt in every_outcome().values()]
    node = sealed_world()
    made.append(make_bundle([node.resolve("acme/app:stable"), *node.receipts], node))
    return [*of_vectors("verify-bundle", hexes("bundle")), *made]


TARGETS = (
    Target("bundle", _bundle, _seeds, 32768, structured=True),
    Target("bundle-contents", _contents, _seeds, 32768, structured=True),
)
