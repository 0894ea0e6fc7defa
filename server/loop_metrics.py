"""Metrics of the control loop: passes, the queue, when it last turned; of its steps; and of its calls of the store."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from provisioner.lifecycle.measures import Outcome
from provisioner.lifecycle.queue import QueueState
from provisioner.model.clock import Clock
from provisioner.model.metadata import Key
from server.health import Health

PASS_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
CALL_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
STEP_BUCKETS_S = (0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
STARTS_KEPT = 20_000
"""Steps under way whose beginning is known; the oldest are forgotten, and counted without a time when they fail."""

QueueLook = Callable[[], QueueState]


class LoopMetrics:
    """The controller's Measures. Tells the health of the loop as well, which knows when it turned."""

    def __init__(self, registry: CollectorRegistry, *, health: Health, clock: Clock) -> None:
        self._health = health
        self._clock = clock
        self._passes = Histogram(
            "hikube_reconcile_seconds",
            "Passes of the reconcilers, by kind and result: done, again, conflict, failed",
            ("kind", "result"),
            registry=registry,
            buckets=PASS_BUCKETS_S,
        )
        for name, text, age_s in (
            ("turn", "the loop last turned", lambda: health.turn_age_s),
            ("answer", "the store last answered the loop", lambda: health.answer_age_s),
            ("listing", "everything was last listed", lambda: health.listing_age_s),
        ):
            gauge = Gauge(f"hikube_loop_last_{name}_timestamp_seconds", f"When {text}; 0: never", registry=registry)
            gauge.set_function(lambda age_s=age_s: self._moment_s(age_s()))  # type: ignore[misc]

    def pass_begins(self) -> float:
        """As Measures says."""
        return time.perf_counter()

    def pass_ends(self, key: Key, outcome: Outcome, began: float) -> None:
        """As Measures says."""
        self._passes.labels(key.kind, outcome.value).observe(time.perf_counter() - began)

    def turned(self, *, heard: bool) -> None:
        """As Measures says."""
        self._health.turned(heard=heard)

    def listed(self) -> None:
        """As Measures says."""
        self._health.listed()

    def _moment_s(self, age_s: float | None) -> float:
        return 0.0 if age_s is None else self._clock.now_s() - age_s


class QueueCollector(Collector):
    """Looks at the queue when it is asked; there is none before the loop runs here."""

    def __init__(self) -> None:
        self._look: QueueLook | None = None

    def look_with(self, look: QueueLook | None) -> None:
        """Look in this way from now on."""
        self._look = look

    def collect(self) -> list[Metric]:
        """Two families, empty before the loop runs."""
        keys = GaugeMetricFamily("hikube_queue_keys", "Keys in the queue: due, later, in_flight", labels=("state",))
        oldest = GaugeMetricFamily("hikube_queue_oldest_due_seconds", "For how long a key has been due; the longest")
        if self._look is not None:
            state = self._look()
            for name, number in (("due", state.due), ("later", state.later), ("in_flight", state.in_flight)):
                keys.add_metric((name,), number)
            oldest.add_metric((), state.oldest_due_s)
        return [keys, oldest]


class StepMetrics:
    """An Observer: how the steps of the tables end, and how long they took."""

    def __init__(self, registry: CollectorRegistry, *, clock: Clock) -> None:
        self._clock = clock
        self._begun: dict[tuple[Key, str], float] = {}
        labels = ("kind", "step", "result")
        self._ends = Counter(
            "hikube_steps_total", "Steps that ended, by result: done, failed, undone", labels, registry=registry
        )
        self._seconds = Histogram(
            "hikube_step_seconds",
            "From the first attempt of a step until it held or was given up: done, failed",
            labels,
            registry=registry,
            buckets=STEP_BUCKETS_S,
        )

    def step_started(self, key: Key, step: str) -> None:
        """Remembered: how long it took to fail is known here only."""
        self._begun[(key, step)] = self._clock.monotonic_s()
        while len(self._begun) > STARTS_KEPT:
            self._begun.pop(next(iter(self._begun)), None)

    def step_waiting(self, key: Key, step: str, message: str) -> None:
        """It did not end."""

    def step_finished(self, key: Key, step: str, duration_s: float, message: str) -> None:
        """It holds."""
        self._begun.pop((key, step), None)
        self._ends.labels(key.kind, step, "done").inc()
        self._seconds.labels(key.kind, step, "done").observe(max(0.0, duration_s))

    def step_undone(self, key: Key, step: str) -> None:
        """It was taken back."""
        self._begun.pop((key, step), None)
        self._ends.labels(key.kind, step, "undone").inc()

    def failed(self, key: Key, step: str, message: str) -> None:
        """It was given up; one that began in another process is counted without a time."""
        begun_s = self._begun.pop((key, step), None)
        self._ends.labels(key.kind, step, "failed").inc()
        if begun_s is not None:
            self._seconds.labels(key.kind, step, "failed").observe(self._clock.monotonic_s() - begun_s)


class StoreMetrics:
    """What CountedStore tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter(
            "hikube_store_calls_total",
            "Calls of the store, by method, kind and code: ok, or that of the error",
            ("verb", "kind", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "hikube_store_call_seconds",
            "How long calls of the store took; watches, which wait, are not among them",
            ("verb", "kind"),
            registry=registry,
            buckets=CALL_BUCKETS_S,
        )

    def called(self, verb: str, kind: str, *, code: str, duration_s: float) -> None:
        """A call has ended."""
        self._calls.labels(verb, kind, code).inc()
        if verb != "watch":
            self._seconds.labels(verb, kind).observe(duration_s)
