"""Metrics of hosts, GPUs, claims and VMs: counted when somebody asks, from what the controller knows at that moment.

    scrape ──> FleetCollector ──(not looked for a while?)──> look ──> figures ──> families
                     └──(looked a moment ago, or somebody is looking)──> the figures of that look

A look is bounded in cost: it takes at most a twentieth of the time between two looks, and only one is under way. Whoever finds
it busy waits a little and takes the figures of before. Only the process that leads has a fleet to look at.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from provisioner.lifecycle.fleet import Known
from provisioner.model.clock import Clock
from provisioner.model.errors import HikubeError
from provisioner.model.virtual_machine import Phase
from server.figures import CLAIM_STATES, GPU_STATES, OTHER, REASONS_MAX, Figures, bounded, figures_of, models_shown

log = logging.getLogger("hikube.metrics")

Look = Callable[[], Known]

FRESH_S = 2.0
"""Figures of so short a while ago are as good as new."""
SHARE = 20.0
"""How many times as long as a look took nobody looks again."""
BUSY_WAIT_S = 3.0
"""Shorter than a scrape may take."""
MINUTE = 60
TO_READY_BUCKETS_S = (10, 30, MINUTE, 90, 2 * MINUTE, 180, 300, 600, 900, 1800, 3600, 4 * 3600)


class FleetCollector(Collector):
    """See the module. `look` returns what is known; without one (nobody leads here) there is nothing to tell."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._look: Look | None = None
        self._lock = threading.Lock()
        self._figures: Figures | None = None
        self._next_look_s = float("-inf")
        self._took_s = 0.0
        self._seen_until_s = clock.now_s()
        """VMs that were ready before are none of this process's."""
        self._seen: set[str] = set()
        self._to_ready = Histogram(
            "hikube_time_to_ready_seconds",
            "From the creation of a VM until it was first proven, of those that this process found proven",
            ("kind",),
            registry=None,
            buckets=TO_READY_BUCKETS_S,
        )

    def look_with(self, look: Look | None) -> None:
        """Look in this way from now on; None: nobody leads here any more."""
        with self._lock:
            self._look, self._figures, self._next_look_s = look, None, float("-inf")

    def describe(self) -> Iterable[Metric]:
        """The families, without looking."""
        return [*_families(Figures()), *self._told(0.0, is_known=False), *self._to_ready.describe()]

    def collect(self) -> Iterator[Metric]:
        """The families as they are now, or were a moment ago."""
        if self._lock.acquire(timeout=BUSY_WAIT_S):
            try:
                self._look_again()
            finally:
                self._lock.release()
        figures = self._figures
        yield from self._told(self._took_s, is_known=figures is not None)
        if figures is not None:
            yield from _families(figures)
        yield from self._to_ready.collect()

    def _look_again(self) -> None:
        began_s = self._clock.monotonic_s()
        if self._look is None or began_s < self._next_look_s:
            return
        try:
            figures = figures_of(self._look(), now_s=self._clock.now_s())
        except HikubeError as error:
            log.warning("the fleet cannot be counted: %s", error)
            self._figures, self._next_look_s = None, self._clock.monotonic_s() + FRESH_S
            return
        ended_s = self._clock.monotonic_s()
        self._took_s = ended_s - began_s
        self._next_look_s = ended_s + max(FRESH_S, SHARE * self._took_s)
        self._note_ready(figures)
        self._figures = figures

    def _note_ready(self, figures: Figures) -> None:
        """Each VM is told once: the first time that it is seen proven."""
        for each in figures.first_ready:
            if each.uid not in self._seen and each.moment_s >= self._seen_until_s:
                self._to_ready.labels(each.kind).observe(each.after_s)
        self._seen = {each.uid for each in figures.first_ready}

    def _told(self, took_s: float, *, is_known: bool) -> Iterator[Metric]:
        yield _gauge("hikube_fleet_known", "Whether this process leads and could count the fleet").one(float(is_known))
        yield _gauge("hikube_fleet_look_seconds", "How long it took to count the fleet").one(took_s)


