"""What a pull finds that the peer has and this end lacks (spec section 7.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from holo.core.cid import Cid
from holo.core.keys import Kid
from holo.core.state import NamespaceState


@dataclass(frozen=True, slots=True)
class Differs:
    """A namespace whose states are not the same. ``mine`` is None where there is none at this end.

    With ``by_range`` this end has so little of it that its names are better asked for by range: they are not compared.
    """

    ns: str
    genesis: Cid
    mine: NamespaceState | None
    theirs: NamespaceState
    by_range: bool


@dataclass(frozen=True, slots=True)
class FoundPolicy:
    """A policy that this end lacks, or of which it lacks these endorsers."""

    ns: str
    genesis: Cid
    policy: Cid
    endorsers: tuple[Kid, ...]


@dataclass(frozen=True, slots=True)
class FoundName:
    """A statement current or, with ``pending``, shown as pending for a path, and the positions this end does not show.

    This end may hold it all the same: what was superseded shows nowhere.
    """

    ns: str
    genesis: Cid
    path: str
    statement: Cid
    positions: tuple[int, ...]
    pending: bool


@dataclass(frozen=True, slots=True)
class FoundEvidence:
    """Evidence against a subject about whom this end has none, or other evidence with a greater id."""

    subject: Kid
    evidence: Cid


Found: TypeAlias = Differs | FoundPolicy | FoundName | FoundEvidence
