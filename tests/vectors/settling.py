"""Vectors of sections 2.6 and 2.7: what is current, and what mailboxes keep and show."""

from __future__ import annotations

from collections.abc import Sequence

from holo.core.binding import Partial, Standing, mailbox, settle, state_of
from holo.core.cid import DAG_CBOR, Cid
from holo.core.keys import did_of
from holo.core.state import Cited, shown_pending
from tests.records import content, kid
from tests.vectors.form import Group, Json

_IDS = sorted(Cid.of(DAG_CBOR, b"statement %d" % number) for number in range(12))
_POLICY, _LATER = (Cid.of(DAG_CBOR, name) for name in (b"policy", b"later policy"))
_SIGNERS = ("alice", "bob", "carol", "dave")


def _one(
    number: int,
    cid: str | None,
    positions: Sequence[int],
    *,
    rev: int = 5,
    policy: Cid = _POLICY,
    signers: Sequence[str] = _SIGNERS,
) -> Standing:
    """A statement whose id is the ``number``-th in order."""
    content_id = None if cid is None else content(cid)
    return Standing(_IDS[number], rev, content_id, policy, tuple(positions), kid(signers[positions[0]]))


def settling() -> Group:
    """What is current."""
    group = Group(
        "settling",
        "What is current (2.6). `first` is the key at the lowest position in the cited policy. The order in which the "
        "statements are given does not matter.",
    )
    later = ("bob", "alice")
    for name, state, current, given in (
        ("nothing", "unbound", [], []),
        ("one", "settled", [0], [_one(0, "a", [1])]),
        ("higher-rev", "settled", [1], [_one(0, "a", [0], rev=5), _one(1, "b", [3], rev=6)]),
        ("far-higher-rev", "settled", [1], [_one(0, "a", [0]), _one(1, "b", [3], rev=2**53 - 1)]),
        ("fork", "forked", [1, 0], [_one(0, "a", [1]), _one(1, "b", [0])]),
        ("fork-with-a-yank", "forked", [0, 1], [_one(0, None, [0]), _one(1, "b", [1])]),
        ("fork-below-is-no-fork", "settled", [2], [_one(0, "a", [0]), _one(1, "b", [1]), _one(2, "c", [2], rev=6)]),
        ("held", "held", [0, 1], [_one(0, "a", [0]), _one(1, "b", [0])]),
        ("held-by-a-yank", "held", [0, 1], [_one(0, "a", [0, 1]), _one(1, None, [0, 2])]),
        ("third-hides-nothing", "held", [0, 1], [_one(0, "a", [0]), _one(1, "b", [0]), _one(2, "c", [1])]),
        ("third-is-left-out", "forked", [1, 2], [_one(0, "a", [3]), _one(1, "b", [0]), _one(2, "c", [1])]),
        ("same-content-lower-position", "settled", [1], [_one(0, "a", [1]), _one(1, "a", [0])]),
        ("same-content-lower-id", "settled", [0], [_one(0, "a", [1]), _one(1, "a", [1])]),
        ("both-yank", "settled", [0], [_one(0, None, [1]), _one(1, None, [1])]),
        ("one-content-twice-then-another", "forked", [0, 2], [_one(0, "a", [0]), _one(1, "a", [0]), _one(2, "b", [1])]),
        ("lowest-position-not-count", "forked", [1, 0], [_one(0, "a", [1, 2, 3]), _one(1, "b", [0])]),
        ("one-signer-under-two-policies", "held", [0, 1], [
            _one(0, "a", [0]), _one(1, "b", [1], policy=_LATER, signers=later),
        ]),
        ("same-position-other-signers", "forked", [0, 1], [
            _one(0, "a", [0]), _one(1, "b", [0], policy=_LATER, signers=later),
        ]),
        ("two-yanks-and-two-contents", "forked", [3, 1], [
            _one(0, None, [3]), _one(1, None, [1]), _one(2, "a", [2]), _one(3, "b", [0]),
        ]),
    ):  # fmt: skip
        ids = [_IDS[number] for number in current]
        found = settle(given)
        assert [item.id for item in found] == ids, name
        assert (state_of(found) if found else "unbound") == state, name
        group.valid(
            name, "settle", {"current": [str(cid) for cid in ids], "state": state}, statements=list(map(_json, given))
        )
    return group


def _json(item: Standing) -> Json:
    return {
        "id": str(item.id),
        "rev": item.rev,
        "cid": None if item.cid is None else str(item.cid),
        "policy": str(item.policy),
        "positions": list(item.positions),
        "first": did_of(item.first),
    }


def mailboxes() -> Group:
    """What mailboxes keep and names show."""
    group = Group("mailboxes", "Mailboxes (2.7): what one keeps, and how much of what waits for a name shows.")
    one_rev = [(number, 3) for number in range(12)]
    rising = [(number, number + 1) for number in range(12)]
    for name, given, kept in (
        ("empty", [], []),
        ("eight-fit", one_rev[:8], list(range(8))),
        ("smaller-ids-stay", one_rev, list(range(8))),
        ("higher-revs-stay", rising, [11, 10, 9, 8, 7, 6, 5, 4]),
        ("rev-before-id", [*one_rev[:8], (11, 4)], [11, 0, 1, 2, 3, 4, 5, 6]),
        ("a-statement-once", [(0, 3), (0, 3), (1, 3)], [0, 1]),
    ):
        partials = [Partial(_IDS[number], rev) for number, rev in given]
        assert [item.id for item in mailbox(partials)] == [_IDS[number] for number in kept], name
        group.valid(
            name, "mailbox", {"kept": [str(_IDS[number]) for number in kept]},
            statements=[{"id": str(item.id), "rev": item.rev} for item in partials],
        )  # fmt: skip
    ids = [Cid.of(DAG_CBOR, b"%d" % number) for number in range(95)]
    one_each = [(Cited(cid, (number % 4,)), 4) for number, cid in enumerate(ids)]
    all_each = [(Cited(cid, tuple(range(4))), 4) for cid in ids]
    wide = [(Cited(cid, (0, 255)), 256) for cid in ids[:20]]
    mixed = [(Cited(cid, (0,)), 256 if number % 2 else 30) for number, cid in enumerate(ids[:30])]
    for name, waiting, shown in (
        ("few-show", one_each[:8], 8),
        ("one-of-four-each", one_each, 87),
        ("all-of-four-each", all_each, 87),
        ("two-of-many-each", wide, 7),
        ("of-different-policies", mixed, 13),
    ):
        found = shown_pending(waiting)
        assert len(found) == shown, (name, len(found))
        group.valid(
            name, "show-pending", {"shown": [[str(item.statement), list(item.positions)] for item in found]},
            waiting=[[str(item.statement), list(item.positions), signers] for item, signers in waiting],
        )  # fmt: skip
    return group
