"""Joining by a ticket: the issuer proves its key, this node proves its own, and the issuer pins it (spec 8.5)."""

from __future__ import annotations

from collections.abc import Sequence

from holo.core.keys import SigningKey
from holo.core.limits import HANDSHAKE_S
from holo.core.pairing import Ticket, make_request
from holo.net.dialing import dial, welcomed
from holo.net.identity import PAIRING, Identity
from holo.net.link import LinkClosed
from holo.net.tls_link import Frames


async def join(
    identity: Identity, key: SigningKey, ticket: Ticket, addresses: Sequence[str], *, within_s: float = HANDSHAKE_S
) -> str:
    """Have the issuer of ``ticket`` pin this node, found at ``addresses``; the address at which it was reached.

    The ticket's addresses are tried in order, until the issuer answers at one. Whoever else answers learns nothing: the
    secret goes to the issuer alone. Raises :class:`LinkClosed`: of the last address, or with the issuer's refusal.
    """
    assert key.kid == identity.kid
    failed: LinkClosed | None = None
    for address in ticket.addresses:
        try:
            frames = Frames(await dial(identity, ticket.issuer, address, PAIRING, within_s=within_s))
        except LinkClosed as closed:
            failed = closed
            continue
        try:
            await frames.send(make_request(key, ticket, addresses))
            await welcomed(frames, within_s=within_s)
        finally:
            frames.stream.close()
        return address
    assert failed is not None, "a ticket has an address"
    raise failed
