"""Reconcilers that act on what belongs to one class only, where several controllers share a cluster.

    key ──> of another class? ──no──> the reconciler
                │ yes
                └── a host: its events are listened to, for our VMs on it; anything else: nothing at all

A GPUHost is looked after by the class of its label; the first controller that meets one without a label writes its own there.
All classes may place VMs on all hosts: claims decide, as ever, and each is cleaned by the class that made it.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.lifecycle.controller import Reconciler
from provisioner.lifecycle.gpu_hosts import AWAY_RETRY_S
from provisioner.lifecycle.hypervisors import WatchedHypervisor
from provisioner.lifecycle.ports import Ports
from provisioner.model.classes import CLASS_LABEL
from provisioner.model.errors import HikubeError, NotFound
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Key, Resource
from provisioner.store.classed import ClassedStore
from provisioner.store.protocol import Change

LISTENS_AGAIN_S = 60.0
"""A connection that was lost is made anew after so long at most."""


class Serving:
    """As Reconciler says."""

    def __init__(self, reconciler: Reconciler, *, classes: ClassedStore, ports: Ports) -> None:
        self.kinds: tuple[type[Resource], ...] = reconciler.kinds
        self._reconciler = reconciler
        self._classes = classes
        self._ports = ports

    def reconcile(self, key: Key) -> float | None:
        """One pass, if it is ours. Raises Conflict: another controller was faster to take the host."""
        if self._classes.is_undecided(key):
            host = self._ports.store.get(GPUHost, key.name)
            self._ports.store.update(host.with_metadata(labels={CLASS_LABEL: self._classes.class_name, **host.metadata.labels}))
        if not self._classes.is_foreign(key):
            return self._reconciler.reconcile(key)
        return self._listen(key) if key.kind == GPUHost.KIND else None

    def concerns(self, change: Change) -> tuple[Key, ...]:
        """Of what the reconciler says, what is ours, and hosts."""
        keys = self._reconciler.concerns(change)
        return tuple(key for key in keys if key.kind == GPUHost.KIND or not self._classes.is_foreign(key))

    def group_of(self, key: Key) -> str:
        """As the reconciler says."""
        return self._reconciler.group_of(key)

    def _listen(self, key: Key) -> float | None:
        """What happens to our VMs there is heard, whoever looks after the host."""
        try:
            uri = self._ports.store.get(GPUHost, key.name).spec.uri
            self._ports.host_watch.listen(key, WatchedHypervisor.over(self._ports.connections, uri))
        except NotFound:
            return None
        except HikubeError:
            return AWAY_RETRY_S
        return LISTENS_AGAIN_S


def serving(reconcilers: Sequence[Reconciler], ports: Ports, *, classes: ClassedStore) -> tuple[Reconciler, ...]:
    """All of them, for the objects of one class."""
    return tuple(Serving(each, classes=classes, ports=ports) for each in reconcilers)
