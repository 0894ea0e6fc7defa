"""The control loop itself: time moves, no pass breaks, nobody writes without end."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from provisioner.model.kinds import KINDS
from provisioner.model.metadata import Key
from tests.simulation.sight import HOSTS, TIME, Sight

EVERYTHING = frozenset({HOSTS, TIME, *KINDS})
LOOKS_AT_ONE_MOMENT_MAX = 3000
WRITES_MAX, WRITES_WITHIN_S = 300, 60.0
"""Of one object. A VM that is brought up is written some thirty times in all."""


class TimeMoves:
    """The controllers do not turn without end while no time passes."""

    name = "time-moves"
    watches = EVERYTHING

    def __init__(self) -> None:
        self._moment_s = -1.0
        self._looks = 0

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        if sight.now_s != self._moment_s:
            self._moment_s, self._looks = sight.now_s, 0
        self._looks += 1
        if self._looks > LOOKS_AT_ONE_MOMENT_MAX:
            yield f"the controllers have made {self._looks} passes in which something was done, and no time has passed"


class PassesDoNotBreak:
    """No pass ends with an exception that nobody foresaw: the control loop survives it, and says so in its log."""

    name = "passes-do-not-break"
    watches = EVERYTHING

    def __init__(self) -> None:
        _EAR.heard.clear()

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        while _EAR.heard:
            yield _EAR.heard.pop(0)


class NobodyWritesWithoutEnd:
    """No object is written again and again: a status that changes at every look wakes everybody who watches."""

    name = "nobody-writes-without-end"
    watches = EVERYTHING - {HOSTS}

    def __init__(self) -> None:
        self._since_s = 0.0
        self._writes: dict[Key, int] = {}

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        if sight.now_s - self._since_s > WRITES_WITHIN_S:
            self._since_s = sight.now_s
            self._writes.clear()
        for change in sight.changes:
            key = change.resource.key
            writes = self._writes[key] = self._writes.get(key, 0) + 1
            if writes > WRITES_MAX:
                yield f"{key} was written {writes} times within {sight.now_s - self._since_s:.0f} s"


class _Ear(logging.Handler):
    """Hears what the control loop says of passes that broke."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            self.heard.append(f"{record.getMessage()}: {type(error).__name__}: {error} ({_place(error)})")


def _place(error: BaseException) -> str:
    """Where it was raised: `fleet.py:42 in take`."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return "nobody knows where"
    code = traceback.tb_frame.f_code
    return f"{code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno} in {code.co_name}"


_EAR = _Ear()
"""One for all trials of this process, since loggers are the process's own; each trial begins with an empty one."""
logging.getLogger("hikube.controller").addHandler(_EAR)
