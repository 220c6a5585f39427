"""Evidence for people: what a key signed that cannot both be honest. Verified without a node and without an anchor."""

from __future__ import annotations

from typing import Any, Final

from holo.cli.invocation import fields
from holo.core.equivocation import Evidence
from holo.core.head import Head
from holo.core.keys import did_of
from holo.core.limits import EVIDENCE_BYTES
from holo.core.receipt import Logged
from holo.http.base64url import decode_base64url
from holo.http.types import view_of

SENTENCES: Final = {
    "heads": "two heads of one log, and only one of them can be true",
    "receipts": "two receipts for one place of one log",
    "history": "two heads of one log, of which the later does not begin with the earlier",
    "entry": "a receipt, and a head whose log has something else in its place",
    "omission": "that it holds something, and later in the same log a head without it",
}
"""kind of evidence: what its subject signed."""

_MAP: Final = range(0xA8, 0xAA)  # how evidence begins: a map of eight or nine fields
_TEXT: Final = b"q"  # and how that begins in base64url


def is_evidence(data: bytes) -> bool:
    """Whether bytes of a file are to be read as evidence: the object, or the same in base64url."""
    return data[:1] != b"" and (data[0] in _MAP or data.lstrip()[:1] == _TEXT)


def evidence_in(data: bytes) -> bytes:
    """The object in a file."""
    if data[0] in _MAP:
        return data
    return decode_base64url(data.decode("ascii", "replace").strip(), EVIDENCE_BYTES, at="evidence")


def view_of_evidence(evidence: Evidence) -> dict[str, Any]:
    """Evidence as JSON has it."""
    return {
        "result": "ok",
        "evidence": str(evidence.id),
        "type": evidence.statement.type,
        "kind": evidence.kind,
        "subject": did_of(evidence.subject),
        "detail": evidence.detail,
        "one": str(evidence.one.id),
        "other": str(evidence.other.id),
        "view": view_of(evidence.statement.value),
    }


def lines_of_evidence(evidence: Evidence) -> list[str]:
    """Evidence in sentences."""
    pairs: list[tuple[str, object]] = [("evidence", evidence.id), ("against", did_of(evidence.subject))]
    pairs += [("kind", evidence.kind), ("found", evidence.detail)]
    for name, signed in (("one", evidence.one), ("other", evidence.other)):
        pairs.append((name, f"{signed.statement.type} {signed.id}"))
        if isinstance(signed, Head):
            pairs.append(("", f"seq {signed.seq} of log {signed.log}, over {signed.log_size} receipts"))
        elif isinstance(signed, Logged):
            pairs.append(("", f"entry {signed.seq} of log {signed.log}"))
    said = f"whoever has that key signed {SENTENCES[evidence.kind]}: {evidence.detail}"
    return [*fields(pairs), said, "both signatures were verified here; it takes no anchor and no node to be sure"]
