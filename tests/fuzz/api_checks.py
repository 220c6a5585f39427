"""What schemathesis asks of every response beyond its own checks. Loaded by it, see :mod:`tests.fuzz.api`."""

from __future__ import annotations

from typing import Any

import schemathesis

from holo.core.errors import CODES

# Refusals of requests that fit the document: what was asked for contradicts itself or is not there, or what was sent
# is base64url and no record. A schema cannot say these.
_CONTRADICTIONS = frozenset({"cursor-invalid", "parameter-repeated"})
_BODY_PARTS = ("records[", "policy_cose[", "nodes[", "packs[")
_TOO_LONG_TOGETHER = "bytes together"


@schemathesis.check
def problems_are_known(ctx: Any, response: Any, case: Any) -> None:
    """A refusal is a problem with a known code, the status that goes with it, and no fault of holo."""
    if response.status_code < 400:
        return
    assert response.headers["content-type"] == ["application/problem+json"], response.headers
    problem = response.json()
    assert problem["code"] in CODES, problem
    assert problem["status"] == response.status_code, problem
    assert problem["type"] == f"/docs#{problem['code']}", problem
    assert problem["code"] != "internal", problem
    assert CODES[problem["code"]][0] == response.status_code or problem["code"] == "too-large", problem


@schemathesis.check
def what_fits_the_document_is_understood(ctx: Any, response: Any, case: Any) -> None:
    """A request made to fit the document may be refused for what it asks, never for how it is written."""
    if not case.meta.generation.mode.is_positive or response.status_code not in (400, 405, 406, 415):
        return
    if case.method.upper() != case.operation.method.upper():
        return
    problem = response.json()
    allowed = (
        problem["code"] in _CONTRADICTIONS
        or problem["at"] == "query.size"  # of a log that is not that long yet
        or (problem["at"] or "").startswith(_BODY_PARTS)
        or _TOO_LONG_TOGETHER in problem["detail"]
    )
    assert allowed, problem
