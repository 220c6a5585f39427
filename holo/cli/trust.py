"""``holo trust``: the anchors that decide whose receipts count here."""

from __future__ import annotations

import click

from holo.cli.group import Noun
from holo.cli.invocation import Invocation, table
from holo.core import keys
from holo.store import trust as anchors


@click.group(cls=Noun)
def trust() -> None:
    """Nodes whose receipts count and namespaces whose identity is settled. Kept in trust.toml."""


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
