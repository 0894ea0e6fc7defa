"""Domain XML as a simulated libvirt reads it."""

from __future__ import annotations

import pytest

from provisioner.drivers.simulated.domain_xml import parse_domain
from provisioner.drivers.simulated.state import PassedDevice
from provisioner.model.errors import InvalidInput
from provisioner.planning.plans import DomainDisk, DomainInterface, DomainPlan, PassedFunction
from templates.domain import render_domain
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


def test_the_domain_that_hikube_writes_is_read_whole():
    plan = DomainPlan(
        name="hikube-default.x",
        uuid="6f0a2d0e-5a7e-4a53-9f5b-0d1f0f6f9a11",
        owner_uid="uid-1",
        owner="default/x",
        smbios_serial="s",
        domain_type="kvm",
        cpu_mode="host-passthrough",
        cpu_model="",
        machine="q35",
        firmware="efi",
        memory_mib=16384,
        sockets=1,
        cores_per_socket=4,
        root_ports=4,
        functions=(
            PassedFunction("0000:41:00.0", port=3, guest_bus=3, guest_function=0, is_multifunction=True, alias="ua-gpu0"),
            PassedFunction("0000:41:00.1", port=3, guest_bus=3, guest_function=1, is_multifunction=False, alias="ua-gpu0-1"),
        ),
        disks=(
            DomainDisk("default", "x-system.qcow2", "qcow2", "vda", "virtio", boot_order=1),
            DomainDisk("default", "x-seed.iso", "raw", "sda", "sata", is_cdrom=True),
        ),
        interfaces=(DomainInterface("network", "default", "52:54:00:AA:00:01"),),
        on_reboot="destroy",
    )
    config = parse_domain(render_domain(plan, pool_paths={"default": "/pool"}, console_log_path="/pool/console.log"))
    assert (config.name, config.uuid, config.owner_uid) == (plan.name, plan.uuid, plan.owner_uid)
    assert (config.memory_mib, config.vcpus, config.on_reboot) == (16384, 4, "destroy")
    assert [(device.host_address, device.guest_address) for device in config.devices] == [
        ("0000:41:00.0", "0000:03:00.0"),
        ("0000:41:00.1", "0000:03:00.1"),
    ]
    assert [(disk.path, disk.is_cdrom) for disk in config.disks] == [
        ("/pool/x-system.qcow2", False),
        ("/pool/x-seed.iso", True),
    ]
    assert config.interfaces[0].mac_address == "52:54:00:aa:00:01"
    assert config.has_console


def controllers(*ports: str, node: str = "0", second: int = 96) -> str:
    def port(index: int, bus: int | None) -> str:
        address = "" if bus is None else f"<address type='pci' bus='{bus}' slot='{index % 2}'/>"
        return f"<controller type='pci' index='{index}' model='pcie-root-port'>{address}</controller>"

    def expander(index: int, number: int, cell: str) -> str:
        target = f"<target busNr='{number}'><node>{cell}</node></target>"
        return f"<controller type='pci' index='{index}' model='pcie-expander-bus'>{target}</controller>"

    found = [port(1, None), port(2, None), expander(3, 64, node), expander(7, second, "1"), port(5, 3), port(4, 3), port(8, 7)]
    cells = "<cpu><numa><cell id='0' cpus='0' memory='1'/><cell id='1' cpus='1' memory='1'/></numa></cpu>"
    hostdevs = "".join(
        "<hostdev type='pci'><source><address bus='0x41'/></source>"
        f"<address type='pci' domain='0' bus='{port}' slot='0' function='0'/></hostdev>"
        for port in ports
    )
    return f"{cells}<devices>{''.join(found)}{hostdevs}</devices>"


def test_buses_behind_expanders_have_their_numbers_and_nodes():
    config = parse_domain(MINIMAL.format(controllers("1", "2", "4", "5", "8")))
    assert [(device.guest_address, device.numa_node) for device in config.devices] == [
        ("0000:01:00.0", None),
        ("0000:02:00.0", None),
        ("0000:41:00.0", 0),
        ("0000:42:00.0", 0),
        ("0000:61:00.0", 1),
    ]


@pytest.mark.parametrize("changes", [{"node": "2"}, {"second": 65}, {"second": 2}, {"second": 255}])
def test_layouts_that_qemu_refuses_are_refused(changes):
    with pytest.raises(InvalidInput):
        parse_domain(MINIMAL.format(controllers("4", **changes)))
