"""What is costly about a plain answer, worded when a name changes and not each time it is asked for (docs/adr/0023).

It is a function of the name's one current statement, as if the policy that it cites were in effect. Whoever answers
uses it where that is so, and words the answer anew where it is not.
"""

from __future__ import annotations

from typing import Final

from blake3 import blake3

from holo.core.base32 import encode_digests
from holo.core.binding import Standing
from holo.core.cid import Cid
from holo.core.plain_decision import PLAIN, encode_number, encode_text
from holo.core.policy import Policy


def worded(ns: str, path: str, genesis: Cid, cited: Policy, standings: tuple[Standing, ...]) -> bytes:
    """The last 52 characters of the text of three ids: statement, decision, and content unless it is a tombstone.

    Empty where the name has more than one current statement, or where that one is not signed as it must be. ``cited``
    is the policy that the first cites.
    """
    first = standings[0]
    handle, _, tag = path.rpartition("/")
    signers = len(first.positions)
    if len(standings) > 1 or signers < cited.threshold_for(tag):
        return b""
    values = (
        encode_text(ns.encode()),
        encode_text(handle.encode()),
        encode_text(tag.encode()),
        genesis,
        cited.id,
        encode_number(cited.seq),
        cited.id,
        first.id,
        encode_number(first.rev),
        encode_number(signers),
    )
    if first.cid is None:
        return b"".join(_texts(first.id, PLAIN.yanked.write(*values), first.id)[:2])
    return b"".join(_texts(first.id, PLAIN.resolved.write(*values, first.cid), first.cid))


def _texts(statement: Cid, decision: bytes, content: Cid) -> tuple[bytes, bytes, bytes]:
    return encode_digests(statement[_DIGEST:], blake3(decision).digest(), content[_DIGEST:])


_DIGEST: Final = 4
