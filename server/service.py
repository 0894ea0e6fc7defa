"""What one process of `hikube controller` shows: health and metrics, over HTTP, from before it leads until it has ended.

    with ControllerService(address, …) as service:
        service.health.waits()                          a replica that waits is ready, and says so
        loop = build_controller(service.counted(store), observer=…service.steps…, measures=service.measures)
        with service.showing(loop): loop.run_forever(stop)

Nothing is served outside of the `with`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from provisioner.lifecycle.controller import Controller
from provisioner.lifecycle.measures import Measures
from provisioner.lifecycle.progress import Observer
from provisioner.model.clock import Clock
from provisioner.store.counted import CountedStore
from provisioner.store.protocol import Store
from server.address import Address
from server.endpoint import Endpoint, Page
from server.health import Answer, Health
from server.metrics import CONTENT_TYPE, Metrics

TEXT = "text/plain; charset=utf-8"


class ControllerService:
    """Serves inside the `with`. `stop`: set when the process is told to end.

    Raises:
        InvalidInput, Conflict, NotAllowed: on entering; see Endpoint.
    """

    def __init__(
        self, address: Address, *, clock: Clock, version: str, store: str, stop: threading.Event | None = None
    ) -> None:
        self.health = Health(clock, stop=stop)
        self.metrics = Metrics(health=self.health, clock=clock, version=version, store=store)
        pages = {
            "/metrics": lambda: Page(200, self.metrics.text(), CONTENT_TYPE),
            "/healthz": lambda: _page(self.health.alive()),
            "/readyz": lambda: _page(self.health.ready()),
        }
        self._endpoint = Endpoint(address, pages)

    @property
    def url(self) -> str:
        """Where it serves, with the port that it has got."""
        return self._endpoint.url

    @property
    def measures(self) -> Measures:
        """For the controller."""
        return self.metrics.loop

    @property
    def steps(self) -> Observer:
        """For the controller, beside others."""
        return self.metrics.steps

    def counted(self, store: Store) -> Store:
        """The store, whose calls are counted from now on."""
        return CountedStore(store, self.metrics.store.called)

    @contextmanager
    def showing(self, controller: Controller) -> Iterator[None]:
        """This process leads, with this controller, inside the context; afterwards it ends."""
        self.metrics.queue.look_with(controller.queue.state)
        self.metrics.fleet.look_with(controller.known)
        self.health.leads()
        try:
            yield
        finally:
            self.health.ends()
            self.metrics.fleet.look_with(None)
            self.metrics.queue.look_with(None)

    def __enter__(self) -> ControllerService:
        self._endpoint.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.health.ends()
        self._endpoint.stop()


def _page(answer: Answer) -> Page:
    return Page(200 if answer.is_yes else 503, f"{'ok' if answer.is_yes else 'no'}: {answer.why}\n".encode(), TEXT)
