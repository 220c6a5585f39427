"""Verbs that know the global options, and the root group that imports a verb only when it is used.

Global options are accepted before and after the verb: every command carries them and writes into the one
:class:`~holo.cli.invocation.Invocation` of the run.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from holo.cli.invocation import Invocation


def _set(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Write a global option into the run's settings. What is not given changes nothing."""
    if value is None or value == () or value is False or value == 0:
        return
    invocation = ctx.find_object(Invocation)
    assert invocation is not None
    if param.name == "nodes":
        invocation.nodes.extend(value)
    elif param.name is not None:
        setattr(invocation, param.name, value)


def _global_options() -> list[click.Option]:
    def option(*names: str, **settings: Any) -> click.Option:
        return click.Option([*names], expose_value=False, callback=_set, **settings)

    return [
        option("--home", "home_path", type=click.Path(path_type=Path), metavar="DIR", help="The home (HOLO_HOME)."),
        option("--node", "nodes", multiple=True, metavar="URL|REMOTE", help="Use this node; again for the next best."),
        option("--json", "json", is_flag=True, help="One JSON object on stdout, failures included."),
        option("--quiet", "quiet", is_flag=True, help="No progress."),
        option("-v", "--verbose", "verbose", count=True, help="Say more."),
        option("--timeout-s", "timeout_s", type=click.FloatRange(0, min_open=True), help="Give up on a node after."),
        option(
            "--max-age-s",
            "max_age_s",
            type=click.FloatRange(0, min_open=True),
            help="Do not believe a --node whose newest head is older (3600).",
        ),
        option("--yes", "yes", is_flag=True, help="Answer every question with yes."),
    ]


class Verb(click.Command):
    """A command that takes the global options too."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own parameters, then the global ones, then help."""
        own = super().get_params(ctx)
        return [*(p for p in own if p.name != "help"), *_global_options(), *(p for p in own if p.name == "help")]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Own options first; the global ones by name only, so that help stays about the verb."""
        own: list[tuple[str, str]] = []
        for param in click.Command.get_params(self, ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                own.append(record)
        with formatter.section("Options"):
            formatter.write_dl(own)
        formatter.write_paragraph()
        formatter.write_text("Global options, before or after the verb: see `holo --help`.")


class Noun(Verb, click.Group):
    """A group of verbs, such as ``holo keys``. An unknown verb is answered with the nearest."""

    command_class = Verb

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options, then commands."""
        Verb.format_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that ``args`` start with. Raises a usage error that names the nearest known one."""
        command = self.get_command(ctx, args[0])
        if command is not None:
            return args[0], command, args[1:]
        path = " ".join(ctx.command_path.split())
        near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1, cutoff=0.5)
        hint = f"did you mean `{path} {near[0]}`?" if near else f"`{path} --help` lists them."
        raise click.UsageError(f"No verb {args[0]!r}; {hint}", ctx)


Noun.group_class = Noun


class Root(Noun):
    """The root: ``sections`` maps a heading to verbs, each as (module, attribute, one-line help)."""

    def __init__(self, sections: Mapping[str, Mapping[str, tuple[str, str, str]]], **settings: Any) -> None:
        super().__init__(**settings)
        self._sections = sections
        self._verbs = {verb: place for verbs in sections.values() for verb, place in verbs.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every verb, in the order of the help."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return its command."""
        if cmd_name not in self._verbs:
            return None
        module, attribute, _ = self._verbs[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Verbs by section, then the global options, without importing a single verb."""
        for heading, verbs in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl([(verb, text) for verb, (_, _, text) in verbs.items()])
        with formatter.section("Global options, before or after the verb"):
            formatter.write_dl([record for p in self.get_params(ctx) if (record := p.get_help_record(ctx)) is not None])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Verbs that start so, without importing them; options as usual."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [
            CompletionItem(verb, help=text) for verb, (_, _, text) in self._verbs.items() if verb.startswith(incomplete)
        ]


def verbs_of(root: click.Group, ctx: click.Context) -> Sequence[str]:
    """Every full verb, such as ``keys new``: for tests and documentation."""
    found: list[str] = []
    for name in root.list_commands(ctx):
        command = root.get_command(ctx, name)
        if isinstance(command, click.Group):
            found += [f"{name} {verb}" for verb in verbs_of(command, ctx)]
        else:
            found.append(name)
    return found
