"""What users do: they make VMs and disks, change their minds, stop, start, delete."""

from __future__ import annotations

from random import Random
from typing import Any

from provisioner.drivers.simulated.presets import PRESETS
from provisioner.model.metadata import Metadata, Resource
from provisioner.model.quantities import bytes_of
from provisioner.model.virtual_machine import (
    REQUEST_ANNOTATION,
    DiskReference,
    GpuRequest,
    RunStrategy,
    SystemDisk,
    VirtualMachine,
    VirtualMachineSpec,
    VMInstance,
)
from provisioner.model.vm_disk import KEEP_DISK_ANNOTATION, DiskSource, ImageSource, VMDisk, VMDiskSource, VMDiskSpec
from tests.simulation.happenings import happening
from tests.simulation.happenings.changing import annotate, done, edit, on
from tests.simulation.happenings.choosing import a, a_machine, machines, spelled
from tests.simulation.universe import Universe

TENANTS = ("default", "acme", "globex")
SIZES = ("u1.large", "u1.large", "u1.xlarge", "u1.4xlarge")
BURST = 4
IMAGE = "ubuntu-2404"


@happening
def create(universe: Universe, random: Random) -> str:
    """A VM with up to two GPUs, under a name that is free; a VMInstance brings disks that are not there yet."""
    number = random.randrange(universe.scenario.machines)
    namespace = TENANTS[number % len(TENANTS)]
    kind = random.choice((VirtualMachine, VirtualMachine, VMInstance))
    spec: dict[str, Any] = {
        "instance_type": random.choice(SIZES),
        "gpus": _gpus(universe, random, counts=(0, 1, 1, 1, 2)),
        "run_strategy": random.choice((*[RunStrategy.ALWAYS] * 9, *RunStrategy)),
        "external": random.random() < 0.4,
    }
    if kind is VirtualMachine:
        spec["system_disk"] = SystemDisk(image=IMAGE, storage="10Gi")
    else:
        spec["disks"] = tuple(DiskReference(name=name) for name in _disks(universe, random, namespace=namespace))
    vm = kind(metadata=Metadata(name=f"vm{number}", namespace=namespace), spec=VirtualMachineSpec(**spec))
    if not _store(universe, vm):
        return ""
    return f"{vm.key} is wanted, {vm.spec.instance_type} with {_spelled_gpus(vm)}"


@happening
def rush(universe: Universe, random: Random) -> str:
    """Several VMs at once, with more GPUs than a host has left: some have to wait."""
    made = 0
    for number in random.sample(range(universe.scenario.machines), min(BURST, universe.scenario.machines)):
        metadata = Metadata(name=f"vm{number}", namespace=TENANTS[number % len(TENANTS)])
        disk = SystemDisk(image=IMAGE, storage="10Gi")
        gpus = _gpus(universe, random, counts=(1, 2, 4))
        spec = VirtualMachineSpec(instance_type="u1.xlarge", gpus=gpus, system_disk=disk)
        made += _store(universe, VirtualMachine(metadata=metadata, spec=spec))
    return f"{made} VMs are wanted at once" if made else ""


@happening
def delete(universe: Universe, random: Random) -> str:
    """A VM; sometimes its system disk shall stay."""
    vm = a_machine(universe, random)
    if vm is None or vm.is_being_deleted:
        return ""
    keeps = isinstance(vm.spec.system_disk, SystemDisk) and random.random() < 0.2
    if keeps and not annotate(universe, vm, **{KEEP_DISK_ANNOTATION: f"kept-{random.getrandbits(32):08x}"}):
        return ""
    universe.store.delete(vm.key)
    return f"{vm.key} is deleted{', its disk is kept' if keeps else ''}"


@happening
def change(universe: Universe, random: Random) -> str:
    """Another size, other GPUs, another way to be reached, another seed."""
    vm = a_machine(universe, random)
    if vm is None or vm.is_being_deleted:
        return ""
    changes: tuple[dict[str, Any], ...] = (
        {"gpus": _gpus(universe, random, counts=(0, 1, 2))},
        {"instance_type": random.choice((*SIZES, "u1.8xlarge"))},
        {"cloud_init_seed": str(random.getrandbits(16))},
        {"external": random.random() < 0.5, "external_ports": (random.choice((22, 443)),)},
    )
    chosen = random.choice(changes)
    return f"{vm.key} shall have another {', '.join(chosen)}" if edit(universe, vm, **chosen) else ""


@happening
def change_disks(universe: Universe, random: Random) -> str:
    """A VMInstance shall have other disks."""
    vm = a(VMInstance, universe, random)
    if vm is None or vm.is_being_deleted:
        return ""
    names = _disks(universe, random, namespace=vm.metadata.namespace)
    is_done = edit(universe, vm, disks=tuple(DiskReference(name=name) for name in names))
    return f"{vm.key} shall have {' and '.join(names)}" if is_done else ""


