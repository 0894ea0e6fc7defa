"""A hypervisor whose silence is noticed: any call that ends in HostUnreachable tells the connections, for everybody's sake.

A call that has a `timeout_s` of its own may be slow by itself (a driver that does not let go, memory to pin): its HostTimeout
says nothing about the host and passes as it is. Any other call that times out means that the host is away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.drivers.machine_cluster import MachineCluster
from provisioner.lifecycle.ports import Connections
from provisioner.model.errors import HostTimeout, HostUnreachable


class _Watched:
    """Stands before one object of the driver and forwards everything; what was asked for once is at hand from then on."""

    def __init__(self, inner: Any, connections: Connections[Any], uri: str) -> None:
        self._inner = inner
        self._connections = connections
        self._uri = uri

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        found = self._watched(value) if callable(value) else _Watched(value, self._connections, self._uri)
        self.__dict__[name] = found
        return found

    def _watched(self, value: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return value(*args, **kwargs)
            except HostTimeout as error:
                if "timeout_s" in kwargs:
                    raise
                self._connections.lost(self._uri, str(error))
                raise HostUnreachable(error.what, why=error.why, hint=error.hint, context=error.context) from error
            except HostUnreachable as error:
                self._connections.lost(self._uri, str(error))
                raise

        return call


class WatchedHypervisor:
    """Makes watched connections."""

    @staticmethod
    def over(connections: Connections[Hypervisor], uri: str) -> Hypervisor:
        """A connection to `uri` whose failures are remembered. Raises as `Connections.to`."""
        return cast(Hypervisor, _Watched(connections.to(uri), connections, uri))


class WatchedCluster:
    """Makes watched connections to clusters."""

    @staticmethod
    def over(connections: Connections[MachineCluster], uri: str) -> MachineCluster:
        """The same of a cluster."""
        return cast(MachineCluster, _Watched(connections.to(uri), connections, uri))
