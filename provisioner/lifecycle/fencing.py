"""Hosts and guests that a deposed leader cannot change: before each call that changes something, the fence is asked.

    reconcilers ──> FencedConnector ──> connector ──> hypervisor ──> fence ──> bind, define, start, upload, …
                                                                └────────────> what only looks

Only calls that are known to change nothing pass unasked, so a new call is fenced until somebody says otherwise. What it cannot
do: a call that was let through is on its way, and may act on a host minutes later (a driver that lets go slowly, an upload),
when somebody else leads. He looks before he acts, and every call is safe to repeat, so it is as if one call was made twice; a
long upload bears a mark of its own. A process that has lost its leadership ends, and its jobs with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from provisioner.drivers.guest.protocol import GuestDoor, Guests
from provisioner.drivers.hypervisor import Connector, Hypervisor
from provisioner.drivers.machine_cluster import MachineCluster, MachineClusterConnector
from provisioner.model.guest_report import GuestReport
from provisioner.store.fenced import Fence

LOOKS = {
    "": frozenset({"subscribe", "close"}),
    "inventory": frozenset({"survey", "examine"}),
    "volumes": frozenset({"find", "list", "space"}),
    "devices": frozenset({"functions"}),
    "domains": frozenset({"look", "owned", "addresses"}),
    "networks": frozenset({"look", "published", "filters_bridges"}),
    "console": frozenset({"tail"}),
    "records": frozenset({"read"}),
}
"""By part of a hypervisor, the calls that change nothing."""
CLUSTER_LOOKS = {"": frozenset({"survey", "look", "owned", "subscribe", "close"})}
"""The same of a cluster, which has no parts."""


class FencedConnector:
    """Opens hypervisors on which only the leader changes anything."""

    def __init__(self, connector: Connector, fence: Fence) -> None:
        self._connector = connector
        self._fence = fence

    def connect(self, uri: str) -> Hypervisor:
        """As the connector does."""
        return cast(Hypervisor, _Fenced(self._connector.connect(uri), self._fence, looks=LOOKS))


class FencedClusters:
    """Opens clusters on which only the leader changes anything."""

    def __init__(self, connector: MachineClusterConnector, fence: Fence) -> None:
        self._connector = connector
        self._fence = fence

    def connect(self, uri: str) -> MachineCluster:
        """As the connector does."""
        return cast(MachineCluster, _Fenced(self._connector.connect(uri), self._fence, looks=CLUSTER_LOOKS))


class FencedGuests:
    """Guests that only the leader changes."""

    def __init__(self, guests: Guests, fence: Fence) -> None:
        self._guests = guests
        self._fence = fence

    def report(self, door: GuestDoor, *, timeout_s: float) -> GuestReport:
        """As Guests says; it changes nothing."""
        return self._guests.report(door, timeout_s=timeout_s)

    def hand_over(self, door: GuestDoor, *, timeout_s: float) -> None:
        """As Guests says."""
        self._fence()
        self._guests.hand_over(door, timeout_s=timeout_s)


class _Fenced:
    """Stands before a hypervisor or one of its parts; what was asked for once is at hand from then on."""

    def __init__(self, inner: Any, fence: Fence, *, looks: Mapping[str, frozenset[str]], part: str = "") -> None:
        self._inner = inner
        self._fence = fence
        self._looks = looks
        self._part = part

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value):
            found: Any = _Fenced(value, self._fence, looks=self._looks, part=name)
        else:
            found = value if name in self._looks.get(self._part, ()) else self._fenced(value)
        self.__dict__[name] = found
        return found

    def _fenced(self, value: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._fence()
            return value(*args, **kwargs)

        return call
