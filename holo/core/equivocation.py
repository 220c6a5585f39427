"""Two truths signed by one node: the object that holds them, and the proof that they cannot both be honest (section 5).

An equivocation is self-contained: whoever reads it needs no store, no network and no anchor to be sure that the key it
names signed a contradiction. Four kinds:

- ``heads``: two heads of one log that contradict each other as they stand;
- ``receipts``: two receipts for one place of one log;
- ``history``: two heads of one log and the hashes that show that the later does not begin with the earlier;
- ``entry``: a receipt, and a head whose log has something else in its place.

A new log is never one: each of the four is about one log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from holo.core import limits
from holo.core.cid import Cid
from holo.core.envelope import Statement, make_statement
from holo.core.errors import HoloError, Rejected
from holo.core.fields import Fields
from holo.core.head import Head, Signed, contradiction, open_head
from holo.core.keys import Kid
from holo.core.log import HASH_BYTES, check_inclusion, leaf_hash, prefix_root
from holo.core.receipt import Logged, open_receipt

TYPE: Final = "equivocation"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Proof, verified, that ``subject`` signed ``one`` and ``other`` though only one of them can be honest.

    ``statement`` is the object, ``id`` its CID. ``detail`` says in a few words what is contradictory.
    """

    subject: Kid
    kind: str
    one: Signed
    other: Signed
    detail: str
    statement: Statement

    @property
    def id(self) -> Cid:
        """What the object is named by."""
        return self.statement.id

    @property
    def bytes(self) -> bytes:
        """The object."""
        return self.statement.bytes


def equivocation_of(one: bytes, other: bytes) -> Evidence | None:
    """Evidence that two envelopes, of heads or of logged receipts, are in themselves; None where they are none.

    Which comes first does not matter. Raises what opening either raises.
    """
    first, second = sorted(((open_receipt(data), data) for data in (one, other)), key=lambda item: item[0].id)
    kind = "heads" if isinstance(first[0], Head) else "receipts"
    return _checked(_made(kind, first[0].signer, first[1], second[1]))


def history_of(one: bytes, other: bytes, proof: Sequence[bytes]) -> Evidence | None:
    """Evidence that ``proof``, given as one of consistency from head ``one`` to head ``other``, is.

    None where it does not lead to the later root from another beginning: then the proof alone is at fault. From a log
    whose size is a power of two on such a proof never shows it, since it leaves the beginning out.
    """
    return _checked(_made("history", open_head(one).signer, one, other, proof))


def entry_of(receipt: bytes, head: bytes, leaf: bytes, proof: Sequence[bytes]) -> Evidence | None:
    """Evidence that the log of a head has the leaf hash ``leaf`` where a receipt says that it stands itself.

    ``proof`` is the inclusion proof of ``leaf``. None where they do not contradict each other.
    """
    return _checked(_made("entry", open_receipt(receipt).signer, receipt, head, proof, leaf))


def parse_equivocation(statement: Statement) -> Evidence:
    """The evidence that a statement of this type is, all of it verified.

    Raises ``evidence-invalid`` where it shows no contradiction, ``field-*``, and what opening an envelope raises.
    """
    fields = Fields(statement.value, "payload", _FIELDS)
    kind, node = fields.choice("kind", tuple(_CHECKS)), fields.key("node")
    one, other = _opened(fields, "one"), _opened(fields, "other")
    hashes = tuple(fields.items("hashes", limits.EVIDENCE_HASHES))
    if any(type(item) is not bytes or len(item) != HASH_BYTES for item in hashes):
        raise fields.fail("hashes", f"holds something that is not {HASH_BYTES} bytes")
    leaf = None if fields.null("leaf") else fields.data("leaf", HASH_BYTES)
    if not one.signer == other.signer == node:
        raise _invalid("not both are signed by the node it names")
    if kind in ("heads", "receipts") and (hashes or one.id >= other.id):
        raise _invalid("the two are the same or out of order, or hashes are there that prove nothing")
    if (kind == "entry") != (leaf is not None):
        raise _invalid("a leaf goes with an entry")
    detail = _CHECKS[kind](one, other, hashes, leaf)
    return Evidence(node, kind, one, other, detail, statement)


def _made(
    kind: str, node: Kid, one: bytes, other: bytes, hashes: Sequence[bytes] = (), leaf: bytes | None = None
) -> Statement:
    return make_statement(
        {
            "v": 1,
            "type": TYPE,
            "kind": kind,
            "node": bytes(node),
            "one": one,
            "other": other,
            "hashes": list(hashes),
            "leaf": leaf,
        }
    )


def _checked(statement: Statement) -> Evidence | None:
    try:
        return parse_equivocation(statement)
    except Rejected as error:
        if error.code in ("evidence-invalid", "log-invalid", "field-invalid"):
            return None
        raise


def _opened(fields: Fields, name: str) -> Signed:
    envelope = fields.blob(name, limits.RECEIPT_BYTES + limits.ENVELOPE_OVERHEAD_BYTES)
    try:
        return open_receipt(envelope)
    except HoloError as error:
        error.at = f"{fields.at(name)} {error.at or ''}".rstrip()
        raise


def _heads(one: Signed, other: Signed, hashes: Sequence[bytes], leaf: bytes | None) -> str:
    if not (isinstance(one, Head) and isinstance(other, Head)):
        raise _invalid("not two heads")
    found = contradiction(one, other)
    if found is None:
        raise _invalid("the two heads do not contradict each other")
    return found


def _receipts(one: Signed, other: Signed, hashes: Sequence[bytes], leaf: bytes | None) -> str:
    if not (isinstance(one, Logged) and isinstance(other, Logged)):
        raise _invalid("not two logged receipts")
    if (one.log, one.seq) != (other.log, other.seq):
        raise _invalid("the two receipts have places of their own")
    return "one seq, two receipts"


def _history(one: Signed, other: Signed, hashes: Sequence[bytes], leaf: bytes | None) -> str:
    if not (isinstance(one, Head) and isinstance(other, Head) and one.log == other.log):
        raise _invalid("not two heads of one log")
    if prefix_root(one.log_size, other.log_size, other.log_root, hashes) == one.log_root:
        raise _invalid("the later log begins with the earlier")
    return "the log was rewritten"


def _entry(one: Signed, other: Signed, hashes: Sequence[bytes], leaf: bytes | None) -> str:
    if not (isinstance(one, Logged) and isinstance(other, Head) and one.log == other.log):
        raise _invalid("not a receipt and a head of its log")
    assert leaf is not None  # the form says so
    check_inclusion(leaf, one.seq, other.log_size, hashes, other.log_root)
    if leaf == leaf_hash(one.id):
        raise _invalid("the receipt is where it says")
    return "another entry in the receipt's place"


def _invalid(detail: str) -> Rejected:
    return Rejected("evidence-invalid", detail, at="payload")


_CHECKS: Final[dict[str, Any]] = {"heads": _heads, "receipts": _receipts, "history": _history, "entry": _entry}
_FIELDS: Final = ("v", "type", "kind", "node", "one", "other", "hashes", "leaf")
