"""Where the ``holo`` command begins, before anything of it is loaded.

Loading click and a verb takes a tenth of a second, in which Ctrl-C would show where the loading was. So until the verb
runs, and once it is over, an interrupt simply ends the process; in between it is the verb's to end well.
"""

from __future__ import annotations

import signal
from typing import NoReturn

_HEEDED = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a shell may have had it ignored
if _HEEDED:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> NoReturn:
    """The ``holo`` command."""
    from holo.cli.main import main as run

    try:
        if _HEEDED:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        if _HEEDED:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
