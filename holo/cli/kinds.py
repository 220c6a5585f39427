"""Argument types: names, CIDs and keys, refused at once with the reason a node would give."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from holo.core import keys
from holo.core.cid import Cid
from holo.core.errors import HoloError
from holo.core.keys import Kid
from holo.core.names import Name

T = TypeVar("T")


def name(text: str) -> Name:
    """``namespace/handle[:tag][@cid]``."""
    return _parsed(Name.parse, text)


def cid(text: str) -> Cid:
    """A CID as holo prints it."""
    return _parsed(Cid.parse, text)


def did(text: str) -> Kid:
    """A did:key."""
    return _parsed(keys.parse_did, text)


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except HoloError as error:
        raise click.BadParameter(f"{error.detail} ({error.code}: {error.fix})") from None
