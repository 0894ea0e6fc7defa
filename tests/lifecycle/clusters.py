"""A World that has simulated KubeVirt clusters beside its libvirt hosts, for stories about VMs on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioner.drivers.guest.protocol import GuestDoor, Guests
from provisioner.drivers.simulated.cluster_guests import SimulatedClusterGuests
from provisioner.drivers.simulated.machine_cluster import SimulatedCluster
from provisioner.drivers.simulated.machine_cluster_driver import SimulatedClusterConnector, SimulatedClusters
from provisioner.model.cluster import SCHEME, ClusterSettings
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.guest_report import GuestReport
from provisioner.model.metadata import Metadata
from provisioner.model.secret import Secret
from tests.lifecycle.world import Leak, World

L40S = "nvidia.com/AD102GL_L40S"
SETTINGS = ClusterSettings(container_disks={"ubuntu-2404": "quay.io/containerdisks/ubuntu:24.04"})


class GuestsOfBoth:
    """Guests of clusters answer there, all others on their hosts."""

    def __init__(self, hosts: Guests, clusters: Guests) -> None:
        self._hosts = hosts
        self._clusters = clusters

    def report(self, door: GuestDoor, *, timeout_s: float) -> GuestReport:
        """See the protocol."""
        return self._of(door).report(door, timeout_s=timeout_s)

    def hand_over(self, door: GuestDoor, *, timeout_s: float) -> None:
        """See the protocol."""
        self._of(door).hand_over(door, timeout_s=timeout_s)

    def _of(self, door: GuestDoor) -> Guests:
        return self._clusters if door.host_uri.startswith(SCHEME) else self._hosts


class ClusterWorld(World):
    """Everything, in one thread, with clusters."""

    def __init__(self, directory: Path, *, seed: int = 1) -> None:
        super().__init__(directory, seed=seed)
        self.clusters = SimulatedClusters(self.fleet.world)
        guests = GuestsOfBoth(self.ports.guests, SimulatedClusterGuests(self.clusters))
        self.ports = replace(self.ports, clusters=SimulatedClusterConnector(self.clusters), guests=guests)
        self.start_controller()

    def cluster(self, name: str, *, settings: ClusterSettings = SETTINGS, **nodes: int) -> ClusterWorld:
        """Add a cluster whose nodes have so many L40S, to the simulation and to the store."""
        made = self.clusters.add(name)
        made.permit(L40S, "10DE:26B9")
        for node, gpus in nodes.items():
            made.add_node(node, gpus={L40S: gpus})
        spec = GPUHostSpec(uri=made.uri, kubevirt=settings)
        self.store.create(GPUHost(metadata=Metadata(name=name), spec=spec))
        return self

    def there(self, name: str = "k") -> SimulatedCluster:
        """The simulated cluster."""
        return self.clusters.at(f"kubevirt://{name}")

    def settings(self, name: str = "k", **changes: Any) -> ClusterWorld:
        """Change how the cluster is used."""
        host = self.store.get(GPUHost, name)
        self.configure(name, kubevirt=host.spec.cluster.model_copy(update=changes))
        return self

    def instance(self, name: str) -> str:
        """The uid of the instance that a VM was brought up with."""
        machine = self.vm(name).status.machine
        return machine.instance_uid if machine is not None else ""

    def leaks(self) -> list[Leak]:
        """Machines on clusters, claims and secrets that no living VM accounts for."""
        self.go_home()
        found = [Leak("claim", claim.metadata.name) for claim in self.store.list(GPUClaim).items]
        for host in self.store.list(GPUHost).items:
            if host.spec.is_cluster:
                machines = self.ports.clusters.connect(host.spec.uri).owned()
                found += [Leak("machine", f"{machine.namespace}/{machine.name}") for machine in machines]
        if not self.machines():
            found += [Leak("secret", secret.metadata.name) for secret in self.store.list(Secret).items]
        return found

    def _is_settled(self) -> bool:
        hosts = self.store.list(GPUHost).items
        are_known = all(host.status.last_seen if host.spec.is_cluster else host.status.kvm.works is not None for host in hosts)
        return are_known and all(self._is_at_rest(vm) for vm in self.machines())
