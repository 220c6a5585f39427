"""Vectors of section 2."""

from __future__ import annotations

from collections.abc import Iterator

from tests.vectors import admissions, bindings, chains, policies, settling
from tests.vectors.form import Group


def groups() -> Iterator[Group]:
    """Every group of this section."""
    yield policies.policies()
    yield policies.steps()
    yield chains.chains()
    yield bindings.bindings()
    yield settling.settling()
    yield settling.mailboxes()
    yield admissions.admissions()
    yield bindings.consumers()
