"""``holo remote``: short names for nodes, to use with ``--node``."""

from __future__ import annotations

import click

from holo.cli.group import Noun
from holo.cli.invocation import Invocation, table
from holo.core import keys
from holo.store.trust import Remote, add_remote, read_remotes, remove_remote


@click.group(cls=Noun)
def remote() -> None:
    """Short names for nodes. A remote has to be, and what it signs has to be by, the key it was added with."""


@remote.command()
@click.argument("name")
@click.argument("url")
@click.argument("did")
@click.pass_obj
def add(invocation: Invocation, name: str, url: str, did: str) -> None:
    """Call the node at URL, whose key is DID, by NAME."""
    add_remote(invocation.home, Remote(name, url, keys.parse_did(did)))
    invocation.show({"name": name, "url": url, "node": did}, f"{name} is {url} {did}")


@remote.command("list")
@click.pass_obj
def list_(invocation: Invocation) -> None:
    """Every remote."""
    items = [
        {"name": item.name, "url": item.url, "node": keys.did_of(item.node)}
        for item in sorted(read_remotes(invocation.home).values(), key=lambda item: item.name)
    ]
    invocation.show({"items": items}, table([item["name"], item["url"], item["node"]] for item in items))


@remote.command()
@click.argument("name")
@click.pass_obj
def rm(invocation: Invocation, name: str) -> None:
    """Forget a remote."""
    remove_remote(invocation.home, name)
    invocation.show({"removed": name}, f"forgot {name}")
