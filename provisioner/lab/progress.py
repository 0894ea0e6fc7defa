"""How building and starting tells what it does: one line per finished step, with its time, to whoever asked.

The lab never prints. A `Progress` is called once per step, when the step is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str], None]


def silent(line: str) -> None:
    """A Progress for who does not want to know."""


@contextmanager
def step(progress: Progress, what: str) -> Iterator[None]:
    """Report `what` with the seconds it took when the block ends without an error."""
    begin_s = time.monotonic()
    yield
    progress(f"{what} ({time.monotonic() - begin_s:.1f} s)")
