"""A VM that boots by UEFI, with `external: true` on a host's NAT network: reached on the port that it lists and on no other."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from provisioner.model.metadata import find_condition
from tests.e2e.rig import Rig

EXTERNAL = "203.0.113.17"
NVRAM = "/var/lib/libvirt/qemu/nvram"
_GREETING = (
    "import socket,sys\n"
    "one = socket.socket()\n"
    "one.settimeout(5)\n"
    "try:\n"
    "    one.connect((sys.argv[1], int(sys.argv[2])))\n"
    "    print(one.recv(100).decode().strip())\n"
    "except OSError as error:\n"
    "    print('nobody:', error)\n"
)


@pytest.mark.timeout(1500)
def test_a_guest_that_boots_by_uefi_is_ready_and_reached_on_the_listed_port_and_nothing_is_left_of_it(rig: Rig) -> None:
    """Every other test boots by BIOS, from the same image, and publishes nothing."""
    rig.configure(external_addresses=(EXTERNAL,))
    vm = rig.apply(gpus=1, firmware="efi")
    spec = vm.spec.model_copy(update={"external": True, "external_ports": (22,), "external_allow_icmp": False})
    rig.store.update(vm.model_copy(update={"spec": spec}))
    assert rig.control().returncode == 0
    _is_proven_under_uefi(rig)
    _is_reached_on_port_22_only(rig)
    rig.delete()
    assert rig.control().returncode == 0
    assert rig.leaks() == []
    assert rig.on_box(f"ls {NVRAM}") == ""
    assert "hikube-" not in rig.on_box("nft list ruleset")
    assert "<host " not in rig.on_box("virsh net-dumpxml default")


def _is_proven_under_uefi(rig: Rig) -> None:
    proven = find_condition(rig.vm().status.conditions, "GPUsProven")
    assert proven is not None
    assert proven.status == "True"
    assert "1 GPU on the PCI bus at 0000:01:00.0" in proven.message
    loader = ElementTree.fromstring(rig.on_box(f"virsh dumpxml {rig.vm().status.domain}")).find("os/loader")
    assert loader is not None
    assert loader.get("type") == "pflash"
    assert rig.on_box(f"ls {NVRAM}")


def _is_reached_on_port_22_only(rig: Rig) -> None:
    status = rig.vm().status
    published = find_condition(status.conditions, "Published")
    assert published is not None
    assert (published.status, published.message) == ("True", f"TCP 22 at {EXTERNAL}")
    assert [kept.address for kept in status.kept_addresses] == [status.address]
    assert f"ip='{status.address}'" in rig.on_box("virsh net-dumpxml default")
    assert _greeting(rig, 22).startswith("SSH-2.0-")
    assert _greeting(rig, 80).startswith("nobody:")


def _greeting(rig: Rig, port: int) -> str:
    """What says hello there to the host, which has no interface with that address."""
    return rig.on_box(f"python3 - {EXTERNAL} {port} <<'EOF'\n{_GREETING}EOF")
