"""``holo publish``, ``cosign``, ``yank`` and ``rollback``: everything that signs a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from holo.cli import exits, kinds
from holo.cli.content import measure, store
from holo.cli.group import Verb
from holo.cli.invocation import Invocation, counted, fields
from holo.cli.opening import open_client
from holo.cli.signing import (
    Ground,
    Intent,
    choose_key,
    dids,
    make_binding,
    open_item,
    read_ground,
    send,
    unlock_key,
)
from holo.client import Client
from holo.core.binding import Binding
from holo.core.cid import Cid
from holo.core.envelope import Record, endorse
from holo.core.errors import Missing, Rejected
from holo.core.keys import Kid, did_of
from holo.core.names import Name
from holo.http.types import BindingPosted
from holo.store.home import write_atomically
from holo.store.keyring import Keyring

F = TypeVar("F", bound=Callable[..., Any])

_EXITS: Final = {"held": exits.INCONCLUSIVE, "superseded": exits.CONFLICT, "sealed-out": exits.CONFLICT}


def _signing_options(command: F) -> F:
    for option in (
        click.option("--dry-run", is_flag=True, help="Say what would be signed; sign and send nothing."),
        click.option(
            "--sign-only", type=click.Path(path_type=Path), metavar="FILE", help="Write the COSE; do not send."
        ),
        click.option("--no-wait", is_flag=True, help="Do not wait for a head that cites it."),
        click.option("--prev", type=kinds.cid, multiple=True, help="Only if this statement is still current."),
        click.option("--policy", type=kinds.cid, help="Only under this policy of the namespace."),
        click.option("--key", metavar="KEY", help="Sign with this key: its name, did:key or file (HOLO_KEY)."),
    ):
        command = option(command)
    return command


@click.command(cls=Verb)
@click.argument("name", type=kinds.name)
@click.argument("path", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--cid", type=kinds.cid, help="Bind this content instead of a PATH.")
@click.option("--reason", help="Why, for the record.")
@_signing_options
@click.pass_obj
def publish(
    invocation: Invocation, /, name: Name, path: Path | None, cid: Cid | None, reason: str | None, **how: Any
) -> None:
    """Sign NAME for a file or folder, or for --cid, and send it."""
    if (path is None) == (cid is None):
        raise click.UsageError("Give either a PATH or --cid.")
    _refuse_pin(name)
    meta: dict[str, Any] = {}
    if path is not None:
        found = measure(invocation, path) if how["dry_run"] else store(invocation, path)
        cid, meta = found.cid, {"size": found.size_bytes}
        invocation.say(f"{path}: {counted(found.files, 'file')}, {counted(found.size_bytes, 'byte')}, {cid}")
    with open_client(invocation, writes=True) as client:
        _sign_and_send(invocation, client, Intent(name, cid, reason, meta, how["prev"] or None), **how)


@click.command(cls=Verb)
@click.argument("name", type=kinds.name)
@click.option("--reason", help="Why, for the record.")
@_signing_options
@click.pass_obj
def yank(invocation: Invocation, /, name: Name, reason: str | None, **how: Any) -> None:
    """Take NAME's content back: a signed tombstone, visible in its history."""
    _refuse_pin(name)
    with open_client(invocation, writes=True) as client:
        _sign_and_send(invocation, client, Intent(name, None, reason, None, how["prev"] or None), **how)


@click.command(cls=Verb)
@click.argument("name", type=kinds.name)
@click.option("--to", "rev", type=click.IntRange(1), required=True, metavar="REV", help="The revision to go back to.")
@click.option("--reason", help="Why, for the record.")
@_signing_options
@click.pass_obj
def rollback(invocation: Invocation, /, name: Name, rev: int, reason: str | None, **how: Any) -> None:
    """Sign NAME for the content it had at REV, as a new revision. Nothing is removed from its history."""
    _refuse_pin(name)
    with open_client(invocation, writes=True) as client:
        earlier = _revision(client, name, rev)
        meta = earlier.statement.value["meta"]
        invocation.say(f"rev {rev} is {earlier.cid or 'a yank'}")
        _sign_and_send(invocation, client, Intent(name, earlier.cid, reason, meta, how["prev"] or None), **how)


@click.command(cls=Verb)
@click.argument("name", type=kinds.name)
@click.option("--key", metavar="KEY", help="Sign with this key: its name, did:key or file (HOLO_KEY).")
@click.option("--statement", type=kinds.cid, help="Which of several that wait.")
@click.option("--no-wait", is_flag=True, help="Do not wait for a head that cites it.")
@click.option("--dry-run", is_flag=True, help="Say what would be signed; sign and send nothing.")
@click.pass_obj
def cosign(
    invocation: Invocation, name: Name, key: str | None, statement: Cid | None, no_wait: bool, dry_run: bool
) -> None:
    """Add a signature to what waits for NAME, and send the whole."""
    _refuse_pin(name)
    with open_client(invocation, writes=True) as client:
        ground = read_ground(invocation, client, name)
        stored = choose_key(Keyring(invocation.home), ground.policy, name, key)
        binding, record = _waiting(ground, name, stored.kid, statement)
        _describe(invocation, binding, [*dids(record), stored.did])
        if dry_run:
            invocation.show(_view(binding, [*dids(record), stored.did]), "dry run: nothing was signed or sent")
            return
        unlocked = unlock_key(invocation, ground.policy, name, stored.did if key is None else key)
        signatures = {**record.endorsements, unlocked.kid: endorse(record.statement, unlocked)}
        whole = Record(record.statement, signatures)
        _report(invocation, send(invocation, client, name.namespace, whole, wait=not no_wait))