@happening
def run_strategy(universe: Universe, random: Random) -> str:
    """A VM shall run or not; often its user thinks better of it a moment later."""
    vm = a_machine(universe, random)
    if vm is None or vm.is_being_deleted:
        return ""
    wanted = random.choice((RunStrategy.HALTED, RunStrategy.HALTED, RunStrategy.ALWAYS, RunStrategy.ALWAYS, *RunStrategy))
    if not edit(universe, vm, run_strategy=wanted):
        return ""
    if random.random() < 0.4:
        return f"{vm.key} shall run {wanted}"
    delay_s, key = random.choice((1.0, 6.0, 60.0, 900.0)) * random.random(), vm.key
    universe.later(
        delay_s,
        f"{key} shall run Always after all",
        lambda: on(universe, type(vm), key, lambda found: edit(universe, found, run_strategy=RunStrategy.ALWAYS)),
    )
    return f"{vm.key} shall run {wanted}, for {spelled(delay_s)}"


@happening
def request(universe: Universe, random: Random) -> str:
    """`hikube gpu vm start`, `stop` or `restart`."""
    vm = a_machine(universe, random)
    verb = random.choice(("start", "stop", "restart", "restart"))
    if vm is None or vm.is_being_deleted:
        return ""
    is_done = annotate(universe, vm, **{REQUEST_ANNOTATION: f"{verb}:{random.getrandbits(32):08x}"})
    return f"{vm.key} shall {verb}" if is_done else ""


@happening
def create_disk(universe: Universe, random: Random) -> str:
    """A disk from an image, a blank one, or a copy of another."""
    others = [disk for disk in universe.store.list(VMDisk).items if not disk.is_being_deleted]
    namespace = random.choice(TENANTS)
    mine = sorted(disk.metadata.name for disk in others if disk.metadata.namespace == namespace)
    source = VMDiskSource(image=ImageSource(name=IMAGE))
    if mine and random.random() < 0.4:
        source = VMDiskSource(disk=DiskSource(name=random.choice(mine)))
    disk = VMDisk(metadata=Metadata(name=_disk_name(random), namespace=namespace), spec=VMDiskSpec(source=source))
    return f"{disk.key} is wanted" if _store(universe, disk) else ""


@happening
def grow_disk(universe: Universe, random: Random) -> str:
    """A VMDisk, or the system disk of a VM."""
    size = random.choice(("6Gi", "8Gi", "12Gi", "16Gi"))
    if random.random() < 0.5:
        disk = a(VMDisk, universe, random)
        is_done = disk is not None and bytes_of(disk.spec.storage) < bytes_of(size) and edit(universe, disk, storage=size)
        return f"{disk.key} grows to {size}" if disk is not None and is_done else ""
    vm = a(VirtualMachine, universe, random)
    if vm is None or vm.spec.system_disk is None or bytes_of(vm.spec.system_disk.storage) >= bytes_of(size):
        return ""
    bigger = vm.spec.system_disk.model_copy(update={"storage": size})
    return f"the system disk of {vm.key} grows to {size}" if edit(universe, vm, system_disk=bigger) else ""


@happening
def delete_disk(universe: Universe, random: Random) -> str:
    """A VMDisk, used or not."""
    disk = a(VMDisk, universe, random)
    if disk is None or disk.is_being_deleted:
        return ""
    universe.store.delete(disk.key)
    return f"{disk.key} is deleted"


@happening
def delete_all(universe: Universe, random: Random) -> str:
    """Everything of one tenant."""
    namespace = random.choice(TENANTS)
    doomed: list[Resource] = [*machines(universe), *universe.store.list(VMDisk).items]
    mine = [each for each in doomed if each.metadata.namespace == namespace and not each.is_being_deleted]
    for each in sorted(mine, key=lambda each: each.key):
        universe.store.delete(each.key)
    return f"all of {namespace} is deleted, {len(mine)} objects" if mine else ""


def _store(universe: Universe, resource: Resource) -> bool:
    return done(lambda: universe.store.create(resource))


def _gpus(universe: Universe, random: Random, *, counts: tuple[int, ...]) -> tuple[GpuRequest, ...]:
    """Of a model that the fleet has, more often one that many hosts have."""
    groups = [hosts for hosts in universe.scenario.hosts if PRESETS[hosts.preset].gpus]
    chosen = random.choices(groups, [hosts.count for hosts in groups])[0]
    name = universe.tables.gpus.name_for_id(PRESETS[chosen.preset].gpus[0].id)
    return (GpuRequest(name=name),) * random.choice(counts)


def _disks(universe: Universe, random: Random, *, namespace: str) -> list[str]:
    """One or two names of disks; those that are not there are made, as one file that is applied makes all."""
    names = sorted({_disk_name(random) for _ in range(random.choice((1, 1, 2)))})
    spec = VMDiskSpec(source=VMDiskSource(image=ImageSource(name=IMAGE)))
    for name in names:
        _store(universe, VMDisk(metadata=Metadata(name=name, namespace=namespace), spec=spec))
    return names


def _disk_name(random: Random) -> str:
    return f"disk{random.randrange(3)}"


def _spelled_gpus(vm: VirtualMachine) -> str:
    return f"{len(vm.spec.gpus)} × {vm.spec.gpus[0].name}" if vm.spec.gpus else "no GPU"
