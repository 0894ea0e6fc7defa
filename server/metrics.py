"""All metrics of one controller process, as Prometheus reads them. docs/reference/metrics.md has each; a test holds the two.

Every process has its own registry, so that two in one test do not meet. Names begin with `hikube_`, save those of the process
itself (`process_*`: CPU, memory, open files), which are everybody's.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from provisioner.model.clock import Clock
from server.fleet_metrics import FleetCollector
from server.health import Health
from server.loop_metrics import LoopMetrics, QueueCollector, StepMetrics, StoreMetrics

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which says when it began


class Metrics:
    """The registry and everything in it."""

    def __init__(self, *, health: Health, clock: Clock, version: str, store: str) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self.loop = LoopMetrics(self._registry, health=health, clock=clock)
        self.steps = StepMetrics(self._registry, clock=clock)
        self.store = StoreMetrics(self._registry)
        self.queue = QueueCollector()
        self.fleet = FleetCollector(clock)
        for collector in (self.queue, self.fleet):
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        leader = Gauge("hikube_leader", "Whether the control loop runs in this process", registry=self._registry)
        leader.set_function(lambda: float(health.is_leading))
        build = Gauge(
            "hikube_build_info", "Always 1; what runs, on which store", ("version", "python", "store"), registry=self._registry
        )
        build.labels(version, platform.python_version(), store).set(1)

    def text(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        return generate_latest(self._registry)

    def names(self) -> Iterable[str]:
        """Of every family of ours, as a query names it: a histogram by its base name, a counter with `_total`."""
        for family in self._registry.collect():
            if family.name.startswith("hikube_"):
                yield f"{family.name}_total" if family.type == "counter" else family.name
