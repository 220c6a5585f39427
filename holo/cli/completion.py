"""``holo completion``: the script a shell needs to complete verbs and options."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from holo.cli.group import Verb
from holo.cli.invocation import Invocation

_INSTALL: Final = {
    "bash": 'eval "$(holo completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(holo completion zsh)"    # in ~/.zshrc, after compinit',
    "fish": "holo completion fish > ~/.config/fish/completions/holo.fish",
}


@click.command(cls=Verb, epilog="  ".join(_INSTALL.values()))
@click.argument("shell", type=click.Choice(sorted(_INSTALL)))
@click.pass_obj
def completion(invocation: Invocation, shell: str) -> None:
    """Print the completion script of a shell."""
    from holo.cli.main import root

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(root, {}, "holo", "_HOLO_COMPLETE").source()
    invocation.detail(f"install: {_INSTALL[shell]}")
    invocation.show({"shell": shell, "script": script, "install": _INSTALL[shell]}, script)
