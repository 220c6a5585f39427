"""How many connections this process can hold: each takes a descriptor, and the system limits those (getrlimit(2)).

Run out of them, a node can accept nobody and open nothing. So the limit is raised as far as the system allows, and
where that is not far enough, fewer connections are taken than the profile says: then those that are idle make room.
"""

from __future__ import annotations

import resource
from typing import Final

import msgspec
import structlog

from holo.profile import Http

SPARE: Final = 64
"""Descriptors for everything else: the stores, the event loop, the log, a file that is read in passing."""

_log = structlog.get_logger("holo.http")


def within_descriptors(http: Http) -> Http:
    """``http`` with as many connections as this process has descriptors for, once its limit is raised."""
    allowed = _raise_limit(http.max_connections + SPARE)
    connections = max(1, allowed - SPARE)
    if connections >= http.max_connections:
        return http
    _log.warning("fewer connections than the profile allows", connections=connections, descriptors=allowed)
    return msgspec.structs.replace(http, max_connections=connections)


def _raise_limit(wanted: int) -> int:
    """Raise the soft limit to ``wanted`` where it is lower, as far as the hard one lets it; what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    goal = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
    except (OSError, ValueError):  # some systems have a limit beside the hard one
        return soft
    return goal
