"""``holo trust``: the anchors that decide whose receipts count here, and what a reader demands beyond them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from holo.cli import kinds, policy_edit
from holo.cli.group import Noun
from holo.cli.invocation import Invocation, fields, table
from holo.core import keys, names
from holo.core.cid import Cid
from holo.core.consumer import ConsumerPolicy, make_consumer_policy, parse_consumer_policy
from holo.core.errors import HoloError
from holo.store import trust as anchors
from holo.store.home import write_atomically
from holo.store.keyring import Keyring
from holo.store.packs import Packs


@click.group(cls=Noun)
def trust() -> None:
    """Nodes whose receipts count, namespaces whose identity is settled, and what you demand as a reader."""


@trust.command()
@click.argument("label")
@click.argument("did")
@click.pass_obj
def add(invocation: Invocation, label: str, did: str) -> None:
    """Count the receipts of the node with this did:key; LABEL is yours to choose."""
    kid = keys.parse_did(did)
    anchors.trust_node(invocation.home, label, kid)
    invocation.show({"label": label, "node": did}, f"trusts {label} {did}")


@trust.command("list")
@click.pass_obj
def list_(invocation: Invocation) -> None:
    """Every anchor."""
    found = anchors.read_trust(invocation.home)
    nodes = [{"label": label, "node": keys.did_of(kid)} for label, kid in sorted(found.nodes.items())]
    pins = [{"ns": ns, "genesis": str(genesis)} for ns, genesis in sorted(found.namespaces.items())]
    rows = [["node", item["label"], item["node"]] for item in nodes]
    rows += [["namespace", item["ns"], item["genesis"]] for item in pins]
    invocation.show({"nodes": nodes, "namespaces": pins}, table(rows))


@trust.command()
@click.argument("label")
@click.pass_obj
def rm(invocation: Invocation, label: str) -> None:
    """Trust a node (by label or did:key) or a pinned namespace no longer."""
    anchors.forget_anchor(invocation.home, label)
    invocation.show({"removed": label}, f"no longer trusts {label}")


@trust.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--min-signers", type=click.IntRange(1), default=1, metavar="N", help="So many signers must count (1).")
@click.option("--allow-signer", "allowed", multiple=True, metavar="KEY", help="Only these signers count.")
@click.option("--deny-signer", "denied", multiple=True, metavar="KEY", help="This signer does not count.")
@click.option("--allow-cid", "taken", type=kinds.cid, multiple=True, metavar="CID", help="Take only this content.")
@click.option("--deny-cid", "barred", type=kinds.cid, multiple=True, metavar="CID", help="Never take this content.")
@click.option("--allow-forks", is_flag=True, help="Take the first of two where a name is forked.")
@click.option("--deny-exposed", is_flag=True, help="Count no key that signed two truths, as signer or as node.")
@click.option("--pin", "pins", multiple=True, metavar="NS=GENESIS", help="Take this genesis for the namespace's.")
@click.option("--agreeing", type=click.IntRange(1), default=1, metavar="K", help="So many nodes must agree (1).")
@click.option("--keep", is_flag=True, help="Keep it here too: this home's node and its peers can be asked by its id.")
@click.pass_obj
def policy(
    invocation: Invocation,
    file: Path,
    min_signers: int,
    allowed: tuple[str, ...],
    denied: tuple[str, ...],
    taken: tuple[Cid, ...],
    barred: tuple[Cid, ...],
    allow_forks: bool,
    deny_exposed: bool,
    pins: tuple[str, ...],
    agreeing: int,
    keep: bool,
) -> None:
    """Write what you demand as a reader into FILE, for `holo resolve --policy FILE`. Nobody signs it; it has an id."""
    keyring = Keyring(invocation.home)
    made = parse_consumer_policy(
        make_consumer_policy(
            min_signers=min_signers,
            allow_signers=[policy_edit.parse_key(keyring, text) for text in allowed],
            deny_signers=[policy_edit.parse_key(keyring, text) for text in denied],
            allow_cids=taken,
            deny_cids=barred,
            allow_forks=allow_forks,
            genesis=dict(_parse_pin(text) for text in pins),
            agreeing=agreeing,
            deny_exposed=deny_exposed,
        )
    )
    write_atomically(file, made.statement.bytes, 0o644)
    if keep:
        Packs(invocation.home).keep(made)
    demands = _demands(made)
    lines = fields((name, _written(value)) for name, value in demands.items() if value not in ([], {}))
    invocation.show({"policy": str(made.id), "file": str(file), **demands}, [str(made.id), *lines])


def _parse_pin(text: str) -> tuple[str, Cid]:
    ns, equals, genesis = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not NS=GENESIS", param_hint="--pin")
    try:
        names.check_namespace(ns)
        return ns, Cid.parse(genesis)
    except HoloError as error:
        raise click.BadParameter(f"{text!r}: {error.detail}", param_hint="--pin") from None


def _demands(made: ConsumerPolicy) -> dict[str, Any]:
    """What the statement demands, as JSON has it."""
    return {
        "min_signers": made.min_signers,
        "allow_signers": [keys.did_of(kid) for kid in sorted(made.allow_signers)],
        "deny_signers": [keys.did_of(kid) for kid in sorted(made.deny_signers)],
        "allow_cids": [str(cid) for cid in sorted(made.allow_cids)],
        "deny_cids": [str(cid) for cid in sorted(made.deny_cids)],
        "allow_forks": made.allow_forks,
        "genesis": {ns: str(cid) for ns, cid in sorted(made.genesis.items())},
        "agreeing": made.agreeing,
        "deny_exposed": made.deny_exposed,
    }


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return " ".join(f"{ns}={cid}" for ns, cid in value.items())
    return " ".join(value) if isinstance(value, list) else str(value)
