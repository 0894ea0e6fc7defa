"""One KubeVirt cluster: the parts of the seam over one shared connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from provisioner.drivers.host_events import Listener
from provisioner.drivers.kubevirt import applying, ending, looking
from provisioner.drivers.kubevirt.connection import Connection
from provisioner.drivers.kubevirt.survey import survey
from provisioner.drivers.machine_cluster import ClusterSurvey, Machine, MachineSpec


class KubeVirtCluster:
    """One caller's share of a connection; see drivers.machine_cluster.MachineCluster. Safe to use from several threads."""

    def __init__(self, connection: Connection, *, on_close: Callable[[], None]) -> None:
        self._connection = connection
        self._on_close: Callable[[], None] | None = on_close

    def survey(self) -> ClusterSurvey:
        """See the protocol."""
        return survey(self._connection.api)

    def apply(self, spec: MachineSpec) -> None:
        """See the protocol."""
        applying.apply(self._connection.api, spec)

    def look(self, namespace: str, name: str) -> Machine | None:
        """See the protocol."""
        return looking.look(self._connection.api, namespace, name)

    def restart(self, namespace: str, name: str, *, instance_uid: str) -> None:
        """See the protocol."""
        ending.restart(self._connection.api, namespace, name, instance_uid=instance_uid)

    def destroy(self, namespace: str, name: str, *, instance_uid: str) -> None:
        """See the protocol."""
        ending.destroy(self._connection.api, namespace, name, instance_uid=instance_uid)

    def remove(self, namespace: str, name: str) -> None:
        """See the protocol."""
        ending.remove(self._connection.api, namespace, name)

    def owned(self) -> Sequence[Machine]:
        """See the protocol."""
        return looking.look_at_all(self._connection.api)

    def subscribe(self, listener: Listener) -> None:
        """See the protocol. The subscription is the shared connection's: it outlives this share."""
        self._connection.feed.add(listener)

    def close(self) -> None:
        """Give this share up. Idempotent; the connection itself stays open for others, and for a while for later callers."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()
