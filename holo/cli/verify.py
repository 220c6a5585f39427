"""``holo verify``: whether a file or folder in hand is what a name stands for."""

from __future__ import annotations

from pathlib import Path

import click

from holo.cli import exits, kinds
from holo.cli.content import measure
from holo.cli.exits import exit_of_decision
from holo.cli.group import Verb
from holo.cli.invocation import Invocation, fields
from holo.cli.resolve import (
    Reader,
    agree_option,
    answer,
    exit_of_agreement,
    plain,
    reader_policy,
    step_lines,
    summary,
)
from holo.core.names import Name


@click.command(cls=Verb)
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.argument("name", type=kinds.name)
@reader_policy
@agree_option
@click.pass_obj
def verify(invocation: Invocation, path: Path, name: Name, policy: Reader, agree: int) -> None:
    """Is PATH the release NAME? Exit 0 if so, 1 if it is something else."""
    mine = measure(invocation, path)
    found = answer(invocation, name, policy, agree)
    result = {
        "path": str(path),
        "name": found.name,
        "match": found.cid == str(mine.cid) if found.cid else None,
        "cid": str(mine.cid),
        "expected": found.cid,
        "outcome": found.outcome,
        "rev": found.rev,
        "decision": found.decision,
    }
    if found.cid is None:
        invocation.show(result, [*step_lines(found.steps), *summary(invocation, found)])
        raise click.exceptions.Exit(exit_of_decision(found.outcome, plain(found)["steps"]))
    if not result["match"]:
        verdict = invocation.mark("NO", "bad") + f": {path} is not {found.name}"
        invocation.show(result, [verdict, *fields([("here", mine.cid), ("signed", found.cid)])])
        raise click.exceptions.Exit(exits.BAD)
    invocation.show(result, [invocation.mark("yes", "ok") + f": {path} is {found.name} rev {found.rev}", found.cid])
    code = exit_of_agreement(invocation, policy, agree)
    if code != exits.OK:
        raise click.exceptions.Exit(code)
