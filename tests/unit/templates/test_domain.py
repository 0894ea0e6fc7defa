"""Domain XML: snapshots of the whole, libvirt's own opinion of each, and names that try to break out."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import libvirt
import pytest
from syrupy.assertion import SnapshotAssertion

from provisioner.model.errors import InvalidInput, NotFound
from provisioner.model.gpu_host import HostCapabilities, KvmVerdict
from provisioner.model.sizing import GuestSize
from provisioner.model.virtual_machine import DiskReference, NetworkReference
from provisioner.planning.hardware import plan_domain
from provisioner.planning.plans import DomainPlan
from templates.domain import render_domain
from tests.unit.planning.factory import BOCHS, H100, L40S, TABLES, assigned, gpu, host, vm, vm_disk

POOLS = {"default": "/var/lib/libvirt/images"}
LOG = "/var/lib/libvirt/images/hikube-console-x.log"
MARK = "{https://hikube.cloud/xmlns/domain/1}vm"
SIZE = GuestSize(sockets=1, cores_per_socket=4, memory_mib=16384)


def _one_gpu() -> DomainPlan:
    gpus = (gpu(0x41, L40S, node=1),)
    return plan_domain(vm(gpus=assigned("a", *gpus)), size=SIZE, host=host("a", *gpus), tables=TABLES).plan


def _two_gpus_on_two_nodes() -> DomainPlan:
    gpus = (gpu(0x41, H100, node=0, companions=0), gpu(0x81, H100, node=1, companions=0, bar_bytes=(16 * 2**20, 128 * 2**30)))
    machine = vm(gpus=assigned("a", *gpus))
    return plan_domain(machine, size=SIZE, host=host("a", *gpus), tables=TABLES, firmware="efi").plan


def _no_gpu() -> DomainPlan:
    machine = vm(networks=(NetworkReference(name="default"), NetworkReference(name="lan")), cpu_model="EPYC-Rome")
    return plan_domain(machine, size=GuestSize(2, 2, 1024), host=host(), tables=TABLES).plan


def _no_gpu_efi() -> DomainPlan:
    return plan_domain(vm(), size=SIZE, host=host(), tables=TABLES, firmware="efi").plan


def _emulated_stand_in() -> DomainPlan:
    gpus = (gpu(0x01, BOCHS),)
    where = host(
        "lab", *gpus, kvm=KvmVerdict(works=False), capabilities=HostCapabilities(cpu_modes=("maximum", "host-model"), vfio=True)
    )
    return plan_domain(vm(gpus=assigned("lab", *gpus)), size=SIZE, host=where, tables=TABLES).plan


def _disks_of_every_bus() -> DomainPlan:
    disks = [vm_disk("one"), vm_disk("two"), vm_disk("three"), vm_disk("installer", optical=True)]
    buses = {"one": "", "two": "scsi", "three": "sata", "installer": ""}
    machine = vm(system_disk=None, disks=tuple(DiskReference(name=name, bus=bus) for name, bus in buses.items()))
    return plan_domain(machine, size=SIZE, host=host(), tables=TABLES, vm_disks=disks).plan


PLANS = {
    "one-gpu": _one_gpu(),
    "two-gpus-on-two-nodes": _two_gpus_on_two_nodes(),
    "no-gpu": _no_gpu(),
    "no-gpu-efi": _no_gpu_efi(),
    "emulated-stand-in": _emulated_stand_in(),
    "disks-of-every-bus": _disks_of_every_bus(),
}


def _xml(plan: DomainPlan) -> str:
    return render_domain(plan, pool_paths=POOLS, console_log_path=LOG)


@pytest.mark.parametrize("name", PLANS)
def test_domain_is_as_it_was(name: str, snapshot: SnapshotAssertion) -> None:
    assert _xml(PLANS[name]) == snapshot


@pytest.mark.parametrize("name", PLANS)
def test_libvirts_schema_accepts_the_domain(name: str) -> None:
    program = shutil.which("virt-xml-validate")
    if program is None or shutil.which("xmllint") is None:
        pytest.skip("virt-xml-validate or xmllint is not installed (packages libvirt-clients, libxml2-utils)")
    done = subprocess.run(
        [program, "-", "domain"], input=_xml(PLANS[name]), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", PLANS)
def test_libvirt_defines_the_domain(name: str) -> None:
    """libvirt's test driver checks the same schema inside libvirt, and the PCI addresses against each other."""
    root = ElementTree.fromstring(_xml(PLANS[name]))
    root.set("type", "test")
    connection = libvirt.open("test:///default")
    try:
        domain = connection.defineXML(ElementTree.tostring(root, encoding="unicode"))
        kept = ElementTree.fromstring(domain.XMLDesc())
        domain.undefine()
    finally:
        connection.close()
    addresses = [element.attrib for element in root.iterfind("devices/hostdev/address")]
    assert [element.attrib for element in kept.iterfind("devices/hostdev/address")] == addresses
    mark = kept.find(f"metadata/{MARK}")
    assert mark is not None
    assert mark.attrib == {"uid": "uid-me", "name": "default/me"}


def test_hostile_names_stay_text() -> None:
    hostile = """x"/><devices/><!-- ' & ]]> {{ 7*7 }} é"""
    plan = replace(PLANS["one-gpu"], owner=hostile, name=hostile, owner_uid=hostile, emulator_cpuset=hostile)
    root = ElementTree.fromstring(_xml(plan))
    mark = root.find(f"metadata/{MARK}")
    assert mark is not None
    assert mark.attrib == {"uid": hostile, "name": hostile}
    assert root.findtext("name") == root.findtext("title") == hostile
    assert len(root.findall("devices")) == 1


def test_a_hostile_path_stays_text() -> None:
    path = """/pool/"><script>&amp;'"""
    xml = render_domain(PLANS["no-gpu"], pool_paths={"default": path}, console_log_path=path)
    root = ElementTree.fromstring(xml)
    log = root.find("devices/serial/log")
    source = root.find("devices/disk/source")
    assert log is not None
    assert source is not None
    assert log.get("file") == path
    assert source.get("file") == f"{path}/hikube-default.me-system.qcow2"


def test_a_character_that_xml_cannot_hold_is_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot be written"):
        _xml(replace(PLANS["no-gpu"], owner="a\x00b"))


def test_an_address_that_is_none_is_refused() -> None:
    function = replace(PLANS["one-gpu"].functions[0], host_address='0000:41:00.0"/>')
    with pytest.raises(InvalidInput, match="no PCI address"):
        _xml(replace(PLANS["one-gpu"], functions=(function,)))


def test_a_pool_without_a_path_is_named() -> None:
    with pytest.raises(NotFound, match="Storage pool default"):
        render_domain(PLANS["no-gpu"], pool_paths={}, console_log_path=LOG)
