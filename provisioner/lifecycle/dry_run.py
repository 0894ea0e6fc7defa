"""`--dry-run`: what would happen, computed by the same functions that make it happen, with nothing touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from provisioner.lifecycle.fleet import snapshot
from provisioner.lifecycle.kubevirt.making import seed_plan
from provisioner.lifecycle.kubevirt.table import KUBEVIRT_MACHINE
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.virtual_machine.blueprint import domain_xml, hardware_of
from provisioner.lifecycle.virtual_machine.seed import content_of
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model import domain_names
from provisioner.model.cluster import ClusterMachine
from provisioner.model.errors import Unsupported
from provisioner.model.gpu_host import GPUHost
from provisioner.model.virtual_machine import GpuAssignment, VirtualMachine
from provisioner.planning.hardware import HardwarePlan
from provisioner.planning.placement import NoPlacement, Placement, place
from provisioner.planning.requests import request_for
from templates.kubevirt.user_data import network_data, user_data

REDACTED = "(made at creation, never shown)"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a dry run shows."""

    placement: Placement | NoPlacement
    domain_xml: str = ""
    seed: dict[str, str] = field(default_factory=dict)
    """File name -> text; keys are redacted."""
    steps: tuple[str, ...] = ()
    hardware: HardwarePlan | None = None


@dataclass(frozen=True, slots=True)
class HardwarePreview:
    """The hardware that a VM has, or would have."""

    host: str = ""
    is_actual: bool = False
    """It has that host and these GPUs, rather than would get them now."""
    plan: HardwarePlan | None = None
    nowhere: NoPlacement | None = None
    """Why there is no plan."""

    def lines(self, name: str) -> Iterator[str]:
        """As text, one line for each choice."""
        if self.plan is None:
            yield f"{name} goes nowhere: {self.nowhere.sentence() if self.nowhere else ''}"
            return
        yield f"{name} on {self.host}" + ("" if self.is_actual else ", where placement would put it now")
        width = max(len(choice.part) for choice in self.plan.choices)
        yield from (f"  {choice.part:<{width}}  {choice.value}: {choice.why}" for choice in self.plan.choices)

    def as_dict(self) -> dict[str, Any]:
        """As data for `-o json`."""
        plan = self.plan.as_dict() if self.plan is not None else None
        nowhere = self.nowhere.as_dict() if self.nowhere is not None else None
        return {"host": self.host, "actual": self.is_actual, "hardware": plan, "nowhere": nowhere}


def preview(vm: VirtualMachine, ports: Ports) -> Preview:
    """Plan the VM on the fleet as the store knows it. Reads the store, touches no host.

    Raises:
        InvalidInput: its image does not exist, or its size is not known.
        NotFound: a VMDisk that it names does not exist.
    """
    placement = _place(vm, ports)
    if isinstance(placement, NoPlacement):
        return Preview(placement)
    if placement.node:
        return _on_cluster(vm, placement, ports)
    placed = _placed(vm, placement, ports)
    xml, _ = domain_xml(placed)
    content = content_of(placed, {})
    seed = {name: getattr(content, name).decode(errors="replace") for name in ("user_data", "meta_data", "network_config")}
    return Preview(placement, xml, seed, tuple(step.name for step in VIRTUAL_MACHINE.steps), hardware_of(placed))


def _on_cluster(vm: VirtualMachine, placement: Placement, ports: Ports) -> Preview:
    """There is no domain: the cluster lays out the hardware. The seed is one user-data with ours in it."""
    settings = ports.store.get(GPUHost, placement.host).spec.cluster
    name = domain_names.machine_name(vm.key, with_namespace=bool(settings.namespace))
    machine = ClusterMachine(namespace=settings.namespace or vm.key.namespace, name=name)
    view = VirtualMachineView(vm.with_status(host=placement.host, machine=machine), ports)
    plan = seed_plan(view, has_keys=False)
    seed = {"user_data": user_data(plan), "network_config": network_data(plan)}
    return Preview(placement, "", seed, tuple(step.name for step in KUBEVIRT_MACHINE.steps))


def hardware_preview(vm: VirtualMachine, ports: Ports) -> HardwarePreview:
    """The hardware of the VM on the host and with the GPUs that it has; of one that has none, where placement would put it now.

    Raises:
        InvalidInput, NotFound: as `preview`.
        Unsupported: its host cannot give a guest this hardware any more.
    """
    if vm.status.machine is not None:
        raise Unsupported(f"{vm.key} is on a KubeVirt cluster, which lays out its hardware", hint="kubectl get vmi -o yaml")
    has_host = bool(vm.status.host) and len(vm.status.gpus) == len(vm.spec.gpus)
    if has_host:
        return HardwarePreview(vm.status.host, is_actual=True, plan=hardware_of(VirtualMachineView(vm, ports)))
    placement = _place(vm, ports)
    if isinstance(placement, NoPlacement):
        return HardwarePreview(nowhere=placement)
    if placement.node:
        raise Unsupported(f"{vm.key} would be on KubeVirt cluster `{placement.host}`, which lays out its hardware")
    return HardwarePreview(placement.host, plan=hardware_of(_placed(vm, placement, ports)))


def _place(vm: VirtualMachine, ports: Ports) -> Placement | NoPlacement:
    view = VirtualMachineView(vm, ports)
    request = request_for(vm, size=view.size, tables=ports.tables, vm_disks=view.disks, firmware=view.firmware)
    return place(request, snapshot(ports.store, ports.tables))


def _placed(vm: VirtualMachine, placement: Placement, ports: Ports) -> VirtualMachineView:
    """The VM as it would be there."""
    host = ports.store.get(GPUHost, placement.host)
    facts = {gpu.address: gpu for gpu in host.status.gpus}
    gpus = tuple(
        GpuAssignment(
            name=facts[address].name,
            host=placement.host,
            address=address,
            companions=tuple(companion.address for companion in facts[address].companions),
        )
        for address in placement.gpus
    )
    return VirtualMachineView(vm.with_status(host=placement.host, gpus=gpus), ports)
