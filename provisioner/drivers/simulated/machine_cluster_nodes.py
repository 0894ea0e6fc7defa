"""What may befall the nodes and the configuration of a simulated cluster; each is the world's doing and no call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager

from provisioner.drivers.simulated.machine_cluster_state import ClusterState, GuestGpu, NodeState
from provisioner.drivers.simulated.world import World
from provisioner.model.errors import AlreadyExists, NotFound
from provisioner.model.pci import address_of

H100_NVL = "nvidia.com/GH100_H100_NVL"
_KNOWN = {
    H100_NVL: ("10de:2321", "NVIDIA H100 NVL", 95_830),
    "nvidia.com/GH100_H200_SXM_141GB": ("10de:2335", "NVIDIA H200", 143_771),
    "nvidia.com/AD102GL_L40S": ("10de:26b9", "NVIDIA L40S", 46_068),
}
_UNKNOWN = ("10de:ffff", "NVIDIA GPU", 16_384)


class ClusterNodes(ABC):
    """The part of a cluster's handle that builds it, breaks its nodes, and mends them."""

    name: str
    world: World

    @property
    @abstractmethod
    def now_s(self) -> float:
        """Its time."""

    @abstractmethod
    def peek(self) -> AbstractContextManager[ClusterState]:
        """The state as it is now."""

    def add_node(
        self,
        name: str,
        *,
        gpus: Mapping[str, int],
        memory_mib: int = 1 << 20,
        cpu_milli: int = 64_000,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """A new node with so many GPUs of each resource name; machines may ask for them from now on.

        Raises:
            AlreadyExists: the name is taken.
        """
        with self.peek() as state:
            if name in state.nodes:
                raise AlreadyExists(f"The cluster has a node {name} already")
            kinds = [resource for resource, count in gpus.items() for _ in range(count)]
            made = tuple(self._gpu(name, resource, place) for place, resource in enumerate(kinds))
            all_labels = {"kubernetes.io/hostname": name, **(labels or {})}
            state.nodes[name] = NodeState(name, made, memory_mib=memory_mib, cpu_milli=cpu_milli, labels=all_labels)
            state.freed_s = self.now_s
            for resource in gpus:
                state.permitted.setdefault(resource, _KNOWN.get(resource, _UNKNOWN)[0].upper())

    def permit(self, resource: str, vendor_device: str = "10DE:FFFF") -> None:
        """Machines may ask for this from now on."""
        with self.peek() as state:
            state.permitted[resource] = vendor_device
            state.freed_s = self.now_s

    def forbid(self, resource: str) -> None:
        """They may not any more."""
        with self.peek() as state:
            state.permitted.pop(resource, None)

    def add_namespace(self, name: str) -> None:
        """Machines may be in it."""
        with self.peek() as state:
            state.namespaces.add(name)

    def add_claim_template(self, namespace: str, name: str, *, requests: int = 1) -> None:
        """A ResourceClaimTemplate that yields so many GPUs."""
        with self.peek() as state:
            state.claim_templates[namespace, name] = requests

    def add_stranger(self, namespace: str, name: str) -> None:
        """A machine of somebody else's."""
        with self.peek() as state:
            state.strangers.add((namespace, name))

    def limit_gpus(self, namespace: str, *, most: int | None) -> None:
        """A ResourceQuota on the GPUs of a namespace's pods; None: no more."""
        with self.peek() as state:
            if most is None:
                state.gpu_quotas.pop(namespace, None)
                state.freed_s = self.now_s
            else:
                state.gpu_quotas[namespace] = most

    def occupy(self, node: str, resource: str, *, count: int) -> None:
        """Pods of others hold so many of its GPUs."""
        with self.peek() as state:
            _node(state, node).taken_by_others[resource] = count
            state.freed_s = self.now_s

    def lose_node(self, name: str) -> None:
        """Its kubelet does not answer any more; what runs there may run on, and nobody knows."""
        with self.peek() as state:
            _node(state, name).silent_since_s = self.now_s

    def bring_back(self, name: str) -> None:
        """It answers again."""
        with self.peek() as state:
            _node(state, name).silent_since_s = None
            state.freed_s = self.now_s

    def delete_node(self, name: str) -> None:
        """Its object is removed, as when a machine is taken away."""
        with self.peek() as state:
            _node(state, name).gone_since_s = self.now_s

    def cordon(self, name: str, *, is_cordoned: bool = True) -> None:
        """It takes no new machines."""
        with self.peek() as state:
            _node(state, name).is_cordoned = is_cordoned
            state.freed_s = self.now_s

    def drain(self, name: str) -> None:
        """Somebody wants its machines to leave: it is cordoned, and they are asked."""
        self.cordon(name)
        with self.peek() as state:
            for _, instance in state.instances():
                if instance.node == name:
                    instance.asks_to_leave = True

    def _gpu(self, node: str, resource: str, place: int) -> GuestGpu:
        vendor_device, product, memory_mib = _KNOWN.get(resource, _UNKNOWN)
        chance = self.world.chance
        return GuestGpu(
            resource,
            vendor_device,
            product,
            memory_mib,
            address=address_of(0, 0x41 + place, 0, 0),
            uuid=f"GPU-{chance.uuid('cluster-gpu', self.name, node, place)}",
            serial=str(int.from_bytes(chance.digest("cluster-serial", self.name, node, place)[:5], "big")),
        )


def _node(state: ClusterState, name: str) -> NodeState:
    if name not in state.nodes:
        raise NotFound(f"The cluster has no node {name}")
    return state.nodes[name]
