"""``holo ns``: namespaces, their first policy and their identity."""

from __future__ import annotations

from pathlib import Path

import click

from holo.cli import kinds, policy_edit
from holo.cli.group import Noun
from holo.cli.invocation import Invocation, fields
from holo.cli.ns_change import policy, revoke
from holo.cli.ns_endorse import endorse
from holo.cli.opening import open_client
from holo.cli.policy_signing import (
    endorsed,
    report,
    require_complete,
    send_policy,
    sign_only_option,
    unlock_keys,
    write_proposal,
)
from holo.cli.signing import read_policy
from holo.core import names
from holo.core.cid import Cid
from holo.core.draft import draft_policy
from holo.core.policy import Signer
from holo.store.keyring import RECOVERY, SIGNING, Keyring, StoredKey, new_key
from holo.store.trust import pin_namespace


@click.group(cls=Noun)
def ns() -> None:
    """Make a namespace and change who may write it. Its identity is its first policy, the genesis."""


ns.add_command(policy)
ns.add_command(revoke)
ns.add_command(endorse)


@ns.command()
@click.argument("namespace")
@click.option("--root", "roots", multiple=True, metavar="KEY", help="May change the policy; else the default key.")
@click.option("--threshold", type=click.IntRange(1), help="How many roots must agree (1).")
@click.option(
    "--signer", "signers", multiple=True, metavar="SPEC", help=policy_edit.SIGNER_HELP + " The roots otherwise."
)
@click.option("--require", multiple=True, metavar="TAGS=N", help="Signatures that tags need, such as stable=2.")
@click.option(
    "--recovery", multiple=True, metavar="KEY", help="Decides where roots were stolen. Made if none is named."
)
@click.option("--recovery-threshold", type=click.IntRange(1), help="How many recovery keys must agree (1).")
@sign_only_option
@click.option("--dry-run", is_flag=True, help="Say what would be signed; make and send nothing.")
@click.pass_obj
def new(
    invocation: Invocation,
    namespace: str,
    roots: tuple[str, ...],
    threshold: int | None,
    signers: tuple[str, ...],
    require: tuple[str, ...],
    recovery: tuple[str, ...],
    recovery_threshold: int | None,
    sign_only: Path | None,
    dry_run: bool,
) -> None:
    """Make a namespace: sign its genesis and send it."""
    names.check_namespace(namespace)
    keyring = Keyring(invocation.home)
    root_set = policy_edit.parse_key_set(keyring, roots or [_own_root(keyring).did], threshold, None)
    kept = None if recovery else _recovery_key(keyring, namespace, dry_run=dry_run)
    recovery_set = policy_edit.parse_key_set(keyring, recovery or [kept.did if kept else ""], recovery_threshold, None)
    entries = [policy_edit.parse_signer(keyring, text) for text in signers]
    genesis = draft_policy(
        namespace,
        roots=root_set,
        recovery=recovery_set,
        signers=entries or [Signer(kid, ("*",), ("*",)) for kid in root_set.keys],
        thresholds=[policy_edit.parse_threshold(text) for text in require],
    )
    if dry_run:
        lines = policy_edit.describe(genesis, policy_edit.owner_of(keyring))
        invocation.show(policy_edit.view(genesis), [*lines, "dry run: nothing was signed or sent"])
        return
    for line in policy_edit.unmet_thresholds(genesis):
        invocation.warn(line)
    proposal = endorsed(genesis, None, unlock_keys(keyring, root_set.keys))
    posted = None
    if sign_only is None:
        require_complete(invocation, proposal)
        with open_client(invocation, writes=True) as client:
            posted, _ = send_policy(client, proposal)
        pin_namespace(invocation.home, namespace, genesis.id)
    if kept is not None:
        invocation.warn(f"recovery key: {kept.path}")
        invocation.warn("it belongs offline: copy it away (holo keys export --private), then `holo keys rm` it here")
    if posted is not None:
        report(invocation, posted, kept)
    elif sign_only is not None:
        write_proposal(invocation, sign_only, proposal, kept)


@ns.command()
@click.argument("namespace")
@click.option("--seq", type=click.IntRange(0), help="An earlier policy of the chain.")
@click.pass_obj
def show(invocation: Invocation, namespace: str, seq: int | None) -> None:
    """The policy in effect: who may write, and who may change that."""
    names.check_namespace(namespace)
    with open_client(invocation) as client:
        found, genesis = read_policy(invocation, client, namespace, seq)
        about = next((item for item in client.namespaces(namespace) if item.ns == namespace), None)
    held = about.held if about and seq is None else None
    conflicts = about.conflicts if about else []
    result = {**policy_edit.view(found), "genesis": str(genesis), "held": held, "conflicts": conflicts}
    lines = policy_edit.describe(found, policy_edit.owner_of(Keyring(invocation.home)))
    lines += fields([("genesis", genesis), ("HELD", held), *(("rival genesis", item) for item in conflicts)])
    invocation.show(result, lines)


@ns.command()
@click.argument("namespace")
@click.argument("genesis", type=kinds.cid, required=False)
@click.pass_obj
def pin(invocation: Invocation, namespace: str, genesis: Cid | None) -> None:
    """Take GENESIS for the namespace's identity from now on; without it, the one the node gives, once confirmed."""
    names.check_namespace(namespace)
    if genesis is None:
        with open_client(invocation) as client:
            genesis = Cid.parse(client.policy(namespace).genesis)
        invocation.confirm(f"Is {genesis} the genesis of {namespace}, by a word other than this node's?")
    pin_namespace(invocation.home, namespace, genesis)
    invocation.show({"ns": namespace, "genesis": str(genesis)}, f"{namespace} is {genesis}")


def _own_root(keyring: Keyring) -> StoredKey:
    """The key to be root where none is named: the default, or the only one."""
    entries = [entry for entry in keyring.entries() if entry.purpose == SIGNING]
    default = keyring.default()
    if default is not None:
        return keyring.find(default)
    if len(entries) == 1:
        return entries[0]
    if not entries:
        raise click.UsageError("There is no key here; make one with `holo keys new NAME`.")
    raise click.UsageError(f"Several keys here; give --root: {', '.join(entry.name for entry in entries)}")


def _recovery_key(keyring: Keyring, namespace: str, *, dry_run: bool) -> StoredKey:
    """The recovery key of a namespace that names none: made once, so that trying again makes the same genesis."""
    name = f"{namespace}-recovery"
    for entry in keyring.entries():
        if entry.name == name:
            return entry
    if dry_run:
        return StoredKey(name, new_key().kid, False, keyring.path(name), RECOVERY)
    return keyring.add(name, new_key(), purpose=RECOVERY)
