"""VirtualMachine and VMInstance: every shape in which documents wrote them, into the one VirtualMachineSpec.

Accepted and normalised: `running` for `runStrategy`, `systemDisk.size` for `.storage`, disks as names or as `{name, bus}`,
`subnets` for `networks`, `guestOS` for `instanceProfile`, every name of a GPU, a VMInstance with a system disk of its own.
"""

from __future__ import annotations

from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.access import read_ports, read_ssh_keys
from provisioner.model.door.attachments import SECOND_SIZED_DISK, read_disks, read_networks
from provisioner.model.door.cloud_init import read_cloud_init
from provisioner.model.door.gpus import check_gpu_memory, read_gpus
from provisioner.model.door.header import Header
from provisioner.model.door.places import Place, fields_of, is_empty
from provisioner.model.door.sizes import read_resources
from provisioner.model.door.system_disk import read_system_disk
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import (
    RunStrategy,
    SystemDisk,
    VirtualMachine,
    VirtualMachineSpec,
    VMInstance,
)

FIELDS = (
    "runStrategy", "running", "instanceType", "instanceProfile", "guestOS", "resources", "cpuModel", "gpus", "systemDisk",
    "disks", "networks", "subnets", "external", "externalMethod", "externalPorts", "externalAllowICMP", "sshKeys", "cloudInit",
    "cloudInitSeed", "hostSelector", "firmware",
)  # fmt: skip
_HINTS = {
    "gpu": "write gpus, a list of {name: MODEL}",
    "gpuCount": "repeat the entry of gpus once for every GPU",
    "image": "write systemDisk.image",
    "cpu": "write resources.cpu",
    "memory": "write resources.memory",
    "nodeSelector": "write hostSelector, labels that the GPUHost must have",
    "template": "this is KubeVirt's shape; hikube's fields stand directly below spec",
    "userData": "write cloudInit",
}


def read_virtual_machine(header: Header, tables: Tables) -> VirtualMachine:
    """The VM that a document describes; of use only if no mistake was noted."""
    fields = fields_of(header.spec, FIELDS, hints=_HINTS)
    is_instance = header.words.kind == "VMInstance"
    profile = _profile(fields, tables)
    disks, legacy = read_disks(fields.get("disks"))
    disk_place = _system_disk_place(header, fields, legacy)
    system_disk: SystemDisk | None = None
    if disk_place is not None or not is_instance:
        system_disk = read_system_disk(disk_place, profile=profile, tables=tables, owner=header.spec)
    elif not disks and is_empty(fields.get("disks")):
        header.spec.mistake("there is nothing to boot from: give disks (VMDisks by name), or systemDisk")
    spec = VirtualMachineSpec(
        run_strategy=_run_strategy(fields.get("runStrategy"), fields.get("running")),
        instance_type=_instance_type(fields.get("instanceType"), tables),
        instance_profile=profile,
        resources=read_resources(fields.get("resources")),
        cpu_model=read.word(fields.get("cpuModel")),
        gpus=read_gpus(fields.get("gpus"), tables.gpus),
        system_disk=system_disk,
        disks=disks,
        networks=read_networks(fields.get("networks"), fields.get("subnets")),
        external=scalars.boolean(fields.get("external")),
        external_method=scalars.one_of(fields.get("externalMethod"), ("PortList", "WholeIP"), default="PortList"),
        external_ports=read_ports(fields.get("externalPorts")),
        external_allow_icmp=scalars.boolean(fields.get("externalAllowICMP"), True),
        ssh_keys=read_ssh_keys(fields.get("sshKeys")),
        cloud_init=read_cloud_init(fields.get("cloudInit")),
        cloud_init_seed=scalars.text(fields.get("cloudInitSeed"), longest=256),
        host_selector=read.labels(fields.get("hostSelector")),
        firmware=scalars.one_of(fields.get("firmware"), ("", "bios", "efi"), default=""),
    )
    _check_size(header, fields, spec, tables)
    return (VMInstance if is_instance else VirtualMachine)(metadata=header.metadata, spec=spec)


def _run_strategy(strategy: Place | None, running: Place | None) -> RunStrategy:
    """`runStrategy` wins over `running`, and both together must not contradict each other."""
    wanted = RunStrategy(scalars.one_of(strategy, [member.value for member in RunStrategy], default="Always"))
    if running is None:
        return wanted
    is_on = scalars.boolean(running, True)
    meant = RunStrategy.ALWAYS if is_on else RunStrategy.HALTED
    if strategy is None:
        running.warn(f"running is the older way to say it; write runStrategy: {meant}")
        return meant
    if wanted is not RunStrategy.MANUAL and is_on == (wanted is RunStrategy.HALTED):
        running.mistake(f"running: {str(is_on).lower()} contradicts runStrategy: {wanted}; leave running out")
    else:
        running.warn("running says nothing beside runStrategy; leave it out")
    return wanted


def _profile(fields: dict[str, Place], tables: Tables) -> str:
    given = fields.get("instanceProfile")
    if old := fields.get("guestOS"):
        if given:
            old.mistake("guestOS and instanceProfile say the same; leave guestOS out")
        else:
            old.warn("guestOS is the older way to say it; write instanceProfile")
    return read.known_word(given or fields.get("guestOS"), tables.profiles, what="the instance profile", default="ubuntu")


def _instance_type(place: Place | None, tables: Tables) -> str:
    return read.known_word(place, tables.instance_types, what="the instance type", default="u1.medium")


def _system_disk_place(header: Header, fields: dict[str, Place], legacy: Place | None) -> Place | None:
    """Where the system disk is described: under its own name, or among the disks as the first documents had it."""
    place = fields.get("systemDisk")
    if place is not None and header.words.kind == "VMInstance":
        place.warn("a VMInstance boots from VMDisks; a systemDisk is made for it here as for a VirtualMachine")
    if place is not None and legacy is not None:
        legacy.mistake(SECOND_SIZED_DISK)
    return place or legacy


def _check_size(header: Header, fields: dict[str, Place], spec: VirtualMachineSpec, tables: Tables) -> None:
    """Rules that need the size and the GPUs together."""
    place = fields.get("resources") or fields.get("instanceType") or header.spec
    if header.words.kind == "VMInstance" and not spec.instance_type:
        missing = [name for name in ("cpu", "sockets", "memory") if getattr(spec.resources, name) is None]
        if missing:
            place.mistake(
                f"without an instanceType a VMInstance needs resources.cpu, .sockets and .memory; missing: {', '.join(missing)}"
            )
            return
    check_gpu_memory(place, fields.get("gpus"), spec=spec, tables=tables)
