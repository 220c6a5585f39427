"""``holo history``: every revision of a name, newest first."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import msgspec

from holo.cli import kinds
from holo.cli.group import Verb
from holo.cli.invocation import Invocation, table
from holo.cli.opening import open_client
from holo.core.errors import Missing
from holo.core.names import Name


@click.command(cls=Verb)
@click.argument("name", type=kinds.name)
@click.option("--limit", type=click.IntRange(1), help="So many at most.")
@click.pass_obj
def history(invocation: Invocation, name: Name, limit: int | None) -> None:
    """Every revision of NAME, newest first, with who signed it."""
    plain = str(Name(name.namespace, name.handle, name.tag))
    with open_client(invocation) as client:
        items = []
        for item in client.history(name.namespace, plain):
            items.append(item)
            if len(items) == limit:
                break
    if not items:
        raise Missing("not-found", f"{plain} has no history", subject=plain)
    rows = []
    for item in items:
        content = item.cid or invocation.mark("yanked", "warn")
        rows.append([str(item.rev), item.state, when(item.at_ms), content, " ".join(item.signers)])
    result = {"name": plain, "items": [msgspec.to_builtins(item) for item in items]}
    invocation.show(result, table(rows))


def when(at_ms: int) -> str:
    """A time for people, in UTC; the number itself where it is beyond every calendar."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(at_ms)
