"""``holo keys``: signing keys of this home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from holo.cli import passphrase
from holo.cli.group import Noun
from holo.cli.invocation import Invocation, fields, table
from holo.core.keys import did_of
from holo.store.home import write_new
from holo.store.keyring import SIGNING, Keyring, StoredKey, check_key_name, describe_file, new_key


@click.group(cls=Noun)
def keys() -> None:
    """Make and keep signing keys. A key is a did:key; its private half lies in the home, 0600."""


@keys.command()
@click.argument("name")
@click.option(
    "--passphrase", "sealed", is_flag=True, help="Guard it with a passphrase (asked for, or HOLO_PASSPHRASE)."
)
@click.pass_obj
def new(invocation: Invocation, name: str, sealed: bool) -> None:
    """Make a key."""
    check_key_name(name)
    keyring = Keyring(invocation.home)
    stored = keyring.add(name, new_key(), passphrase.ask_new(name) if sealed else None)
    _show(invocation, keyring, stored)


@keys.command("list")
@click.pass_obj
def list_(invocation: Invocation) -> None:
    """Every key here; * marks the default."""
    keyring = Keyring(invocation.home)
    entries = keyring.entries()
    default = keyring.default()
    rows = (["*" if entry.name == default else " ", entry.name, entry.did, _notes(entry)] for entry in entries)
    invocation.show({"items": [_view(keyring, entry) for entry in entries]}, table(rows))


@keys.command()
@click.argument("name")
@click.pass_obj
def show(invocation: Invocation, name: str) -> None:
    """One key, by name or did:key."""
    keyring = Keyring(invocation.home)
    _show(invocation, keyring, keyring.find(name))


@keys.command()
@click.argument("name")
@click.option("--private", is_flag=True, help="The private half too: the key file as it lies here.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this new file, 0600.")
@click.pass_obj
def export(invocation: Invocation, name: str, private: bool, output: Path | None) -> None:
    """Print a key's did:key, or with --private its key file."""
    keyring = Keyring(invocation.home)
    stored = keyring.find(name)
    text = stored.path.read_text() if private else stored.did + "\n"
    if private and not stored.sealed:
        invocation.warn(f"the private half of {stored.name} follows, with no passphrase on it")
    if output is not None:
        if not write_new(output, text.encode()):
            raise click.UsageError(f"{output} is there already.")
        invocation.say(f"wrote {output}")
        return
    result = {**_view(keyring, stored), **({"file": text} if private else {})}
    invocation.show(result, text.rstrip("\n"))


@keys.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--passphrase", "sealed", is_flag=True, help="Guard it with a passphrase here.")
@click.pass_obj
def import_(invocation: Invocation, name: str, file: Path, sealed: bool) -> None:
    """Take a key file in, under a name of this home."""
    check_key_name(name)
    keyring = Keyring(invocation.home)
    found = describe_file(file)
    key = passphrase.unlock(keyring, found)
    if found.sealed and not sealed:
        invocation.warn(f"{name} is stored without a passphrase; give --passphrase to keep one on it")
    given = passphrase.ask_new(name) if sealed else None
    _show(invocation, keyring, keyring.add(name, key, given, purpose=found.purpose))


@keys.command()
@click.argument("name")
@click.pass_obj
def rm(invocation: Invocation, name: str) -> None:
    """Delete a key for good."""
    keyring = Keyring(invocation.home)
    stored = keyring.find(name)
    invocation.confirm(f"Delete {stored.name} {stored.did} for good?")
    keyring.remove(stored)
    invocation.show({"removed": stored.name, "key": stored.did}, f"deleted {stored.name} {stored.did}")


@keys.command("default")
@click.argument("name", required=False)
@click.pass_obj
def default_(invocation: Invocation, name: str | None) -> None:
    """Prefer this key where several would do; without NAME, say which that is."""
    keyring = Keyring(invocation.home)
    if name is not None:
        keyring.set_default(keyring.find(name))
    chosen = keyring.default()
    if chosen is None:
        invocation.show({"name": None}, "no default key")
    else:
        _show(invocation, keyring, keyring.find(chosen))


@keys.command("rotate-node")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write what peers need to this new file, too.")
@click.pass_obj
def rotate_node(invocation: Invocation, output: Path | None) -> None:
    """Give this home's node a new key, and delete the old one. The node must not run."""
    invocation.refuse_node("A node's key lies in its home.")
    from holo.node import wall_clock_ms
    from holo.store.rotation import rotate_node_key

    home = invocation.home
    if output is not None and output.exists():
        raise click.UsageError(f"{output} is there already.")
    invocation.confirm("Rotate the key of this home's node? The old one cannot be brought back.")
    with home.lock(wait_s=0):
        done = rotate_node_key(home, wall_clock_ms)
    file = done.file
    if output is not None and write_new(output, done.file.read_bytes()):
        file = output
    old, new = did_of(done.old), did_of(done.new)
    invocation.show({"old": old, "key": new, "file": str(file)}, fields([("old", old), ("new", new), ("file", file)]))
    invocation.say("Send the file to the owners of all peers: holo peer succeed FILE. Tell readers the new key.")


def _notes(entry: StoredKey) -> str:
    return ", ".join([entry.purpose] * (entry.purpose != SIGNING) + ["passphrase"] * entry.sealed)


def _view(keyring: Keyring, stored: StoredKey) -> dict[str, Any]:
    default = stored.name == keyring.default()
    return {
        "name": stored.name,
        "key": stored.did,
        "sealed": stored.sealed,
        "purpose": stored.purpose,
        "default": default,
    }


def _show(invocation: Invocation, keyring: Keyring, stored: StoredKey) -> None:
    view = {**_view(keyring, stored), "path": str(stored.path)}
    guard = "passphrase" if stored.sealed else "file permissions only"
    lines = fields(
        [
            ("name", stored.name),
            ("key", stored.did),
            ("for", stored.purpose),
            ("guarded by", guard),
            ("file", stored.path),
        ]
    )
    invocation.show(view, lines)
