"""Argument types: names, CIDs and keys, refused at once with the reason a node would give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from click.shell_completion import CompletionItem

from holo.core import keys
from holo.core.cid import Cid
from holo.core.errors import HoloError
from holo.core.keys import Kid
from holo.core.names import Name

if TYPE_CHECKING:
    from holo.core.consumer import ConsumerPolicy

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


def reader_policy(text: str) -> Cid | ConsumerPolicy:
    """What a reader decides by: the id of a policy, or the consumer policy in a file."""
    path = Path(text)
    if not path.is_file():
        try:
            return Cid.parse(text)
        except HoloError:
            raise click.BadParameter(f"{text!r} is neither a CID nor a file") from None
    from holo.core.consumer import decode_consumer_policy
    from holo.core.limits import CONSUMER_POLICY_BYTES
    from holo.store.home import need_small

    return decode_consumer_policy(need_small(path, CONSUMER_POLICY_BYTES))


def complete_file(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What completes an option that takes a file or an id: files, since nobody types an id by its beginning."""
    return [CompletionItem(incomplete, type="file")]


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except HoloError as error:
        raise click.BadParameter(f"{error.detail} ({error.code}: {error.fix})") from None
