"""A hikube in one thread and virtual time whose controller is shown at a free port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.lifecycle.assembly import controller_of
from server.address import Address
from server.fleet_metrics import FRESH_S
from server.service import ControllerService
from tests.lifecycle.world import World
from tests.server.scraping import Answer, Samples, get

LOCAL = Address("127.0.0.1", 0)


class Shown(World):
    """A world whose controller is built as `hikube controller --listen` builds it."""

    service: ControllerService

    def show(self, service: ControllerService) -> None:
        """A fresh controller, measured; its calls of the store are counted, those of the test are not."""
        self.service = service
        self.ports = replace(self.ports, store=service.counted(self.store), observer=service.steps)
        self.controller = controller_of(self.ports, workers=0, measures=service.measures)

    def scrape(self) -> Samples:
        """What Prometheus reads now."""
        self.clock.advance(10 * FRESH_S)
        answer = get(f"{self.service.url}/metrics")
        assert answer.status == 200
        return Samples(answer.text)

    def ask(self, path: str) -> Answer:
        """What a kubelet reads."""
        return get(f"{self.service.url}{path}")


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    """An empty world, whose controller leads; nothing was listed yet."""
    world = Shown(tmp_path)
    with ControllerService(LOCAL, clock=world.clock, version="1.2.3", store="memory") as service:
        world.show(service)
        with service.showing(world.controller):
            yield world
