"""Pins: which nodes this one links with, and where they may be found (spec 8.3).

They lie in a file of the home, which verbs of the command line change beside the running node. What is read is kept
until the file is another one. Peers that the profile lists are pinned for as long as the node runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import structlog
import trio

from holo.core.errors import HoloError
from holo.core.keys import Kid

_log = structlog.get_logger("holo.net")

_LOOK_S: Final = 0.5  # how often the file is looked at

Peers = Mapping[Kid, tuple[str, ...]]


class PeersFile(Protocol):
    """The file, as :class:`holo.store.peers_file.PeersFile` has it."""

    def stamp(self) -> object:
        """Something that is equal for as long as the file is the same."""

    def addresses(self) -> dict[Kid, tuple[str, ...]]:
        """Every peer in the file with its addresses."""

    def add(self, peer: Kid, addresses: Sequence[str]) -> bool:
        """Pin a peer; False where it and its addresses were there already."""

    def remove(self, peer: Kid) -> bool:
        """Pin a peer no longer; False where it was not there."""


class Pins:
    """The pinned peers. Safe to be used from one thread at a time."""

    def __init__(self, file: PeersFile, fixed: Mapping[Kid, Sequence[str]] | None = None) -> None:
        """``fixed`` are peers that are pinned whatever the file says, with addresses tried before those there."""
        self._file = file
        self._fixed = {kid: tuple(addresses) for kid, addresses in (fixed or {}).items()}
        self._stamp: object = None
        self._peers: Peers | None = None

    def peers(self) -> Peers:
        """Every pinned peer with the addresses to try, as the file is now: the same object until that changes.

        A file that cannot be read leaves what was read before; at first, it raises what was wrong with it.
        """
        stamp = self._file.stamp()
        if self._peers is None or stamp != self._stamp:
            found = self._read()
            if found != self._peers:
                self._peers = found
            self._stamp = stamp
        return self._peers

    def _read(self) -> Peers:
        try:
            found = self._file.addresses()
        except (HoloError, OSError) as error:
            if self._peers is None:
                raise
            _log.warning("peers-unread", error=str(error))
            return self._peers
        for kid, addresses in self._fixed.items():
            found[kid] = tuple(dict.fromkeys((*addresses, *found.get(kid, ()))))
        return found

    def add(self, peer: Kid, addresses: Sequence[str]) -> bool:
        """Pin a peer, or add addresses to it; False where all of it was there already. Writes the file durably."""
        return self._file.add(peer, addresses)

    def remove(self, peer: Kid) -> bool:
        """Pin a peer no longer; False where the file has none such. One that the profile lists stays."""
        return self._file.remove(peer)

    async def changed(self, since: Peers | None = None) -> None:
        """Return once :meth:`peers` gives something else than ``since``, by default what it gave last."""
        seen = since if since is not None else self._peers if self._peers is not None else self.peers()
        while self.peers() is seen:  # noqa: ASYNC110 - another process writes the file
            await trio.sleep(_LOOK_S)
        await trio.lowlevel.checkpoint()
