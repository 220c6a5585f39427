"""Where passphrases come from: HOLO_PASSPHRASE for scripts, else a question on the terminal. Never an argument."""

from __future__ import annotations

import os
import sys

import click

from holo.core.errors import Rejected
from holo.core.keys import SigningKey
from holo.store.keyring import Keyring, StoredKey


def ask_new(name: str) -> str:
    """A passphrase for a new key, typed twice on a terminal. Raises ``key-locked`` where there is nobody to ask."""
    given = _from_environment() or (
        click.prompt(f"New passphrase for {name}", hide_input=True, confirmation_prompt=True, err=True)
        if sys.stdin.isatty()
        else ""
    )
    if not given:
        raise Rejected("key-locked", "no terminal to ask for a passphrase on, and no HOLO_PASSPHRASE", subject=name)
    return str(given)


def unlock(keyring: Keyring, stored: StoredKey) -> SigningKey:
    """The private key, its passphrase asked for if it has one."""
    given = _from_environment() if stored.sealed else None
    if stored.sealed and given is None and sys.stdin.isatty():
        given = str(click.prompt(f"Passphrase of {stored.name}", hide_input=True, err=True))
    return keyring.unlock(stored, given)


def _from_environment() -> str | None:
    return os.environ.get("HOLO_PASSPHRASE") or None
