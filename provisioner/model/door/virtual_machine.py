"""VirtualMachine and VMInstance: every shape in which documents wrote them, into the one VirtualMachineSpec.

Accepted and normalised: `running` for `runStrategy`, `systemDisk.size` for `.storage`, disks as names or as `{name, bus}`,
`subnets` for `networks`, `guestOS` for `instanceProfile`, every name of a GPU, a VMInstance with a system disk of its own.
"""

from __future__ import annotations

from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.cloud_init import read_cloud_init
from provisioner.model.door.gpus import check_gpu_memory, read_gpus
from provisioner.model.door.header import Header
from provisioner.model.door.nodes import ListNode, ScalarNode, shown
from provisioner.model.door.places import Place, fields_of, is_missing, items_of
from provisioner.model.door.sizes import read_resources
from provisioner.model.door.ssh_keys import problem_with_key
from provisioner.model.door.system_disk import legacy_system_disk, read_system_disk
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import (
    DiskReference,
    NetworkReference,
    RunStrategy,
    SystemDisk,
    VirtualMachine,
    VirtualMachineSpec,
    VMInstance,
)

FIELDS = (
    "runStrategy", "running", "instanceType", "instanceProfile", "guestOS", "resources", "cpuModel", "gpus", "systemDisk",
    "disks", "networks", "subnets", "external", "externalMethod", "externalPorts", "externalAllowICMP", "sshKeys", "cloudInit",
    "cloudInitSeed", "hostSelector",
)  # fmt: skip
MOST_PORTS = 100
_BUSES = ("virtio", "sata", "scsi")
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
    disks, legacy = _disks(fields.get("disks"), fields.get("systemDisk"))
    system_disk = legacy or _system_disk(header, fields, profile=profile, tables=tables)
    if is_instance and system_disk is None and not disks and _is_empty(fields.get("disks")):
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
        networks=_networks(fields),
        external=scalars.boolean(fields.get("external")),
        external_method=_external_method(fields.get("externalMethod")),
        external_ports=_ports(fields.get("externalPorts")),
        external_allow_icmp=scalars.boolean(fields.get("externalAllowICMP"), True),
        ssh_keys=_ssh_keys(fields.get("sshKeys")),
        cloud_init=read_cloud_init(fields.get("cloudInit")),
        cloud_init_seed=scalars.text(fields.get("cloudInitSeed"), longest=256),
        host_selector=read.labels(fields.get("hostSelector")),
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


def _system_disk(header: Header, fields: dict[str, Place], *, profile: str, tables: Tables) -> SystemDisk | None:
    """The disk that a VirtualMachine always has, and a VMInstance only where its document shows one."""
    place = fields.get("systemDisk")
    if header.words.kind == "VMInstance":
        if place is None:
            return None
        place.warn("a VMInstance boots from VMDisks; a systemDisk is made for it here as for a VirtualMachine")
    return read_system_disk(place, profile=profile, tables=tables, owner=header.spec)


def _disks(place: Place | None, system_disk: Place | None) -> tuple[tuple[DiskReference, ...], SystemDisk | None]:
    """References to VMDisks, and the system disk where the first documents listed it among the disks."""
    references: list[DiskReference] = []
    legacy: SystemDisk | None = None
    for item in items_of(place, of_what="VMDisk names", most=64):
        if isinstance(item.node, ScalarNode):
            references.append(DiskReference(name=read.name(item)))
            continue
        fields = fields_of(item, ("name", "bus", "size", "storage", "storageClass"))
        if "size" in fields or "storage" in fields or "storageClass" in fields:
            legacy = legacy_system_disk(item, fields, is_taken=legacy is not None or system_disk is not None) or legacy
            continue
        if is_missing(item, fields, "name"):
            item.mistake("a disk has no name; give the name of a VMDisk")
        bus = scalars.one_of(fields.get("bus"), ("", *_BUSES), default="")
        references.append(DiskReference.model_validate({"name": read.name(fields.get("name")), "bus": bus}))
    _refuse_repeated(place, [reference.name for reference in references], what="VMDisk")
    return tuple(references), legacy


def _networks(fields: dict[str, Place]) -> tuple[NetworkReference, ...]:
    place = fields.get("networks") or fields.get("subnets")
    if old := fields.get("subnets"):
        if "networks" in fields:
            old.mistake("subnets is the older name of networks; list all of them under networks")
        else:
            old.warn("subnets is the older name; write networks")
    found: list[NetworkReference] = []
    for item in items_of(place, of_what="networks ({name: NETWORK})", most=16):
        inner = fields_of(item, ("name",)) if not isinstance(item.node, ScalarNode) else {"name": item}
        if is_missing(item, inner, "name"):
            item.mistake("a network has no name")
        found.append(NetworkReference(name=read.word(inner.get("name"))))
    _refuse_repeated(place, [network.name for network in found], what="network")
    return tuple(found)


def _is_empty(place: Place | None) -> bool:
    return place is None or (isinstance(place.node, ListNode) and not place.node.items)


def _external_method(place: Place | None) -> str:
    return scalars.one_of(place, ("PortList", "WholeIP"), default="PortList")


def _ports(place: Place | None) -> tuple[int, ...]:
    if place is None:
        return (22,)
    items = items_of(place, of_what="port numbers", most=MOST_PORTS)
    ports = [scalars.integer(item, 0, least=1, most=65535) for item in items]
    _refuse_repeated(place, [str(port) for port in ports if port], what="port")
    return tuple(ports)


def _ssh_keys(place: Place | None) -> tuple[str, ...]:
    keys: list[str] = []
    for item in items_of(place, of_what="SSH public keys", most=100):
        key = scalars.text(item, longest=16 * 1024).strip()
        problem = problem_with_key(key) if key or scalars.verbatim(item) == "" else ""
        if problem:
            item.mistake(problem)
        keys.append(key)
    return tuple(keys)


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


def _refuse_repeated(place: Place | None, words: list[str], *, what: str) -> None:
    seen: set[str] = set()
    for word, item in zip(words, items_of(place, of_what=what), strict=False):
        if word and word in seen:
            item.mistake(f"{what} {shown(word)} is listed twice")
        seen.add(word)
