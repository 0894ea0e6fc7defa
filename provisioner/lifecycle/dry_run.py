"""`--dry-run`: what would happen, computed by the same functions that make it happen, with nothing touched."""

from __future__ import annotations

from dataclasses import dataclass, field

from provisioner.lifecycle.fleet import snapshot
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.virtual_machine.blueprint import domain_xml
from provisioner.lifecycle.virtual_machine.seed import content_of
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.gpu_host import GPUHost
from provisioner.model.virtual_machine import GpuAssignment, VirtualMachine
from provisioner.planning.placement import NoPlacement, Placement, place
from provisioner.planning.requests import request_for

REDACTED = "(made at creation, never shown)"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a dry run shows."""

    placement: Placement | NoPlacement
    domain_xml: str = ""
    seed: dict[str, str] = field(default_factory=dict)
    """File name -> text; keys are redacted."""
    steps: tuple[str, ...] = ()


def preview(vm: VirtualMachine, ports: Ports) -> Preview:
    """Plan the VM on the fleet as the store knows it. Reads the store, touches no host.

    Raises:
        InvalidInput: its image does not exist, or its size is not known.
        NotFound: a VMDisk that it names does not exist.
    """
    view = VirtualMachineView(vm, ports)
    firmware = view.image.spec.firmware if view.image is not None else "bios"
    request = request_for(vm, size=view.size, tables=ports.tables, vm_disks=view.disks, firmware=firmware)
    placement = place(request, snapshot(ports.store, ports.tables))
    if isinstance(placement, NoPlacement):
        return Preview(placement)
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
    placed = VirtualMachineView(vm.with_status(host=placement.host, gpus=gpus), ports)
    xml, _ = domain_xml(placed)
    content = content_of(placed, {})
    seed = {name: getattr(content, name).decode(errors="replace") for name in ("user_data", "meta_data", "network_config")}
    return Preview(placement, xml, seed, tuple(step.name for step in VIRTUAL_MACHINE.steps))
