"""``holo explain``: every word holo answers with: error codes, limits, the steps and outcomes of a decision."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import click

from holo.cli.exits import exit_of_code
from holo.cli.group import Verb
from holo.cli.invocation import Invocation, fields, table
from holo.core import decision, limits
from holo.core.errors import CODES, Missing
from holo.core.report import CHECKS

_OUTCOMES: Final = {
    "resolved": "Every rule holds; cid is the content",
    "yanked": "The owners took the content back; the statement that says so is current",
    "not-found": "The namespace or the name is not here; an absence proof can show it",
    "pending": "Statements wait for more signatures and none is complete",
    "held": "Nothing leads: policies or statements of one signer contradict each other",
    "refused": "There is an answer, and the reader's own demands or pin refuse it",
    "policy-unknown": "The policy the reader asked for is not known to this node",
    "forked": "Two signers bound the name differently at one revision; the first in the policy leads",
}
_STATES: Final = {
    "current": "This statement is what the name stands for",
    "superseded": "A higher revision has taken its place",
    "sealed-out": "A later seal of the policy leaves this statement out",
    "waiting": "It cites a policy that is not in effect yet",
    "effective": "The policy is in effect",
    "rival": "Another valid child of the same policy stands against it",
}
# Which limits a code is about, so that `explain too-large` can say how large.
_LIMITS_OF: Final = {
    "too-large": ("_BYTES", "_PER_RECORD"),
    "name-invalid": ("NAMESPACE_BYTES", "HANDLE_SEGMENTS", "TAG_BYTES", "HANDLE_AND_TAG_BYTES"),
    "glob-invalid": ("GLOB_BYTES", "GLOBS_PER_SIGNER"),
    "pending-full": ("PENDING_PER_SIGNER",),
    "policy-rivals-full": ("RIVALS_PER_PARENT",),
    "policies-full": ("POLICIES_PER_NAMESPACE",),
    "path-invalid": ("PACK_PATH_BYTES", "PACK_DEPTH"),
    "rate-limited": ("WRITE_QUEUE",),
    "overloaded": ("WRITE_QUEUE", "EVENT_STREAMS"),
}
# Where the way out is longer than a line, below docs/runbooks.
_RUNBOOKS: Final = {
    "equivocation": "peer-equivocated",
    "file-denied": "read-only-home",
    "home-locked": "will-not-start",
    "home-unsafe": "will-not-start",
    "listen-failed": "will-not-start",
    "no-space": "disk-full",
    "node-key-lost": "key-lost",
    "nodes-disagree": "peer-not-converging",
    "overloaded": "under-attack",
    "peer-unpinned": "peer-not-converging",
    "policy-incomplete": "key-lost",
    "rate-limited": "under-attack",
    "store-corrupt": "corrupt-store",
    "store-failed": "corrupt-store",
    "store-version": "will-not-start",
    "unsafe-listen": "will-not-start",
}
_MORE: Final = {
    "name-invalid": "namespace [a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])? / 1 to 4 such segments : tag "
    "[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One word and what it means."""

    code: str
    kind: str
    title: str
    facts: dict[str, Any]


def entries() -> Iterator[Entry]:
    """Everything that can be explained."""
    for code, (status, title, fix) in sorted(CODES.items()):
        facts: dict[str, Any] = {"status": status, "exit": exit_of_code(code, status), "fix": fix}
        if code in _MORE:
            facts["form"] = _MORE[code]
        if code in _RUNBOOKS:
            facts["runbook"] = f"docs/runbooks/{_RUNBOOKS[code]}.md"
        yield Entry(code, "error", title, {**facts, **_limits_of(code)})
    for code, (holds, fails) in decision.SENTENCES.items():
        yield Entry(code, "step", holds, {"otherwise": fails})
    for code, title in CHECKS.items():
        yield Entry(code, "check", title, {})
    for code, title in (_OUTCOMES | _STATES).items():
        yield Entry(code, "outcome" if code in _OUTCOMES else "state", title, {})
    for name, value in _all_limits().items():
        yield Entry(name, "limit", f"{value:,}", {"value": value})


@click.command(cls=Verb)
@click.argument("code", required=False)
@click.pass_obj
def explain(invocation: Invocation, code: str | None) -> None:
    """What CODE means and what to do about it; without CODE, everything there is to explain."""
    known = list(entries())
    if code is None:
        invocation.show({"items": [_view(entry) for entry in known]}, table([e.kind, e.code, e.title] for e in known))
        return
    found = [entry for entry in known if code.lower() == entry.code.lower()]
    if not found:
        near = difflib.get_close_matches(code.lower(), [entry.code for entry in known], 1, 0.5)
        raise Missing("not-found", f"no code {code!r}" + (f"; did you mean {near[0]}?" if near else ""), subject=code)
    result = _view(found[0]) if len(found) == 1 else {"items": [_view(entry) for entry in found]}
    lines: list[str] = []
    for entry in found:
        lines += fields([("code", invocation.mark(entry.code, "head")), ("kind", entry.kind), ("means", entry.title)])
        lines += [f"  {line}" for line in fields(entry.facts.items())]
    invocation.show(result, lines)


def _view(entry: Entry) -> dict[str, Any]:
    return {"code": entry.code, "kind": entry.kind, "title": entry.title, **entry.facts}


def _all_limits() -> dict[str, int]:
    return {name: value for name, value in vars(limits).items() if name.isupper() and isinstance(value, int)}


def _limits_of(code: str) -> dict[str, int]:
    wanted = _LIMITS_OF.get(code, ())
    return {name: value for name, value in _all_limits().items() if name.endswith(wanted)} if wanted else {}
