"""A terminal in raw mode: every key goes through as it is, and the terminal is as it was afterwards, whatever happens.

A process that ends by a signal runs no `finally`, so the signals that ask it to end are turned into an exit while the mode is
raw. Only SIGKILL leaves a raw terminal behind; `reset` then helps.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


@contextmanager
def raw_terminal(terminal: TextIO | None) -> Iterator[None]:
    """Raw mode inside the block; nothing at all where there is no terminal."""
    if terminal is None:
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(terminal)
    handlers = {number: signal.signal(number, _exit) for number in ENDINGS}
    handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # whoever is stopped cannot restore anything
    try:
        tty.setraw(terminal, termios.TCSADRAIN)
        yield
    finally:
        with suppress(termios.error):  # the terminal itself may be gone
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _exit(number: int, _frame: object) -> None:
    sys.exit(128 + number)
