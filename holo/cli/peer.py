"""``holo peer``: which nodes this home's node links with, and what is wrong where it does not.

The verbs work on the home's files, beside a running node, which notices within a second.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Final

import click

from holo.cli import exits, kinds
from holo.cli.group import Noun
from holo.cli.invocation import Invocation, fields, table
from holo.core import keys
from holo.core.address import check_address
from holo.core.errors import CODES, HoloError, Rejected
from holo.core.keys import Kid
from holo.core.limits import ADDRESSES_PER_PEER, TICKET_S_MAX, TICKET_SECRET_BYTES
from holo.store.home import Home
from holo.store.peers_file import Peer, PeersFile

_SPAN: Final = re.compile("([1-9][0-9]{0,8})([smhd])")
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NO_NODE: Final = "Peers are those of this home's own node."
_STEPS: Final = {
    "pinned": "pinned here",
    "resolves": "address resolves",
    "connects": "something listens there",
    "tls": "it speaks TLS 1.3",
    "alpn": "and holo's protocol",
    "leaf": "its leaf is good",
    "key": "it is the node that was meant",
    "welcome": "it pins this node",
}


def _span(text: str) -> int:
    """Seconds of ``90s``, ``30m``, ``1h`` or ``7d``."""
    found = _SPAN.fullmatch(text)
    seconds = int(found[1]) * _UNITS_S[found[2]] if found else 0
    if not 0 < seconds <= TICKET_S_MAX:
        raise click.BadParameter(f"{text!r} is not a time such as 30m, 1h or 7d, of at most 7d")
    return seconds


def _address(text: str) -> str:
    try:
        return check_address(text)
    except HoloError as error:
        raise click.BadParameter(error.detail) from None


@click.group(cls=Noun)
def peer() -> None:
    """Nodes to link with. Both have to pin each other: with a ticket of one, the other pairs them in one go."""


@peer.command()
@click.option(
    "--expires", type=_span, default="1h", metavar="TIME", help="For how long it may be used: 30m, 1h, 7d (1h)."
)
@click.option(
    "--address", "addresses", type=_address, multiple=True, metavar="HOST:PORT", help="Where to find this node."
)
@click.pass_obj
def ticket(invocation: Invocation, expires: int, addresses: tuple[str, ...]) -> None:
    """Make a ticket: one line with which one other node can pair with this one, once. Who has it first, is paired."""
    invocation.refuse_node(_NO_NODE)
    import secrets

    from holo.core.pairing import Ticket, write_ticket
    from holo.store.keyring import NODE, own_key

    home = invocation.home
    found = _some(addresses) or _own_addresses(home)
    if not found:
        raise click.UsageError(
            "No node runs on this home that meets peers at a known address. Give --address HOST:PORT."
        )
    kid = own_key(home, NODE).kid
    expires_ms = time.time_ns() // 1_000_000 + expires * 1000
    made = Ticket(kid, found, secrets.token_bytes(TICKET_SECRET_BYTES), expires_ms)
    PeersFile(home).open_ticket(made.id, expires_ms)
    line = write_ticket(made)
    invocation.show(
        {"ticket": line, "node": keys.did_of(kid), "addresses": list(found), "expires_ms": expires_ms}, line
    )
    invocation.say("On the other machine: holo peer add TICKET. It is a secret until it is used.")


@peer.command()
@click.argument("what", metavar="TICKET|DID")
@click.argument("where", required=False, type=_address, metavar="[HOST:PORT]")
@click.option("--name", default="", metavar="NAME", help="Call the peer so.")
@click.option(
    "--address", "addresses", type=_address, multiple=True, metavar="HOST:PORT", help="Where to find this node."
)
@click.pass_obj
def add(invocation: Invocation, what: str, where: str | None, name: str, addresses: tuple[str, ...]) -> None:
    """Pair with the node that gave you a TICKET; or pin the node with this DID by hand, as its owner has to do, too."""
    invocation.refuse_node(_NO_NODE)
    home = invocation.home
    file = PeersFile(home)
    if what.startswith("did:"):
        if addresses:
            raise click.UsageError(
                "--address says where this node is, to who gave you a ticket; by hand, nobody is told."
            )
        kid = kinds.did(what)
        _refuse_self(home, kid)
        file.add(kid, [where] if where else [], name)
        _show_added(invocation, file.find(what), None)
        return
    if where is not None:
        raise click.UsageError("A ticket knows where its node is; leave the address away.")
    from holo.core.pairing import parse_ticket

    given = parse_ticket(what.strip())
    _refuse_self(home, given.issuer)
    if given.expires_ms <= time.time_ns() // 1_000_000:
        raise Rejected("ticket-expired", "by this machine's clock")
    reached = _join(invocation, given, _some(addresses) or _own_addresses(home))
    file.add(given.issuer, given.addresses, name)
    _show_added(invocation, file.find(keys.did_of(given.issuer)), reached)


@peer.command()
@click.argument("who", metavar="DID|NAME")
@click.pass_obj
def remove(invocation: Invocation, who: str) -> None:
    """Link with a peer no longer. Its links end within a second; what it has brought stays."""
    invocation.refuse_node(_NO_NODE)
    file = PeersFile(invocation.home)
    found = file.find(who)
    file.remove(found.kid)
    invocation.show({"removed": found.did, "name": found.name}, f"no longer a peer: {found.did}")


@peer.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_obj
def succeed(invocation: Invocation, file: Path) -> None:
    """Pin the new key of a peer whose key was rotated, by the FILE its owner sent: both keys have signed it."""
    invocation.refuse_node(_NO_NODE)
    from holo.core.successor import read_handovers
    from holo.store.home import need_small

    changed = PeersFile(invocation.home).learn(read_handovers(need_small(file)))
    items = [{"before": before.did, **_view(after)} for before, after in changed]
    lines = [f"{after.name or 'a peer'} has another key: {before.did} -> {after.did}" for before, after in changed]
    invocation.show({"items": items}, lines or ["nothing new: no peer is pinned by a key that these hand over"])


@peer.command("list")
@click.pass_obj
def list_(invocation: Invocation) -> None:
    """Every peer of this home. `holo peers` says how the node gets on with them."""
    invocation.refuse_node(_NO_NODE)
    items = [_view(found) for found in PeersFile(invocation.home).peers().values()]
    rows = ([item["peer"], item["name"] or "-", " ".join(item["addresses"]) or "-"] for item in items)
    invocation.show({"items": items}, table(rows))


@peer.command()
@click.argument("who", metavar="DID|NAME")
@click.pass_obj
def check(invocation: Invocation, who: str) -> None:
    """Dial a peer as the node would, and say how far that gets and what helps; exit 0 if one address is good."""
    invocation.refuse_node(_NO_NODE)
    found = PeersFile(invocation.home).find(who)
    tried = [_try(invocation, found.kid, address) for address in found.addresses]
    good = any(steps[-1]["ok"] for _, steps in tried)
    result = {
        "peer": found.did,
        "name": found.name,
        "ok": good,
        "addresses": [{"address": address, "steps": steps} for address, steps in tried],
    }
    lines = [found.did]
    for address, steps in tried:
        lines.append(address)
        for step in steps:
            lines += _lines_of(invocation, step)
    if not tried:
        lines.append("no address is known: it may dial this node; `holo peer add DID HOST:PORT` adds one")
    invocation.show(result, lines)
    if not good:
        last = tried[-1][1][-1]["code"] if tried else "unreachable"
        raise click.exceptions.Exit(exits.exit_of_code(last, CODES[last][0]))


def _try(invocation: Invocation, kid: Kid, address: str) -> tuple[str, list[dict[str, Any]]]:
    """The steps of dialling one address, up to the first that failed."""
    import trio

    from holo.net.dialing import STEPS, dial, welcomed
    from holo.net.identity import TRANSFER, Identity
    from holo.net.link import LinkClosed
    from holo.net.tls_link import Frames
    from holo.store.keyring import NODE, own_key

    made = ["pinned"]
    identity = Identity(own_key(invocation.home, NODE), _now_ms)

    async def go() -> None:
        within_s = invocation.timeout_s
        stream = await dial(identity, kid, address, TRANSFER, told=made.append, within_s=within_s)
        try:
            await welcomed(Frames(stream), told=made.append, within_s=within_s)
        finally:
            stream.close()

    failed: LinkClosed | None = None
    try:
        trio.run(go)
    except LinkClosed as closed:
        failed = closed
    steps: list[dict[str, Any]] = [{"step": step, "ok": True} for step in made]
    if failed is not None:
        step = next(step for step in STEPS if step not in made)
        code = failed.code if failed.code in CODES else "closed"
        steps.append({"step": step, "ok": False, "code": code, "detail": failed.detail, "fix": CODES[code][2]})
    return address, steps


def _join(invocation: Invocation, given: Any, addresses: tuple[str, ...]) -> str:
    """Have the issuer pin this node; the address at which it was reached."""
    import trio

    from holo.net.identity import Identity
    from holo.net.joining import join
    from holo.net.link import LinkClosed
    from holo.store.keyring import NODE, own_key

    key = own_key(invocation.home, NODE)

    async def go() -> str:
        return await join(Identity(key, _now_ms), key, given, addresses, within_s=invocation.timeout_s)

    try:
        return trio.run(go)
    except LinkClosed as closed:
        raise HoloError(closed.code if closed.code in CODES else "closed", closed.detail) from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _some(addresses: tuple[str, ...]) -> tuple[str, ...]:
    if len(addresses) > ADDRESSES_PER_PEER:
        raise click.UsageError(f"At most {ADDRESSES_PER_PEER} times --address.")
    return addresses


def _own_addresses(home: Home) -> tuple[str, ...]:
    """Where the node that runs on this home meets peers; nothing where none runs, or where it cannot know."""
    running = home.running()
    return (running.peer,) if running is not None and running.peer else ()


def _refuse_self(home: Home, kid: Kid) -> None:
    from holo.store.keyring import NODE, own_kid

    if own_kid(home, NODE) == kid:
        raise click.UsageError("That is this home's own node.")


def _view(found: Peer) -> dict[str, Any]:
    return {
        "peer": found.did,
        "name": found.name,
        "addresses": list(found.addresses),
        "added_ms": found.added_ms,
    }


def _show_added(invocation: Invocation, found: Peer, reached: str | None) -> None:
    pairs = (("peer", found.did), ("name", found.name or None), ("addresses", " ".join(found.addresses) or None))
    invocation.show({**_view(found), "paired": reached is not None}, fields(pairs))
    if reached is not None:
        invocation.say(f"paired with the node at {reached}")
    else:
        invocation.say("pinned here; its owner has to pin this node, too")


def _lines_of(invocation: Invocation, step: dict[str, Any]) -> list[str]:
    mark = invocation.mark("ok", "ok") if step["ok"] else invocation.mark("failed", "bad")
    lines = [f"  {mark} {_STEPS[step['step']]}"]
    if not step["ok"]:
        lines += [f"     {step['code']}: {step['detail']}", f"     fix: {step['fix']}"]
    return lines
