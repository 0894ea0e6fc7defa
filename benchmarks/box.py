"""Apply-to-proven in the GPU host in a box, beside a bare script that makes the same libvirt calls.

Both make one fresh VM in turn, in one run, on one box; who begins changes with every round. A guest that resets by itself under
emulation costs the round: it is counted, printed and run again, a bounded number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.bare_script import Order, bare_journey
from benchmarks.box_rig import BoxRig, Journey, box_rig, machine
from benchmarks.report import load, print_table, say, spread
from benchmarks.rig import BenchError
from provisioner.clocks import SystemIdentifiers
from provisioner.drivers.guest.jump import jump_argv
from provisioner.drivers.guest.keys import generate_key_pair
from provisioner.drivers.images.seed import build_seed_iso
from provisioner.lifecycle.dry_run import preview
from provisioner.lifecycle.virtual_machine import access
from provisioner.lifecycle.virtual_machine.seed import content_of
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model import domain_names
from provisioner.model.gpu_host import GPUHost
from provisioner.model.image import Image
from provisioner.model.quantities import bytes_of
from provisioner.planning.placement import Placement

ROUNDS = 3
SPARE_ROUNDS = 2
TARGET = 1.1
STAGES = ("connect", *(step.name for step in VIRTUAL_MACHINE.steps))


def run(*, rounds: int = ROUNDS) -> None:
    """Measure and print."""
    with box_rig() as rig:
        try:
            pairs, lost = _measure(rig, rounds=rounds)
            left = rig.leftovers()
        finally:
            rig.close()
    _print(pairs, lost)
    if left:
        raise BenchError(f"left behind on the host: {', '.join(left)}")


def _measure(rig: BoxRig, *, rounds: int) -> tuple[list[tuple[Journey, Journey]], list[str]]:
    pairs: list[tuple[Journey, Journey]] = []
    lost: list[str] = []
    while len(pairs) < rounds:
        number = len(pairs) + len(lost)
        try:
            pairs.append(_round(rig, number))
        except BenchError as error:
            lost.append(str(error).splitlines()[0])
            say(f"round lost: {lost[-1]}")
            if len(lost) > SPARE_ROUNDS:
                raise
    return pairs, lost


def _round(rig: BoxRig, number: int) -> tuple[Journey, Journey]:
    sides: dict[str, Callable[[], Journey]] = {
        "hikube": lambda: rig.journey(f"hikube-{number}"),
        "bare": lambda: bare_journey(_order(rig, f"bare-{number}")),
    }
    done: dict[str, Journey] = {}
    for side in sorted(sides, reverse=number % 2 == 0):
        done[side] = sides[side]()
        say(f"{side} {number}: proven after {done[side].proven_s:.1f} s, load {load()}")
    return done["hikube"], done["bare"]


def _order(rig: BoxRig, name: str) -> Order:
    """The bare script's VM: planned by hikube, with a seed as hikube makes it, before the clock starts."""
    ports = rig.ports()
    vm = machine(name, uid=SystemIdentifiers().uuid())
    planned = preview(vm, ports)
    if not isinstance(planned.placement, Placement):
        raise BenchError(f"no place for the bare VM: {planned.placement.sentence()}")
    host, image = ports.store.get(GPUHost, planned.placement.host), ports.store.get(Image, "lab")
    view = VirtualMachineView(vm, ports)
    host_key, controller_key = generate_key_pair(name), generate_key_pair(f"hikube {name}")
    data = {
        access.HOST_PRIVATE: host_key.private_openssh,
        access.HOST_PUBLIC: host_key.public_line,
        access.CONTROLLER_PUBLIC: controller_key.public_line,
    }
    gpu = next(gpu for gpu in host.status.gpus if gpu.address in planned.placement.gpus)
    addresses = (gpu.address, *(companion.address for companion in gpu.companions))
    assert vm.spec.system_disk is not None
    return Order(
        uri=rig.uri,
        jump=tuple(jump_argv(rig.uri, "@ADDRESS@") or ()),
        domain=view.domain_name,
        xml=planned.domain_xml,
        pool=host.spec.storage_pool,
        base=domain_names.base_volume(image.spec.sha256),
        disk=domain_names.system_volume(view.domain_name),
        disk_bytes=bytes_of(vm.spec.system_disk.storage),
        seed=domain_names.seed_volume(view.domain_name),
        seed_iso=build_seed_iso(content_of(view, data)),
        console=domain_names.console_log_volume(view.domain_name),
        functions=tuple("pci_" + address.replace(":", "_").replace(".", "_") for address in addresses),
        network=host.spec.network,
        mac_address=view.mac_addresses[0],
        private_key=controller_key.private_openssh,
        host_public_key=host_key.public_line,
    )


def _print(pairs: Sequence[tuple[Journey, Journey]], lost: Sequence[str]) -> None:
    hikube, bare = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    print(f"GPU host in a box: apply -> proven; median of {len(pairs)} (lowest-highest), alternating; load {load()}")
    rows = [
        _row(f"  {stage}", [one.stages.get(stage, 0.0) for one in hikube], [one.stages.get(stage, 0.0) for one in bare])
        for stage in STAGES
    ]
    rows.append(_row("  between steps", [one.between_s for one in hikube], [one.between_s for one in bare]))
    proven = [one.proven_s for one in hikube], [one.proven_s for one in bare]
    rows.append(_row("proven", *proven))
    rows.append(_row("handed over", [one.handed_over_s for one in hikube], [one.handed_over_s for one in bare]))
    print_table(("stage", "hikube s", "bare s", "difference s"), rows)
    ratio = median(proven[0]) / median(proven[1])
    print(f"ratio, apply to proven: {ratio:.3f} (wanted: under {TARGET}); of each round: {_ratios(pairs)}")
    if lost:
        print(f"rounds lost and run again: {len(lost)}: {'; '.join(lost)}")


def _row(name: str, hikube: Sequence[float], bare: Sequence[float]) -> tuple[str, str, str, str]:
    return name, spread(hikube, digits=2), spread(bare, digits=2), f"{median(hikube) - median(bare):+.2f}"


def _ratios(pairs: Sequence[tuple[Journey, Journey]]) -> str:
    return ", ".join(f"{hikube.proven_s / bare.proven_s:.3f}" for hikube, bare in pairs)