class _Gauge(GaugeMetricFamily):
    """A family that is filled in one expression."""

    def one(self, value: float) -> _Gauge:
        self.add_metric((), value)
        return self

    def all(self, counts: Iterable[tuple[tuple[str, ...], float]]) -> _Gauge:
        for labels, value in counts:
            self.add_metric(labels, value)
        return self


def _gauge(name: str, text: str, *labels: str) -> _Gauge:
    return _Gauge(name, text, labels=labels)


def _families(figures: Figures) -> Iterator[Metric]:
    shown = figures.hosts_shown
    models = models_shown(figures.gpus, figures.wanted)
    yield _gauge("hikube_gpus", "GPUs by model and state", "model", "state").all(_every_state(figures, models))
    yield _gauge("hikube_host_gpus", "GPUs of a host by model and state", "host", "model", "state").all(
        _folded(
            ((host, _or_other(model, models), state), n)
            for (host, model, state), n in figures.gpus_of_hosts.items()
            if host in shown
        )
    )
    wanted = _folded(((_or_other(model, models),), number) for model, number in figures.wanted.items())
    yield _gauge("hikube_gpus_wanted", "GPUs that VMs wait for which no host takes, by model", "model").all(wanted)
    reached = sum(figures.hosts.values())
    counts: list[tuple[tuple[str, ...], float]] = [(("reachable",), reached), (("away",), len(figures.hosts) - reached)]
    yield _gauge("hikube_hosts", "Hosts by whether they were reached", "state").all(counts)
    yield _gauge("hikube_host_reachable", "Whether the host was reached when it was last looked at", "host").all(
        ((name,), float(is_reached)) for name, is_reached in sorted(figures.hosts.items()) if name in shown
    )
    yield _gauge("hikube_hosts_not_shown", "Hosts without metrics of their own: there are too many").one(
        len(figures.hosts) - len(shown)
    )
    yield from _machine_families(figures)


def _machine_families(figures: Figures) -> Iterator[Metric]:
    yield _gauge("hikube_claims", "GPU claims by state", "state").all(
        ((state,), figures.claims[state]) for state in CLAIM_STATES
    )
    yield _gauge("hikube_oldest_released_claim_seconds", "For how long a GPU has been on its way home; the longest").one(
        figures.oldest_released_s
    )
    kinds = ("VirtualMachine", "VMInstance")
    phases = (((kind, phase.value), figures.machines[(kind, phase.value)]) for kind in kinds for phase in Phase)
    yield _gauge("hikube_vms", "VMs by kind and phase", "kind", "phase").all(phases)
    reasons = bounded(figures.waiting, REASONS_MAX)
    yield _gauge("hikube_vms_waiting", "VMs that wait for a host, by the reason", "reason").all(
        ((reason,), number) for reason, number in sorted(reasons.items())
    )


def _every_state(figures: Figures, models: frozenset[str]) -> Iterable[tuple[tuple[str, ...], float]]:
    """Also states that no GPU has: a series that is not there cannot be compared with 0."""
    counts = _folded(((_or_other(model, models), state), number) for (model, state), number in figures.gpus.items())
    known = sorted({model for (model, _), _ in counts})
    by_labels = dict(counts)
    return [((model, state), by_labels.get((model, state), 0)) for model in known for state in GPU_STATES]


def _folded(counts: Iterable[tuple[tuple[str, ...], int]]) -> list[tuple[tuple[str, ...], float]]:
    """One entry for each combination of labels, in order."""
    totals: Counter[tuple[str, ...]] = Counter()
    for labels, number in counts:
        totals[labels] += number
    return sorted(totals.items())


def _or_other(model: str, models: frozenset[str]) -> str:
    return model if model in models else OTHER
