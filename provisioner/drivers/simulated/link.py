"""One open connection to a simulated host: calls go through it until it is closed, or lost. A lost one stays dead."""

from __future__ import annotations

from contextlib import AbstractContextManager

from provisioner.drivers.simulated.host import DEFAULT_LIMIT_S, SimulatedHost
from provisioner.drivers.simulated.state import HostState
from provisioner.model.errors import HostUnreachable


class Link:
    """Shared by the parts of one hypervisor."""

    def __init__(self, host: SimulatedHost) -> None:
        self.host = host
        self.is_closed = False
        self._losses = host.watchers.losses

    @property
    def is_alive(self) -> bool:
        """Whether calls can go through it."""
        return not self.is_closed and self.host.watchers.losses == self._losses

    def call(self, name: str, *, subject: str = "", limit_s: float = DEFAULT_LIMIT_S) -> AbstractContextManager[HostState]:
        """See SimulatedHost.call.

        Raises:
            HostUnreachable: the connection was closed, or is lost.
        """
        if not self.is_alive:
            how = "closed" if self.is_closed else "lost"
            raise HostUnreachable(f"The connection to host {self.host.name} is {how}", context={"host": self.host.uri})
        return self.host.call(name, subject=subject, limit_s=limit_s)
