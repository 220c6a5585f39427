"""What every logged receipt has: its place in the log of the node that signed it (spec section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from holo.core.cid import Cid
from holo.core.envelope import Statement, make_statement
from holo.core.fields import Fields
from holo.core.head import Signed

LOGGED_FIELDS: Final = ("v", "type", "log", "seq", "at_ms")


@dataclass(frozen=True, slots=True)
class Logged(Signed):
    """A receipt that is entry ``seq``, from 0, of ``log``."""

    log: Cid
    seq: int
    at_ms: int


def make_logged(type: str, log: Cid, seq: int, at_ms: int, **fields: Any) -> Statement:
    """The payload of a receipt of ``type`` at its place, with what else it says."""
    return make_statement({"v": 1, "type": type, "log": log, "seq": seq, "at_ms": at_ms, **fields})


def read_place(fields: Fields) -> tuple[Cid, int, int]:
    """(log, seq, at_ms) of a receipt."""
    return fields.link("log"), fields.integer("seq"), fields.integer("at_ms")
