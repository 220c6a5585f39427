"""``holo ns policy`` and ``holo ns revoke``: a change of who may write, shown before it is signed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from holo.cli import kinds, policy_edit, sealing
from holo.cli.group import Verb
from holo.cli.invocation import Invocation, counted
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
from holo.client import Client
from holo.core import keys, names
from holo.core.cid import Cid
from holo.core.draft import draft_policy
from holo.core.errors import Rejected
from holo.core.keys import Kid
from holo.core.names import Name
from holo.core.policy import KeySet, Policy, check_child
from holo.core.proposal import Proposal, carried_nodes
from holo.store.keyring import Keyring


@click.command(cls=Verb)
@click.argument("namespace")
@click.option("--root", "roots", multiple=True, metavar="KEY", help="These roots instead of the present ones.")
@click.option("--threshold", type=click.IntRange(1), help="How many roots must agree.")
@click.option("--signer", "signers", multiple=True, metavar="SPEC", help="These signers instead of the present ones.")
@click.option("--add-signer", "added", multiple=True, metavar="SPEC", help=policy_edit.SIGNER_HELP)
@click.option("--require", multiple=True, metavar="TAGS=N", help="These thresholds instead of the present ones.")
@click.option("--recovery", multiple=True, metavar="KEY", help="These recovery keys instead of the present ones.")
@click.option("--recovery-threshold", type=click.IntRange(1), help="How many recovery keys must agree.")
@sign_only_option
@click.option("--dry-run", is_flag=True, help="Show the change; sign and send nothing.")
@click.pass_obj
def policy(
    invocation: Invocation,
    namespace: str,
    roots: tuple[str, ...],
    threshold: int | None,
    signers: tuple[str, ...],
    added: tuple[str, ...],
    require: tuple[str, ...],
    recovery: tuple[str, ...],
    recovery_threshold: int | None,
    sign_only: Path | None,
    dry_run: bool,
) -> None:
    """Change the policy. What only adds signers needs no seal; anything else seals what is current."""
    names.check_namespace(namespace)
    keyring = Keyring(invocation.home)
    with open_client(invocation, writes=True) as client:
        parent, _ = read_policy(invocation, client, namespace)
        entries = [policy_edit.parse_signer(keyring, text) for text in signers] or list(parent.signers)
        entries += [policy_edit.parse_signer(keyring, text) for text in added]
        changed: dict[str, Any] = {
            "roots": policy_edit.parse_key_set(keyring, roots, threshold, parent.roots),
            "recovery": policy_edit.parse_key_set(keyring, recovery, recovery_threshold, parent.recovery),
            "signers": entries,
            "thresholds": [policy_edit.parse_threshold(text) for text in require] or parent.thresholds,
        }
        child = draft_policy(namespace, parent=parent, **changed)
        sealed = None
        if _needs_seal(parent, child):
            since = client.node().log_size
            selection = sealing.read_current(client, namespace)
            seal = sealing.build_seal(selection, _policies(invocation, client, parent))
            child = draft_policy(namespace, parent=parent, seal=seal.root, **changed)
            sealed = _Sealed(selection, seal, since)
        _change(invocation, client, keyring, parent, child, sealed, sign_only=sign_only, dry_run=dry_run)


@click.command(cls=Verb)
@click.argument("namespace")
@click.argument("key")
@click.option("--drop", "dropped", type=kinds.name, multiple=True, metavar="NAME", help="Do not keep this name.")
@click.option("--restore", "restored", multiple=True, metavar="NAME=REV", help="Keep this revision of a name instead.")
@click.option("--root", "roots", multiple=True, metavar="KEY", help="These roots instead, where KEY was the only one.")
@sign_only_option
@click.option("--dry-run", is_flag=True, help="Show what would be kept and dropped; sign and send nothing.")
@click.pass_obj
def revoke(
    invocation: Invocation,
    namespace: str,
    key: str,
    dropped: tuple[Name, ...],
    restored: tuple[str, ...],
    roots: tuple[str, ...],
    sign_only: Path | None,
    dry_run: bool,
) -> None:
    """Let KEY sign no longer, and seal what shall survive of what it signed."""
    names.check_namespace(namespace)
    keyring = Keyring(invocation.home)
    kid = policy_edit.parse_key(keyring, key)
    with open_client(invocation, writes=True) as client:
        parent, _ = read_policy(invocation, client, namespace)
        root_set = (
            policy_edit.parse_key_set(keyring, roots, None, parent.roots) if roots else _without(parent.roots, kid)
        )
        signers = [signer for signer in parent.signers if signer.key != kid]
        if len(signers) == len(parent.signers) and root_set == parent.roots:
            raise click.UsageError(f"{keys.did_of(kid)} is neither a signer nor a root of {namespace}.")
        since = client.node().log_size
        selection = sealing.read_current(client, namespace)
        for name in dropped:
            sealing.drop(selection, _in_namespace(name, namespace))
        for text in restored:
            name, rev = _parse_restore(text)
            sealing.restore(selection, client, _in_namespace(name, namespace), rev)
        seal = sealing.build_seal(selection, _policies(invocation, client, parent))
        child = draft_policy(
            namespace,
            parent=parent,
            seal=seal.root,
            roots=root_set,
            recovery=_without(parent.recovery, kid),
            signers=signers,
            thresholds=parent.thresholds,
        )
        sealed = _Sealed(selection, seal, since, kid)
        _change(invocation, client, keyring, parent, child, sealed, sign_only=sign_only, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class _Sealed:
    """What a change seals. ``since`` is where the node's log was before the names were read."""

    selection: sealing.Selection
    seal: sealing.Seal
    since: int
    revoked: Kid | None = None


