"""``holo ns policy`` and ``holo ns revoke``: a change of who may write, shown before it is signed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from holo.cli import kinds, policy_edit, sealing
from holo.cli.group import Verb
from holo.cli.invocation import Invocation
from holo.cli.policy_signing import report, send_policy, unlock_keys
from holo.cli.session import open_client
from holo.cli.signing import read_policy
from holo.client import Client
from holo.core import keys, names
from holo.core.cid import Cid
from holo.core.draft import draft_policy
from holo.core.errors import Rejected
from holo.core.keys import Kid
from holo.core.names import Name
from holo.core.policy import KeySet, Policy, check_child
from holo.store.keyring import Keyring


@click.command(cls=Verb)
@click.argument("namespace")
@click.option("--root", "roots", multiple=True, metavar="KEY", help="These roots instead of the present ones.")
@click.option("--threshold", type=click.IntRange(1), help="How many roots must agree.")
@click.option("--signer", "signers", multiple=True, metavar="SPEC", help="These signers instead of the present ones.")
@click.option("--add-signer", "added", multiple=True, metavar="SPEC", help=policy_edit.SIGNER_HELP)
@click.option("--require", multiple=True, metavar="TAGS=N", help="These thresholds instead of the present ones.")
@click.option("--recovery", multiple=True, metavar="KEY", help="These recovery keys instead of the present ones.")
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
            "recovery": policy_edit.parse_key_set(keyring, recovery, None, parent.recovery),
            "signers": entries,
            "thresholds": [policy_edit.parse_threshold(text) for text in require] or parent.thresholds,
        }
        child = draft_policy(namespace, parent=parent, **changed)
        selection = None
        nodes: list[bytes] = []
        if _needs_seal(parent, child):
            selection = sealing.read_current(client, namespace)
            seal, nodes = sealing.build_seal(selection, _policies(invocation, client, parent))
            child = draft_policy(namespace, parent=parent, seal=seal, **changed)
        _change(invocation, client, keyring, parent, child, selection, nodes, dry_run=dry_run)


@click.command(cls=Verb)
@click.argument("namespace")
@click.argument("key")
@click.option("--drop", "dropped", type=kinds.name, multiple=True, metavar="NAME", help="Do not keep this name.")
@click.option("--restore", "restored", multiple=True, metavar="NAME=REV", help="Keep this revision of a name instead.")
@click.option("--root", "roots", multiple=True, metavar="KEY", help="These roots instead, where KEY was the only one.")
@click.option("--dry-run", is_flag=True, help="Show what would be kept and dropped; sign and send nothing.")
@click.pass_obj
def revoke(
    invocation: Invocation,
    namespace: str,
    key: str,
    dropped: tuple[Name, ...],
    restored: tuple[str, ...],
    roots: tuple[str, ...],
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
            raise Rejected("request-invalid", f"{keys.did_of(kid)} is neither a signer nor a root", subject=namespace)
        selection = sealing.read_current(client, namespace)
        for name in dropped:
            sealing.drop(selection, _in_namespace(name, namespace))
        for text in restored:
            name, rev = _parse_restore(text)
            sealing.restore(selection, client, _in_namespace(name, namespace), rev)
        seal, nodes = sealing.build_seal(selection, _policies(invocation, client, parent))
        child = draft_policy(
            namespace,
            parent=parent,
            seal=seal,
            roots=root_set,
            recovery=_without(parent.recovery, kid),
            signers=signers,
            thresholds=parent.thresholds,
        )
        _change(invocation, client, keyring, parent, child, selection, nodes, revoked=kid, dry_run=dry_run)


def _change(
    invocation: Invocation,
    client: Client,
    keyring: Keyring,
    parent: Policy,
    child: Policy,
    selection: sealing.Selection | None,
    nodes: list[bytes],
    *,
    revoked: Kid | None = None,
    dry_run: bool,
) -> None:
    """Show a change of policy, ask, sign it with the keys here that it needs, and send it."""
    local = policy_edit.owner_of(keyring)
    lines = policy_edit.differences(parent, child, local)
    if selection is not None:
        lines += _seal_lines(selection, revoked)
    result = {**policy_edit.view(child), "changes": policy_edit.differences(parent, child, local)}
    if selection is not None:
        result["kept"] = [str(name) for name in selection.kept]
        result["dropped"] = [str(name) for name in selection.dropped]
        result["restored"] = {str(name): rev for name, rev in selection.restored.items()}
    if dry_run:
        invocation.show(result, [*lines, "dry run: nothing was signed or sent"])
        return
    for line in lines:
        invocation.say(line)
    invocation.confirm(f"Sign policy {child.seq} of {child.ns}?")
    wanted = [*parent.roots.keys, *child.roots.keys]
    if child.roots != parent.roots or child.recovery != parent.recovery:
        wanted += parent.recovery.keys
    signing = unlock_keys(keyring, wanted)
    check_child(parent, child, signing)
    report(invocation, send_policy(client, child, signing, nodes))


def _seal_lines(selection: sealing.Selection, revoked: Kid | None) -> list[str]:
    signed = set(selection.signed_by(revoked)) if revoked is not None else set()
    lines = [f"seal keeps {len(selection.kept)} names, drops {len(selection.dropped)}"]
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
