"""The steps of the control loop as log lines: an observer for `hikube controller`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provisioner.model.metadata import Key


class StepLog:
    """One line per step; each says its step apart from the text, for whoever reads JSON."""

    def __init__(self) -> None:
        self._log = logging.getLogger("hikube.steps")

    def step_started(self, key: Key, step: str) -> None:
        """Only of interest when looking closely."""
        self._log.debug("%s: %s begins", key, step, extra={"step": step})

    def step_waiting(self, key: Key, step: str, message: str) -> None:
        """Repeated many times; only of interest when looking closely."""
        self._log.debug("%s: %s waits: %s", key, step, message, extra={"step": step})

    def step_finished(self, key: Key, step: str, duration_s: float, message: str) -> None:
        """A step holds."""
        self._log.info("%s: %s ok after %.1f s %s", key, step, duration_s, message, extra={"step": step})

    def step_undone(self, key: Key, step: str) -> None:
        """What a step had made is gone."""
        self._log.info("%s: %s undone", key, step, extra={"step": step})

    def failed(self, key: Key, step: str, message: str) -> None:
        """An attempt was given up."""
        self._log.warning("%s: %s failed: %s", key, step, message, extra={"step": step})
