"""Who wants to hear how a reconcile goes: the command line's progress lines, tests, nobody.

Observers must return at once and never raise; they are told, they do not decide.
"""

from __future__ import annotations

from typing import Protocol

from provisioner.model.metadata import Key


class Observer(Protocol):
    """Told about steps as they happen."""

    def step_started(self, key: Key, step: str) -> None:
        """The step is attempted for the first time in this attempt at the whole."""

    def step_waiting(self, key: Key, step: str, message: str) -> None:
        """The step does not hold yet."""

    def step_finished(self, key: Key, step: str, duration_s: float, message: str) -> None:
        """The step holds; `duration_s` since it was first attempted."""

    def step_undone(self, key: Key, step: str) -> None:
        """What the step had made is gone, or was never there."""

    def failed(self, key: Key, step: str, message: str) -> None:
        """The attempt was given up in this step; what was done is being undone."""


class Silence:
    """The observer that nobody listens to."""

    def step_started(self, key: Key, step: str) -> None:
        """Nothing."""

    def step_waiting(self, key: Key, step: str, message: str) -> None:
        """Nothing."""

    def step_finished(self, key: Key, step: str, duration_s: float, message: str) -> None:
        """Nothing."""

    def step_undone(self, key: Key, step: str) -> None:
        """Nothing."""

    def failed(self, key: Key, step: str, message: str) -> None:
        """Nothing."""


class Several:
    """Tells each of several observers, in order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def step_started(self, key: Key, step: str) -> None:
        """To each."""
        for observer in self._observers:
            observer.step_started(key, step)

    def step_waiting(self, key: Key, step: str, message: str) -> None:
        """To each."""
        for observer in self._observers:
            observer.step_waiting(key, step, message)

    def step_finished(self, key: Key, step: str, duration_s: float, message: str) -> None:
        """To each."""
        for observer in self._observers:
            observer.step_finished(key, step, duration_s, message)

    def step_undone(self, key: Key, step: str) -> None:
        """To each."""
        for observer in self._observers:
            observer.step_undone(key, step)

    def failed(self, key: Key, step: str, message: str) -> None:
        """To each."""
        for observer in self._observers:
            observer.failed(key, step, message)
