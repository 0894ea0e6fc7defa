"""What a simulated host says it has, and whether its KVM works."""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.drivers.simulated.examining import examination_of
from provisioner.drivers.simulated.function_state import FunctionState
from provisioner.drivers.simulated.link import Link
from provisioner.drivers.simulated.state import HostState
from provisioner.model.examination import HostExamination
from provisioner.model.gpu_host import (
    GpuFacts,
    GpuHealth,
    GPUHostStatus,
    GpuRule,
    HostCapabilities,
    HostNetwork,
    KvmVerdict,
    NumaNode,
    StoragePool,
)


class SimulatedInventory:
    """See drivers.hypervisor.Inventory."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def survey(self, rules: Sequence[GpuRule]) -> GPUHostStatus:
        """See the protocol. `last_seen` is the caller's."""
        chance = self._link.host.world.chance
        with self._link.call("inventory.survey") as state:
            gpus = [f for f in state.functions.values() if f.is_present and any(_matches(rule, f) for rule in rules)]
            return GPUHostStatus(
                reachable=True,
                hostname=state.name,
                host_uuid=chance.uuid("host", state.name),
                cpus=state.cpus,
                memory_mib=state.memory_mib,
                numa_nodes=_numa_nodes(state),
                gpus=tuple(_gpu(state, function) for function in sorted(gpus, key=lambda f: f.address)),
                capabilities=_capabilities(state),
                storage_pools=_pools(state),
                networks=tuple(_network(state, name) for name in sorted(state.networks)),
                interfaces=tuple(sorted(state.wires.interfaces)),
            )

    def examine(self, addresses: Sequence[str], *, timeout_s: float) -> HostExamination:
        """See the protocol."""
        with self._link.call("inventory.examine", subject=",".join(addresses), limit_s=timeout_s) as state:
            return examination_of(state, addresses)

    def prove_kvm(self, *, timeout_s: float) -> KvmVerdict:
        """See the protocol. A broken KVM shows itself only when the time is up; `checked` is the caller's."""
        with self._link.call("inventory.prove_kvm", limit_s=timeout_s) as state:
            kvm = state.kvm
        if kvm == "broken":
            self._link.host.spend(timeout_s)
        message = {
            "works": "a guest ran under KVM",
            "broken": f"a guest started under KVM and got nowhere in {timeout_s:g} s",
            "absent": "the host offers no KVM",
        }[kvm]
        return KvmVerdict(works=kvm == "works", message=message)


def _matches(rule: GpuRule, function: FunctionState) -> bool:
    return (
        not function.is_bridge
        and rule.vendor.lower() in {"", function.vendor}
        and function.pci_class.startswith(rule.pci_class.lower())
        and (not rule.ids or f"{function.vendor}:{function.device}" in {pair.lower() for pair in rule.ids})
        and (not rule.addresses or function.address in rule.addresses)
    )


def _gpu(state: HostState, function: FunctionState) -> GpuFacts:
    others = [other for other in state.group_of(function) if other is not function and not other.is_bridge]
    flaw = _flaw(function)
    return GpuFacts(
        function=function.seen(),
        name=f"{function.vendor}:{function.device}",
        iommu_group=function.iommu_group,
        companions=tuple(other.seen() for other in sorted(others, key=lambda f: f.address)),
        numa_node=function.numa_node,
        pcie_parent=function.pcie_parent,
        link_speed_gts=function.link_speed_max_gts,
        link_width=function.link_width,
        health=GpuHealth.OK if not flaw else GpuHealth.UNUSABLE,
        health_message=flaw or _link_message(function),
    )


def _flaw(function: FunctionState) -> str:
    if function.iommu_group is None:
        return "it is in no IOMMU group"
    if function.virtual_functions:
        return f"{function.virtual_functions} virtual functions are enabled; vfio-pci refuses it until they are off"
    return ""


def _link_message(function: FunctionState) -> str:
    width, widest = function.link_width, function.link_width_max
    return f"its link runs at x{width} of x{widest}" if width and widest and width < widest else ""


def _network(state: HostState, name: str) -> HostNetwork:
    found = state.network(name)
    assert found is not None, "it is one of the host's"
    return HostNetwork(name=name, active=found.active, forward=found.forward, bridge=found.bridge)


def _numa_nodes(state: HostState) -> tuple[NumaNode, ...]:
    cpus, memory_mib = state.cpus // state.numa_nodes, state.memory_mib // state.numa_nodes
    return tuple(
        NumaNode(id=node, memory_mib=memory_mib, cpus=tuple(range(node * cpus, (node + 1) * cpus)))
        for node in range(state.numa_nodes)
    )


def _capabilities(state: HostState) -> HostCapabilities:
    emulated = ("maximum", "host-model")
    return HostCapabilities(
        libvirt_version="11.3.0",
        hypervisor_version="10.0.0",
        cpu_modes=emulated if state.kvm == "absent" else ("host-passthrough", *emulated),
        firmwares=state.firmwares,
        vfio=any(function.iommu_group is not None for function in state.functions.values()),
        address_width_bits=46,
    )


def _pools(state: HostState) -> tuple[StoragePool, ...]:
    return tuple(
        StoragePool(
            name=pool.name,
            active=pool.is_active,
            path=pool.path,
            capacity_bytes=pool.capacity_bytes,
            available_bytes=pool.available_bytes,
        )
        for _, pool in sorted(state.pools.items())
    )
