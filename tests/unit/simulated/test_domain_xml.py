"""Domain XML as a simulated libvirt reads it."""

from __future__ import annotations

import pytest

from provisioner.drivers.simulated.domain_xml import parse_domain
from provisioner.drivers.simulated.state import PassedDevice
from provisioner.model.errors import InvalidInput
from tests.contract.hypervisors import DomainText

MINIMAL = "<domain type='kvm'><name>g</name><memory>1048576</memory><os><type>hvm</type></os>{}</domain>"


def test_what_decides_something_is_read():
    text = DomainText("g", "kvm", network="default", uuid="6f0a2d0e-5a7e-4a53-9f5b-0d1f0f6f9a11", disk="/d", cdrom="/s")
    config = parse_domain(text.text())
    assert (config.name, config.uuid, config.owner_uid) == ("g", "6f0a2d0e-5a7e-4a53-9f5b-0d1f0f6f9a11", "uid-1")
    assert (config.memory_mib, config.vcpus, config.domain_type, config.on_reboot) == (64, 1, "kvm", "restart")
    assert [(disk.target, disk.path, disk.is_cdrom) for disk in config.disks] == [("vda", "/d", False), ("sda", "/s", True)]
    assert config.interfaces[0].network == "default"


def test_a_disk_may_be_named_by_pool_and_volume():
    disk = "<disk type='volume'><source pool='p' volume='v'/><target dev='vda'/></disk>"
    (read,) = parse_domain(MINIMAL.format(f"<devices>{disk}</devices>")).disks
    assert (read.pool, read.volume, read.is_empty) == ("p", "v", False)


@pytest.mark.parametrize(
    ("memory", "mib"), [("unit='GiB'>4", 4096), ("unit='MiB'>512", 512), (">2048", 2), ("unit='KiB'>1024", 1)]
)
def test_memory_has_units(memory, mib):
    assert parse_domain(MINIMAL.replace(">1048576", f" {memory}").format("")).memory_mib == mib


def test_addresses_may_be_hexadecimal_or_decimal():
    hostdev = (
        "<hostdev mode='subsystem' type='pci' managed='no'>"
        "<source><address domain='0' bus='65' slot='0x00' function='0x1'/></source>"
        "<address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x1'/></hostdev>"
    )
    config = parse_domain(MINIMAL.format(f"<devices>{hostdev}</devices>"))
    assert config.devices == (PassedDevice(host_address="0000:41:00.1", guest_address="0000:05:00.1"),)


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "<domain",
        MINIMAL.format("").replace("<name>g</name>", ""),
        MINIMAL.format("").replace("<name>g</name>", "<name> </name>"),
        MINIMAL.format("").replace("<memory>1048576</memory>", ""),
        MINIMAL.format("").replace("1048576", "much"),
        MINIMAL.format("").replace("<type>hvm</type>", ""),
        MINIMAL.format("").replace(" type='kvm'", ""),
        MINIMAL.format("<uuid>no-uuid</uuid>"),
        MINIMAL.format("<gpus>1</gpus>"),
        MINIMAL.format("<devices><gpu/></devices>"),
        MINIMAL.format("<devices><disk/></devices>"),
        MINIMAL.format("<devices><interface type='network'/></devices>"),
        MINIMAL.format("<devices><hostdev type='pci' managed='yes'/></devices>"),
        MINIMAL.format("<devices><hostdev type='pci'/></devices>"),
    ],
)
def test_what_libvirt_refuses_is_refused(broken):
    with pytest.raises(InvalidInput) as caught:
        parse_domain(broken)
    assert caught.value.why
