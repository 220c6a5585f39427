"""Consumer policies that a home keeps, so that its node can be asked by their ids, and so can those linked with it.

``policies/`` has one file for each, named by its id. A statement that nobody signs needs no more: whoever reads one
checks it against the id it was asked for by.
"""

from __future__ import annotations

from typing import Final

from holo.core.cid import Cid
from holo.core.consumer import ConsumerPolicy
from holo.core.errors import HoloError
from holo.core.limits import CONSUMER_POLICY_BYTES
from holo.store.home import Home, make_private_folder, read_small, write_atomically

_SUFFIX: Final = ".policy"


class Packs:
    """The consumer policies of a home."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._folder = home.path / "policies"

    def keep(self, policy: ConsumerPolicy) -> None:
        """Keep a policy, durably."""
        make_private_folder(self._home.create().path / "policies")
        write_atomically(self._folder / f"{policy.id!s}{_SUFFIX}", policy.statement.bytes)

    def find(self, cid: Cid) -> bytes | None:
        """The bytes of the policy ``cid``; None where it is not kept, or the file is not what it is named by."""
        try:
            data = read_small(self._folder / f"{cid!s}{_SUFFIX}", CONSUMER_POLICY_BYTES)
        except (OSError, HoloError):
            return None
        return data if data is not None and cid.matches(data) else None
