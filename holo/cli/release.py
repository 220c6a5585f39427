"""``holo release``: what a name's content is, and every name of the same handle that stands for it."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from holo.cli import kinds
from holo.cli.exits import OK, exit_of_decision
from holo.cli.group import Noun
from holo.cli.history import when
from holo.cli.invocation import Invocation, fields
from holo.cli.opening import open_client
from holo.cli.resolve import ask, plain, step_lines, summary
from holo.core.names import Name


@click.group(cls=Noun)
def release() -> None:
    """Releases: content with the names that stand for it."""


@release.command()
@click.argument("name", type=kinds.name)
@click.pass_obj
def show(invocation: Invocation, name: Name) -> None:
    """The content of NAME, who signed it, and all tags of its handle that stand for the same content."""
    handle = f"{name.namespace}/{name.handle}"
    with open_client(invocation) as client:
        found = ask(invocation, client, name, None)
        tags = list(client.bindings(name.namespace, name=handle)) if found.cid else []
        receipts = list(client.receipts(subject=found.statement)) if found.statement else []
    same = [item for item in tags if item.cid == found.cid]
    chosen = next((item for item in same if item.statement == found.statement), None)
    result: dict[str, Any] = {
        "name": found.name,
        "outcome": found.outcome,
        "cid": found.cid,
        "size": chosen.meta.get("size") if chosen else None,
        "bindings": [msgspec.to_builtins(item) for item in same],
        "receipts": [item.receipt for item in receipts],
        "decision": found.decision,
    }
    if found.cid is None:
        lines = [*step_lines(found.steps), *summary(invocation, found)]
    else:
        lines = fields(
            [
                ("name", found.name),
                ("cid", found.cid),
                ("size", f"{result['size']} bytes" if result["size"] is not None else None),
                ("rev", found.rev),
                *(("signed by", did) for did in (chosen.signers if chosen else [])),
                ("signed at", f"{when(chosen.at_ms)}, by the signer's clock" if chosen else None),
                *(("also", f"{item.name} rev {item.rev}") for item in same if item is not chosen),
                *(("receipt", item.receipt) for item in receipts),
            ]
        )
    invocation.show(result, lines)
    code = exit_of_decision(found.outcome, plain(found)["steps"])
    if code != OK:
        raise click.exceptions.Exit(code)
