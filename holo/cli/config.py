"""``holo config``: what a profile amounts to, and whether it is right, before a node is started with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from holo.cli.group import Noun
from holo.cli.invocation import Invocation

_profile = click.argument("profile", default="minimal-peer", metavar="[PROFILE]")
_set = click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting over it, as in TOML.")


@click.group(cls=Noun)
def config() -> None:
    """Show or check a profile: a shipped NAME or a FILE."""


@config.command()
@_profile
@_set
@click.pass_obj
def show(invocation: Invocation, profile: str, settings: tuple[str, ...]) -> None:
    """Every setting a node would run with, defaults included, as TOML."""
    tables = _load(profile, settings)
    invocation.show(tables, _as_toml(tables))


@config.command()
@_profile
@_set
@click.pass_obj
def validate(invocation: Invocation, profile: str, settings: tuple[str, ...]) -> None:
    """Whether a node would take this profile; exit 2 and the key at fault if not."""
    tables = _load(profile, settings)
    roles = sorted(tables["roles"])
    invocation.show(
        {"profile": profile, "valid": True, "roles": roles}, f"{profile} is valid; roles: {' '.join(roles)}"
    )


def _load(profile: str, settings: tuple[str, ...]) -> dict[str, Any]:
    import msgspec

    from holo.profile import load_profile

    tables = msgspec.to_builtins(load_profile(profile, list(settings)))
    assert isinstance(tables, dict)
    tables.pop("name")
    tables["roles"] = {name: role for name, role in tables["roles"].items() if role is not None}
    return tables


def _as_toml(tables: Mapping[str, Any], at: str = "") -> Iterator[str]:
    plain = {key: value for key, value in tables.items() if not isinstance(value, Mapping) or not _is_table(value)}
    if at and plain:
        yield f"[{at}]"
    for key, value in plain.items():
        yield f"{key} = {_value(value)}"
    if plain:
        yield ""
    for key, value in tables.items():
        if key not in plain:
            yield from _as_toml(value, f"{at}.{key}" if at else key)


def _is_table(value: Mapping[str, Any]) -> bool:
    """Whether a map is a table of settings, not a setting that is a map (whose keys are names, with text values)."""
    return bool(value) and not all(isinstance(item, str) for item in value.values())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {json.dumps(item)}" for key, item in value.items()) + "}"
    return json.dumps(list(value) if isinstance(value, tuple) else value)