def _sign_and_send(
    invocation: Invocation,
    client: Client,
    intent: Intent,
    *,
    key: str | None,
    policy: Cid | None,
    prev: tuple[Cid, ...],
    no_wait: bool,
    sign_only: Path | None,
    dry_run: bool,
) -> None:
    ground = read_ground(invocation, client, intent.name, policy)
    if dry_run:
        _dry_run(invocation, ground, intent, key)
        return
    record = make_binding(invocation, ground, intent, unlock_key(invocation, ground.policy, intent.name, key))
    if sign_only is not None:
        (envelope,) = record.envelopes()
        write_atomically(sign_only, envelope, 0o644)
        result = {"name": str(intent.name), "statement": str(record.statement.id), "file": str(sign_only)}
        invocation.show(result, f"signed {record.statement.id} into {sign_only}; not sent")
        return
    _report(invocation, send(invocation, client, intent.name.namespace, record, wait=not no_wait))


def _dry_run(invocation: Invocation, ground: Ground, intent: Intent, key: str | None) -> None:
    stored = choose_key(Keyring(invocation.home), ground.policy, intent.name, key)
    prev = intent.prev if intent.prev is not None else tuple(binding.id for binding in ground.current)
    need = ground.policy.threshold_for(intent.name.tag)
    result = {
        "name": str(intent.name),
        "cid": str(intent.cid) if intent.cid else None,
        "rev": ground.rev + 1,
        "prev": [str(cid) for cid in prev],
        "policy": str(ground.policy.id),
        "key": stored.did,
        "need": need,
    }
    lines = fields(
        [
            ("name", intent.name),
            ("cid", intent.cid or "none: a yank"),
            ("rev", ground.rev + 1),
            *(("prev", cid) for cid in prev),
            ("policy", f"{ground.policy.id}, seq {ground.policy.seq}"),
            ("key", f"{stored.name} {stored.did}"),
            ("needs", counted(need, "signature")),
        ]
    )
    invocation.show(result, [*lines, "dry run: nothing was signed or sent"])


def _revision(client: Client, name: Name, rev: int) -> Binding:
    """The complete statement of ``name`` at ``rev``: what was current then."""
    plain = Name(name.namespace, name.handle, name.tag)
    found = [
        open_item(item, plain)[0]
        for item in client.history(name.namespace, str(plain))
        if item.rev == rev and item.state != "pending"
    ]
    if not found:
        raise Missing("not-found", f"{plain} has no revision {rev}", subject=str(plain))
    if len({binding.cid for binding in found}) > 1:
        listed = ", ".join(f"{binding.cid} ({binding.id})" for binding in found)
        raise click.UsageError(f"{plain} forked at {rev}; publish the one you mean with --cid: {listed}")
    return found[0]


def _waiting(ground: Ground, name: Name, kid: Kid, wanted: Cid | None) -> tuple[Binding, Record]:
    """The one pending statement that still lacks ``kid``'s signature."""
    chosen = [item for item in ground.pending if wanted is None or item[0].id == wanted]
    open_to = [item for item in chosen if kid not in item[1].endorsements and item[0].rev > ground.rev]
    if not chosen:
        raise Missing("not-found", f"nothing waits for signatures on {name}", subject=str(name))
    if not open_to:
        if any(item[0].rev > ground.rev for item in chosen):
            raise click.UsageError(f"{did_of(kid)} signed all that waits for {name}; another key has to cosign.")
        raise Rejected("binding-conflict", f"what waits was overtaken by rev {ground.rev}", subject=str(name))
    if len(open_to) > 1:
        listed = "".join(f"\n  {binding.id} rev {binding.rev} for {binding.cid or 'a yank'}" for binding, _ in open_to)
        raise click.UsageError(f"Several statements wait; give --statement:{listed}")
    return open_to[0]


def _describe(invocation: Invocation, binding: Binding, signers: list[str]) -> None:
    invocation.say(f"signing {binding.id}: {binding.name} rev {binding.rev} is {binding.cid or 'yanked'}")
    if "reason" in binding.statement.value:
        invocation.say(f"reason: {binding.statement.value['reason']}")
    for did in signers:
        invocation.detail(f"signed by {did}")


def _view(binding: Binding, signers: list[str]) -> dict[str, Any]:
    return {
        "name": str(binding.name),
        "statement": str(binding.id),
        "cid": str(binding.cid) if binding.cid else None,
        "rev": binding.rev,
        "signers": signers,
    }


def _report(invocation: Invocation, posted: BindingPosted) -> None:
    """What became of it; the exit code says where it is neither current nor on its way there."""
    signatures = f"{posted.have} of {posted.need} signatures"
    states = {
        "current": f"rev {posted.rev} is current",
        "pending": f"pending: {signatures}; the others run `holo cosign {posted.name}`",
        "forked": f"rev {posted.rev} is FORKED: somebody else bound this revision too; publish again to settle it",
        "held": f"rev {posted.rev} is HELD: one signer bound this revision twice; publish again to settle it",
        "waiting": "kept until the policy it cites is in effect",
    }
    lines = fields(
        [
            ("name", posted.name),
            ("cid", posted.cid or "none: yanked"),
            ("state", states.get(posted.state, posted.state)),
            ("statement", posted.statement),
            ("receipt", posted.receipt),
            ("head", posted.head or ("none yet" if posted.state != "pending" else None)),
        ]
    )
    invocation.show(msgspec.to_builtins(posted), lines)
    if posted.state in _EXITS:
        raise click.exceptions.Exit(_EXITS[posted.state])


def _refuse_pin(name: Name) -> None:
    if name.cid is not None:
        raise click.UsageError("A name to sign takes no @cid.")
