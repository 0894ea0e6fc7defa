"""GPUHost documents."""

from __future__ import annotations

import re

from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.cluster import read_cluster, refuse_of_one_machine
from provisioner.model.door.header import Header
from provisioner.model.door.host_networks import interface_name, read_external_addresses, read_network_mappings
from provisioner.model.door.nodes import shown
from provisioner.model.door.places import Place, fields_of, is_missing, items_of, members_of
from provisioner.model.gpu_host import DEFAULT_GPU_RULE, GPUHost, GPUHostSpec, GpuRule, ResetPolicy
from provisioner.model.names import problem_with_name
from provisioner.model.tables import Tables

FIELDS = (
    "uri", "cordoned", "gpuRules", "allowEmulation", "storagePool", "storageClasses", "network", "reservedMemoryMib",
    "refreshIntervalS", "keepOnVfio", "resetPolicy", "scrubCommand", "scrubTimeoutS", "retired", "externalAddresses",
    "externalInterface", "networks", "kubevirt",
)  # fmt: skip
_VENDOR = re.compile(r"[0-9a-f]{4}", re.ASCII)
_CLASS = re.compile(r"[0-9a-f]{2}([0-9a-f]{2}){0,2}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}", re.ASCII)


def read_gpu_host(header: Header, tables: Tables) -> GPUHost:
    """The host that a document describes."""
    fields = fields_of(header.spec, FIELDS, hints={"address": "write uri, a libvirt URI such as qemu+ssh://root@HOST/system"})
    if is_missing(header.spec, fields, "uri", instead=("address",)):
        header.spec.mistake("uri is missing: how is the host reached?", allowed=read.HOST_URI_FORMS)
    uri = read.host_uri(fields.get("uri"))
    spec = GPUHostSpec(
        uri=uri,
        cordoned=scalars.boolean(fields.get("cordoned")),
        gpu_rules=_rules(fields.get("gpuRules")),
        allow_emulation=scalars.boolean(fields.get("allowEmulation")),
        storage_pool=read.word(fields.get("storagePool"), "default"),
        storage_classes=_classes(fields.get("storageClasses")),
        network=read.word(fields.get("network"), "default"),
        reserved_memory_mib=scalars.integer(fields.get("reservedMemoryMib"), 1024, most=2**30),
        refresh_interval_s=scalars.integer(fields.get("refreshIntervalS"), 300, least=10, most=86_400),
        keep_on_vfio=scalars.boolean(fields.get("keepOnVfio")),
        reset_policy=ResetPolicy(scalars.one_of(fields.get("resetPolicy"), tuple(ResetPolicy), default=ResetPolicy.REQUIRED)),
        scrub_command=scalars.text(fields.get("scrubCommand"), longest=4096),
        scrub_timeout_s=scalars.integer(fields.get("scrubTimeoutS"), 600, least=1, most=86_400),
        retired=tuple(filter(None, map(read.pci_address, items_of(fields.get("retired"), of_what="PCI addresses")))),
        external_addresses=read_external_addresses(fields.get("externalAddresses")),
        external_interface=interface_name(fields.get("externalInterface")),
        networks=read_network_mappings(fields.get("networks")),
        kubevirt=read_cluster(fields, uri=uri, catalogue=tables.gpus),
    )
    refuse_of_one_machine(fields, spec)
    return GPUHost(metadata=header.metadata, spec=spec)


def _classes(place: Place | None) -> dict[str, str]:
    """Pools by storage class."""
    classes: dict[str, str] = {}
    for key, member in members_of(place):
        if problem := problem_with_name(key):
            member.mistake(f"{shown(key)} is no name of a storage class: {problem}")
        before = member.findings.noted
        pool = read.word(member)
        if not pool and member.findings.noted == before:
            member.mistake(f"which storage pool is {shown(key)}?")
        classes[key] = pool
    return classes


def _rules(place: Place | None) -> tuple[GpuRule, ...]:
    if place is None:
        return (DEFAULT_GPU_RULE,)
    return tuple(_rule(item) for item in items_of(place, of_what="rules ({vendor, class, ids, addresses})", most=100))


def _rule(item: Place) -> GpuRule:
    before = item.findings.noted
    fields = fields_of(item, ("vendor", "class", "ids", "addresses"))
    rule = GpuRule(
        vendor=_hexadecimal(fields.get("vendor"), _VENDOR, "a PCI vendor such as 10de"),
        pci_class=_hexadecimal(fields.get("class"), _CLASS, "the beginning of a PCI class such as 03 or 0302"),
        ids=tuple(
            _hexadecimal(each, _ID, "a PCI vendor:device such as 10de:26b9")
            for each in items_of(fields.get("ids"), of_what="PCI ids")
        ),
        addresses=tuple(
            address
            for each in items_of(fields.get("addresses"), of_what="PCI addresses")
            if (address := read.pci_address(each))
        ),
    )
    if rule == GpuRule() and item.findings.noted == before:
        item.mistake("an empty rule would make every device of the host a GPU; say vendor, class, ids or addresses")
    return rule


def _hexadecimal(place: Place | None, form: re.Pattern[str], described: str) -> str:
    value = scalars.text(place).strip().lower().removeprefix("0x")
    if place is None or not value:
        return ""
    if not form.fullmatch(value):
        place.mistake(f"{shown(value)} is not {described}")
        return ""
    return value
