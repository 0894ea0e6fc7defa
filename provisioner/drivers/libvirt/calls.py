"""Time limits on calls that cannot be interrupted.

A call into libvirt blocks its thread for as long as the host pleases; a driver stuck in the kernel can make that forever. Calls
therefore run in a few worker threads, and the caller waits for the answer no longer than it said. What was given up runs on in
its thread until it returns; its answer is thrown away.

Invariants: at most `limit` calls of one `Calls` run at a time; a call whose caller gave up before it began is never begun; the
threads never keep the process alive.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class TimeLimitError(Exception):
    """The call did not return in its time. Internal to the driver: the connection turns it into HostTimeout."""


class Progressing:
    """Lets a long call say that it is getting on; the time limit counts from the last `beat`."""

    def __init__(self) -> None:
        self._last_beat_s = time.monotonic()

    def beat(self) -> None:
        """Start the time limit anew."""
        self._last_beat_s = time.monotonic()

    def silent_s(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - self._last_beat_s


class _Call(Generic[T]):
    """One call on its way: what to do, and what became of it."""

    def __init__(self, function: Callable[[], T], discard: Callable[[T], None] | None) -> None:
        self.finished = threading.Event()
        self.result: T | None = None
        self.error: BaseException | None = None
        self._function = function
        self._discard = discard
        self._given_up = False
        self._lock = threading.Lock()

    def give_up(self) -> bool:
        """Stop caring; False if it has finished after all."""
        with self._lock:
            self._given_up = not self.finished.is_set()
            return self._given_up

    def execute(self) -> None:
        """Run it, unless nobody waits for it any more."""
        if self._given_up:
            return
        try:
            self.result = self._function()
        except BaseException as error:  # noqa: BLE001  handed over to the waiting thread, which raises it
            self.error = error
        with self._lock:
            if not self._given_up:
                self.finished.set()
                return
        if self.error is None and self._discard is not None:
            self._discard(self.result)


class Calls:
    """A few threads in which calls run under time limits. Safe to use from several threads."""

    def __init__(self, *, name: str, limit: int = 8) -> None:
        self._name = name
        self._limit = limit
        self._queue: queue.SimpleQueue[_Call[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._workers = 0
        self._open_calls = 0
        self._hanging = 0
        self._is_stopped = False

    @property
    def hanging(self) -> int:
        """Calls that were given up and have not come back."""
        return self._hanging

    def run(
        self,
        function: Callable[[], T],
        *,
        timeout_s: float,
        progressing: Progressing | None = None,
        discard: Callable[[T], None] | None = None,
    ) -> T:
        """What `function` returns or raises, within `timeout_s`.

        Args:
            function: the call.
            timeout_s: how long to wait; with `progressing`, how long to wait between two signs of life.
            progressing: gets a `beat()` whenever the call gets on.
            discard: receives a result that came too late, to give it back.

        Raises:
            TimeLimitError: it did not return in time; it may still take effect.
        """
        call: _Call[T] = _Call(function, discard)
        self._submit(call)
        if not _wait(call, timeout_s, progressing or Progressing()) and call.give_up():
            with self._lock:
                self._hanging += 1
            raise TimeLimitError
        if call.error is not None:
            raise call.error
        return call.result  # type: ignore[return-value]  # no error, so it is a T

    def stop(self) -> None:
        """Let the workers end when their present calls return."""
        with self._lock:
            self._is_stopped = True
            for _ in range(self._workers):
                self._queue.put(None)
            self._workers = 0

    def _submit(self, call: _Call[Any]) -> None:
        with self._lock:
            self._open_calls += 1
            if self._is_stopped or self._workers < min(self._open_calls, self._limit):
                self._workers += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._workers}", daemon=True).start()
            self._queue.put(call)
            if self._is_stopped:
                self._queue.put(None)  # for the worker that this late call was given

    def _work(self) -> None:
        while (call := self._queue.get()) is not None:
            call.execute()
            with self._lock:
                self._open_calls -= 1
                if not call.finished.is_set():
                    self._hanging -= 1


def _wait(call: _Call[T], timeout_s: float, progressing: Progressing) -> bool:
    while not call.finished.is_set():
        left_s = timeout_s - progressing.silent_s()
        if left_s <= 0:
            return False
        call.finished.wait(left_s)
    return True
