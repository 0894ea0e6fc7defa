"""Progress of a transfer that this process makes itself: a live line on a terminal, otherwise a line for every tenth."""

from __future__ import annotations

import sys

from cli.output import has_live_line, say

MIB = 1 << 20


class Meter:
    """Counts bytes; it is the Progress of the drivers."""

    def __init__(self, verb: str, name: str) -> None:
        self._what = f"{verb} {name}"
        self._live = has_live_line()
        self._tenth = 0

    def __call__(self, done: int, total: int) -> None:
        """So many bytes of so many; a total of 0 is not known."""
        of = f" of {total // MIB} MiB" if total else " MiB"
        if self._live:
            sys.stderr.write(f"\r  ...  {self._what}  {done // MIB}{of} ")
            sys.stderr.flush()
        elif total and done * 10 // total > self._tenth:
            self._tenth = done * 10 // total
            say(f"  ...  {self._what}  {done // MIB}{of}")

    def end(self) -> None:
        """Remove the live line."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