def _change(
    invocation: Invocation,
    client: Client,
    keyring: Keyring,
    parent: Policy,
    child: Policy,
    sealed: _Sealed | None,
    *,
    sign_only: Path | None,
    dry_run: bool,
) -> None:
    """Show a change of policy, ask, sign it with the keys here that it needs, and send it or write it down."""
    changes = policy_edit.differences(parent, child, policy_edit.owner_of(keyring))
    if not changes:
        raise click.UsageError(f"That changes nothing; `holo ns show {child.ns}` shows the policy in effect.")
    unmet = policy_edit.unmet_thresholds(child)
    lines, result = [*changes, *unmet], {**policy_edit.view(child), "changes": changes, "unmet": unmet}
    if sealed is not None:
        lines += _seal_lines(sealed.selection, sealed.revoked)
        result["kept"] = [str(name) for name in sealed.selection.kept]
        result["dropped"] = [str(name) for name in sealed.selection.dropped]
        result["restored"] = {str(name): rev for name, rev in sealed.selection.restored.items()}
    if dry_run:
        invocation.show(result, [*lines, "dry run: nothing was signed or sent"])
        return
    for line in lines:
        invocation.say(line)
    invocation.confirm(f"Sign policy {child.seq} of {child.ns}?")
    wanted = dict.fromkeys(key for need in Proposal(child, parent, {}).needs() for key in need.keys.keys)
    proposal = endorsed(child, parent, unlock_keys(keyring, wanted))
    if sign_only is not None:
        nodes = carried_nodes(sealed.seal.nodes, sealed.seal.changed) if sealed else ()
        write_proposal(invocation, sign_only, replace(proposal, nodes=nodes))
        return
    require_complete(invocation, proposal)
    posted, receipt = send_policy(client, proposal, sealed.seal.changed if sealed else ())
    lost = []
    if sealed is not None:
        kept = {binding.id for held in sealed.selection.kept.values() for binding, _ in held}
        lost = sealing.sealed_out(client, child.ns, sealed.since, receipt.seq, kept)
    report(invocation, posted, lost=lost)


def _seal_lines(selection: sealing.Selection, revoked: Kid | None) -> list[str]:
    signed = set(selection.signed_by(revoked)) if revoked is not None else set()
    lines = [f"seal keeps {counted(len(selection.kept), 'name')}, drops {len(selection.dropped)}"]
    for name in selection.dropped:
        lines.append(f"- name {name}")
    for name, held in selection.kept.items():
        if name in selection.restored:
            lines.append(f"~ name {name} back to rev {selection.restored[name]}, {held[0][0].cid or 'a yank'}")
        elif name in signed:
            lines.append(
                f"  name {name} rev {held[0][0].rev} was signed by the revoked key, kept: --drop or --restore it?"
            )
    return lines


def _needs_seal(parent: Policy, child: Policy) -> bool:
    try:
        check_child(parent, child, {*parent.roots.keys, *child.roots.keys, *parent.recovery.keys})
    except Rejected as error:
        if error.code != "policy-seal-required":
            raise
        return True
    return False


def _policies(invocation: Invocation, client: Client, latest: Policy) -> Callable[[Cid], Policy]:
    """A function from a policy's id to the policy, over the chain up to ``latest``."""
    known = {latest.id: latest}

    def policy_of(cid: Cid) -> Policy:
        oldest = min(known.values(), key=lambda policy: policy.seq)
        while cid not in known and oldest.seq > 0:
            oldest, _ = read_policy(invocation, client, latest.ns, oldest.seq - 1)
            known[oldest.id] = oldest
        if cid not in known:
            raise Rejected("policy-unknown", f"{cid} is not in the chain of {latest.ns}", subject=str(cid))
        return known[cid]

    return policy_of


def _without(found: KeySet, kid: Kid) -> KeySet:
    """The set without a key, its threshold lowered where it could not be met any more."""
    rest = tuple(key for key in found.keys if key != kid)
    if not rest:
        raise click.UsageError("That would leave no root or recovery key; name others with --root.")
    return KeySet(rest, min(found.threshold, len(rest)))


def _in_namespace(name: Name, namespace: str) -> Name:
    if name.namespace != namespace or name.cid is not None:
        raise click.UsageError(f"{name} is not a plain name in {namespace}.")
    return name


def _parse_restore(text: str) -> tuple[Name, int]:
    name, equals, rev = text.rpartition("=")
    if not equals or not rev.isdecimal():
        raise click.UsageError(f"{text!r} is not NAME=REV.")
    return Name.parse(name), int(rev)
