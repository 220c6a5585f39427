"""A verb run where there is no network: ``python -m holo.cli.demo.offline HOST PORT VERB…``.

Before the verb starts, every way to a socket is closed (an audit hook that cannot be taken off again; and, where the
caller could give this process a network namespace of its own, there is no network either), and it is shown closed: the
connection to HOST:PORT, which works outside, must fail. Exit 99 if it does not.
"""

from __future__ import annotations

import socket
import sys
from typing import Any, Final

NOT_DENIED: Final = 99
DENIED_LINE: Final = "networking denied"


def deny_networking() -> None:
    """Refuse every socket this process asks for, from now on, for good."""

    def refuse(event: str, args: tuple[Any, ...]) -> None:
        if event.startswith("socket."):
            raise PermissionError(f"{event} is denied here")

    sys.addaudithook(refuse)


def is_denied(host: str, port: int) -> bool:
    """Whether a connection to ``host:port`` fails."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return True
    return False


def main() -> int:
    """Close the network, show that it is closed, then run the verb."""
    from holo.cli.main import run

    host, port, *verb = sys.argv[1:]
    deny_networking()
    if not is_denied(host, int(port)):
        return NOT_DENIED
    sys.stderr.write(DENIED_LINE + "\n")
    return run(verb)


if __name__ == "__main__":
    sys.exit(main())
