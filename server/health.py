"""Whether a controller lives, and whether it is ready: what a kubelet asks.

    begins ──waits()──> waits for the lease ──leads()──> leads ──ends(), or it is told to stop──> ends
    alive, not ready    alive, ready                     alive: the loop turned lately            alive, not ready
                                                         ready: all was listed, and the store answered lately

Times are monotonic, so a clock that is set changes nothing. An API server that is away is no reason to be killed: the loop goes
on turning then, and only readiness tells.
"""

from __future__ import annotations

import enum
import threading
from dataclasses import dataclass

from provisioner.model.clock import Clock

TURN_LIMIT_S = 180.0
"""A turn waits half a second for changes, and as long as requests take where everything is listed from a slow API server."""
ANSWER_LIMIT_S = 60.0
"""A request that is not answered ends after 30 s."""


class Stage(enum.Enum):
    """Where in its life the process is."""

    BEGINS = "begins"
    WAITS = "waits for the lease of the control loop"
    LEADS = "leads"
    ENDS = "ends"


@dataclass(frozen=True, slots=True)
class Answer:
    """Yes or no, and why."""

    is_yes: bool
    why: str


class Health:
    """Safe to use from several threads. `stop` is set when the process is told to end, perhaps long before it has."""

    def __init__(self, clock: Clock, *, stop: threading.Event | None = None) -> None:
        self._clock = clock
        self._stop = stop or threading.Event()
        self._lock = threading.Lock()
        self._stage = Stage.BEGINS
        self._since_s = clock.monotonic_s()
        """When the stage began."""
        self._turned_s: float | None = None
        self._heard_s: float | None = None
        self._listed_s: float | None = None

    def waits(self) -> None:
        """Another replica may lead; this one is ready to follow it."""
        self._enter(Stage.WAITS)

    def leads(self) -> None:
        """The control loop is about to run here."""
        self._enter(Stage.LEADS)

    def ends(self) -> None:
        """What is in flight ends; nothing more begins."""
        self._enter(Stage.ENDS)

    @property
    def is_leading(self) -> bool:
        """Whether the loop runs here, be it to end what is in flight."""
        return self._stage is Stage.LEADS

    def turned(self, *, heard: bool) -> None:
        """The loop turned; `heard`: the store answered."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            self._turned_s = now_s
            if heard:
                self._heard_s = now_s

    def listed(self) -> None:
        """Every object was listed."""
        with self._lock:
            self._listed_s = self._clock.monotonic_s()

    @property
    def turn_age_s(self) -> float | None:
        """Seconds since the loop last turned; None: it never did."""
        return self._age_s(self._turned_s)

    @property
    def answer_age_s(self) -> float | None:
        """Seconds since the store last answered the loop; None: it never did."""
        return self._age_s(self._heard_s)

    @property
    def listing_age_s(self) -> float | None:
        """Seconds since everything was listed; None: it never was."""
        return self._age_s(self._listed_s)

    def alive(self) -> Answer:
        """Whether to leave the process alone; a no means that it hangs and is to be started anew."""
        with self._lock:
            if (stage := self._now()) is not Stage.LEADS:
                return Answer(True, stage.value)
            last_s = max(self._since_s, self._turned_s or self._since_s)
            age_s = self._clock.monotonic_s() - last_s
        words = "the loop turned" if self._turned_s is not None else "the loop was begun, and has not turned,"
        return Answer(age_s <= TURN_LIMIT_S, f"{words} {age_s:.1f} s ago; {TURN_LIMIT_S:.0f} s are allowed")

    def ready(self) -> Answer:
        """Whether it does its work, or would at once if the leader went."""
        with self._lock:
            stage, listed_s, heard_s = self._now(), self._listed_s, self._heard_s
        if stage is not Stage.LEADS:
            return Answer(stage is Stage.WAITS, stage.value)
        if listed_s is None or heard_s is None:
            return Answer(False, "leads; the store was not listed yet")
        age_s = self._clock.monotonic_s() - heard_s
        return Answer(
            age_s <= ANSWER_LIMIT_S, f"leads; the store answered {age_s:.1f} s ago; {ANSWER_LIMIT_S:.0f} s are allowed"
        )

    def _now(self) -> Stage:
        return Stage.ENDS if self._stop.is_set() else self._stage

    def _enter(self, stage: Stage) -> None:
        with self._lock:
            self._stage, self._since_s = stage, self._clock.monotonic_s()

    def _age_s(self, moment_s: float | None) -> float | None:
        return None if moment_s is None else self._clock.monotonic_s() - moment_s
