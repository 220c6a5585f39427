"""Which refusals are logged: those of proven keys, as many a minute as the node gives, and nobody all of them.

Keys cost nothing, and so do refusals. What a node gives is therefore shared by party: the signers of a namespace are
one, of each namespace another, and all keys that no policy names are one together. No party gets more than a quarter,
so that strangers cannot use up what a signer needs to hold in hand against the node.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from holo.core.cid import Cid
from holo.core.errors import Missing, Rejected
from holo.core.keys import Kid
from holo.core.receipt import Action
from holo.roles.registry.opening import Opened
from holo.store.evidence import EvidenceSubmission
from holo.store.incoming import Incoming
from holo.store.ledger import BindingSubmission, PolicySubmission, Submission
from holo.store.store import Denial, Result
from holo.store.view import View

STRANGERS: Final = ""
_SHARE: Final = 4
_PARTIES: Final = 1024  # remembered; whoever was seen longest ago is forgotten, and begins with a full share


class Allowance:
    """So many a minute in all, refilled evenly, a minute's worth saved up; of that a quarter for each party."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._all = _Bucket(per_minute)
        self._parties: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, party: str, now_s: float) -> bool:
        """Use one up for ``party`` at ``now_s``, a monotonic time, if there is one."""
        bucket = self._parties.pop(party, None) or _Bucket(math.ceil(self._per_minute / _SHARE))
        self._parties[party] = bucket
        if len(self._parties) > _PARTIES:
            self._parties.popitem(last=False)
        if bucket.left(now_s) < 1 or self._all.left(now_s) < 1:
            return False
        bucket.use()
        self._all.use()
        return True


class _Bucket:
    """So many a minute, of which a minute's worth is saved up."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._left = float(per_minute)
        self._at_s = -math.inf

    def left(self, now_s: float) -> float:
        if self._at_s > -math.inf:
            self._left = min(self._per_minute, self._left + (now_s - self._at_s) * self._per_minute / 60)
        self._at_s = now_s
        return self._left

    def use(self) -> None:
        self._left -= 1


def party_of(view: View, ns: str | None, requester: Kid) -> str:
    """``ns`` where its policy in effect names ``requester`` as a root or a signer, else the strangers."""
    if ns is None:
        return STRANGERS
    try:
        policy = view.policy(view.namespace(ns).policy)
    except Missing:
        return STRANGERS
    known = policy.position_of(requester) is not None or requester in policy.roots.keys
    return ns if known else STRANGERS


def unopened(records: Sequence[Incoming], opened: Sequence[Opened]) -> list[Denial]:
    """The denials of records that could not be opened although some key's signature over them was proven."""
    return [
        Denial(_action(record.kind == "binding"), Cid(item.statement), item, Kid(item.proven[0]))
        for record, item in zip(records, opened, strict=True)
        if isinstance(item, Rejected) and item.proven and item.statement is not None
    ]


def refused(submissions: Sequence[Submission], results: Sequence[Result]) -> Iterator[tuple[str, Denial]]:
    """(namespace, denial) of every refusal among ``results``; the first endorser by kid stands for all of them."""
    for submission, result in zip(submissions, results, strict=True):
        if isinstance(result, Rejected) and not isinstance(submission, EvidenceSubmission):  # nobody signs that
            action = _action(isinstance(submission, BindingSubmission))
            record = submission.record
            yield _namespace_of(submission), Denial(action, record.statement.id, result, min(record.endorsements))


def _action(binds: bool) -> Action:
    return "publish" if binds else "policy"


def _namespace_of(submission: BindingSubmission | PolicySubmission) -> str:
    """The namespace a submission is about."""
    if isinstance(submission, BindingSubmission):
        return submission.binding.name.namespace
    return submission.policy.ns
