"""What a verification found: one check after another, each with a verdict and, where it failed, the place.

Verdicts: ``ok`` was derived again from bytes; ``bad`` contradicts them; ``stated`` is somebody's word that no bytes
can prove; ``open`` needs something the reader did not give, such as an anchor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from holo.core.errors import HoloError
from holo.core.head import Head
from holo.core.receipt import Receipt

Verdict = Literal["ok", "bad", "stated", "open"]
Result = Literal["ok", "bad", "inconclusive"]

CHECKS: Final[dict[str, str]] = {
    "bundle-decoded": "the bundle is well formed",
    "receipt-signed": "the receipt's signature is its node's",
    "head-signed": "the head is signed by the owner of its log",
    "head-cited": "the receipt cites the head and the catalog that the head commits to",
    "heads-agree": "no two heads of one log contradict each other",
    "head-newest": "that the head was the newest of its node is the node's word",
    "namespace-proved": "the catalog has this namespace, or provably does not",
    "policies-proved": "every policy, from the genesis on, is endorsed as its parent demands",
    "chain-decided": "the policies lead to the one in effect",
    "seal-held": "whether all that the seal names is held is the node's word",
    "name-proved": "the name's current statements are these, endorsed as the policies they cite demand",
    "exposure-proved": "against which of the signers there is evidence, and that it is evidence",
    "pending-proved": "the statements that wait for signatures are these",
    "consumer-policy-read": "the reader's policy is the one that was asked for",
    "policy-ref-absent": "that no policy of this id is known is the node's word",
    "decision-same": "deciding again gives the same decision, byte for byte",
    "receipt-logged": "the receipt is in its node's log",
    "ancestry-proved": "every policy from the genesis to the one in question is endorsed as its parent demands",
    "subject-matches": "the receipt says what the statement it is about says",
    "endorsers-proved": "those the receipt lists endorsed the statement, and may",
    "receipt-state": "the state that the receipt tells of, at that time, is the node's word",
    "nothing-unused": "the bundle holds nothing that verifying it did not need",
    "node-trusted": "the node is one the reader trusts",
    "genesis-trusted": "the namespace is one the reader trusts by its genesis",
    "nodes-agree": "as many trusted nodes gave the same decision as the reader's policy demands",
}
"""check code: what it says, for people."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check. ``subject`` is the id or name it is about, ``at`` the place in the bundle where it failed."""

    code: str
    subject: str | None
    verdict: Verdict
    at: str | None = None
    detail: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether it holds; None where that cannot be known from the bundle."""
        return {"ok": True, "bad": False}.get(self.verdict)


@dataclass(frozen=True, slots=True)
class Report:
    """All checks in the order they were made, with the receipts and heads whose signatures verified."""

    checks: tuple[Check, ...]
    receipts: tuple[Receipt, ...]
    heads: tuple[Head, ...]

    @property
    def result(self) -> Result:
        """bad if any check failed, else inconclusive if any lacks an anchor, else ok."""
        verdicts = {check.verdict for check in self.checks}
        if "bad" in verdicts:
            return "bad"
        return "inconclusive" if "open" in verdicts else "ok"


class Stopped(Exception):
    """A check failed with ``error``, so that what builds on it cannot be examined."""

    def __init__(self, error: HoloError) -> None:
        super().__init__(str(error))
        self.error = error


class Trail:
    """The checks made so far."""

    def __init__(self) -> None:
        self._checks: dict[Check, None] = {}  # receipts share proofs: each check is listed once, where it first came

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks in the order they were first made."""
        return tuple(self._checks)

    @contextmanager
    def check(self, code: str, subject: object = None, at: str | None = None) -> Iterator[None]:
        """The body makes the check: an error in it is the failure, at the place it names or else ``at``."""
        try:
            yield
        except HoloError as error:
            error.at = " ".join(part for part in (at, error.at) if part) or "bundle"
            self._note(Check(code, _text(subject), "bad", error.at, str(error)))
            raise Stopped(error) from error
        self._note(Check(code, _text(subject), "ok"))

    def note(self, code: str, subject: object, verdict: Verdict, detail: str = "") -> None:
        """Note what takes no deriving."""
        self._note(Check(code, _text(subject), verdict, None, detail))

    def _note(self, check: Check) -> None:
        assert check.code in CHECKS, f"unlisted check {check.code!r}"
        self._checks[check] = None


def _text(subject: object) -> str | None:
    return None if subject is None else str(subject)
