"""Everything that a reconciler may touch, handed in as one value; and connections that fail fast while a host is away.

A host that did not answer is not asked again for a few seconds: many VMs on a dead host cost one time-out, not one each.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from provisioner.drivers.guest.protocol import Guests
from provisioner.drivers.hypervisor import Connector, Hypervisor
from provisioner.drivers.images.protocol import Images
from provisioner.drivers.machine_cluster import MachineCluster, MachineClusterConnector
from provisioner.lifecycle.background import Background, Inline
from provisioner.lifecycle.fleet import Snapshots
from provisioner.lifecycle.host_watch import HostWatch
from provisioner.lifecycle.progress import Observer, Silence
from provisioner.model.clock import Clock, Identifiers, seconds, timestamp
from provisioner.model.errors import HostTimeout, HostUnreachable, Unsupported
from provisioner.model.tables import Tables
from provisioner.store.protocol import Store

CLOCKS_DIFFER_S = 60.0
"""More than clocks of machines differ that are kept right."""
FAIL_FAST_S = 3.0
"""Long enough to spare the workers, short enough that a host that is back is used at once."""


C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)


class Opener(Protocol[C_co]):
    """Opens hypervisors, or clusters."""

    def connect(self, uri: str) -> C_co:
        """An open connection."""
        ...


class NoClusters:
    """For whoever has to do with hypervisors alone."""

    def connect(self, uri: str) -> MachineCluster:
        """Refused."""
        raise Unsupported(f"{uri} is a KubeVirt cluster, and nothing here can reach one")


class Connections(Generic[C]):
    """Connections by URI with memory of who did not answer a moment ago."""

    def __init__(self, connector: Opener[C], clock: Clock) -> None:
        self._connector = connector
        self._clock = clock
        self._away: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def to(self, uri: str) -> C:
        """An open connection.

        Raises:
            HostUnreachable: it does not answer, or did not within the last FAIL_FAST_S seconds.
            InvalidInput, NotAllowed: as the connector.
        """
        with self._lock:
            since, why = self._away.get(uri, (-FAIL_FAST_S, ""))
        if self._clock.monotonic_s() - since < FAIL_FAST_S:
            raise HostUnreachable("the host did not answer a moment ago", why=why)
        try:
            return self._connector.connect(uri)
        except HostTimeout as error:
            self.lost(uri, str(error))
            raise HostUnreachable(error.what, why=error.why, hint=error.hint, context=error.context) from error
        except HostUnreachable as error:
            self.lost(uri, str(error))
            raise

    def lost(self, uri: str, why: str) -> None:
        """Remember that the host did not answer just now."""
        with self._lock:
            self._away[uri] = (self._clock.monotonic_s(), why)


@dataclass(frozen=True)
class Ports:
    """The seams, and what is handed in instead of globals."""

    store: Store
    connector: Connector
    guests: Guests
    images: Images
    clock: Clock
    identifiers: Identifiers
    tables: Tables
    background: Background = field(default_factory=Inline)
    observer: Observer = field(default_factory=Silence)
    time_scale: float = 1.0
    """Deadlines are multiplied by it; above 1 on machines measured to be slow."""
    clusters: MachineClusterConnector = field(default_factory=NoClusters)
    connections: Connections[Hypervisor] = field(init=False)
    cluster_connections: Connections[MachineCluster] = field(init=False)
    host_watch: HostWatch = field(init=False)
    snapshots: Snapshots = field(default_factory=Snapshots, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "connections", Connections(self.connector, self.clock))
        object.__setattr__(self, "cluster_connections", Connections(self.clusters, self.clock))
        object.__setattr__(self, "host_watch", HostWatch(self.clock))

    def now(self) -> str:
        """The time as resources write it."""
        return timestamp(self.clock.now_s())

    def age_s(self, moment: str) -> float:
        """Seconds since a time of day in a resource, never less than none; infinite if it is empty.

        Infinite too if it lies well ahead: a clock that was ahead wrote it and was set right, so nobody knows how long ago.
        """
        return float("inf") if not moment or self.is_ahead(moment) else max(0.0, self.clock.now_s() - seconds(moment))

    def is_ahead(self, moment: str) -> bool:
        """Whether a time of day is later than any clock that is kept right may have written by now."""
        return seconds(moment) > self.clock.now_s() + CLOCKS_DIFFER_S
