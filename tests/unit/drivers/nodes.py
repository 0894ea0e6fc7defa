"""Node-device XML as libvirtd writes it, for functions of real cards and of stand-ins."""

from __future__ import annotations

from dataclasses import dataclass

BOCHS_STAND_IN = """
<device>
  <name>pci_0000_01_00_0</name>
  <path>/sys/devices/pci0000:00/0000:00:04.0/0000:01:00.0</path>
  <parent>pci_0000_00_04_0</parent>
  <driver>
    <name>bochs-drm</name>
  </driver>
  <capability type='pci'>
    <class>0x038000</class>
    <domain>0</domain>
    <bus>1</bus>
    <slot>0</slot>
    <function>0</function>
    <product id='0x1111'/>
    <vendor id='0x1234'/>
    <iommuGroup number='7'>
      <address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
      <address domain='0x0000' bus='0x01' slot='0x00' function='0x1'/>
    </iommuGroup>
    <pci-express>
      <link validity='cap' port='0' speed='2.5' width='1'/>
      <link validity='sta' speed='2.5' width='1'/>
    </pci-express>
  </capability>
</device>
"""
"""Taken from libvirt 11.3 in a GPU host in a box."""

H100 = """
<device>
  <name>pci_0000_41_00_0</name>
  <path>/sys/devices/pci0000:40/0000:40:01.1/0000:41:00.0</path>
  <parent>pci_0000_40_01_1</parent>
  <driver>
    <name>nvidia</name>
  </driver>
  <capability type='pci'>
    <class>0x030200</class>
    <domain>0</domain>
    <bus>65</bus>
    <slot>0</slot>
    <function>0</function>
    <product id='0x2330'>GH100 [H100 SXM5 80GB]</product>
    <vendor id='0x10de'>NVIDIA Corporation</vendor>
    <capability type='virt_functions' maxCount='32'/>
    <iommuGroup number='114'>
      <address domain='0x0000' bus='0x41' slot='0x00' function='0x0'/>
    </iommuGroup>
    <numa node='1'/>
    <pci-express>
      <link validity='cap' port='0' speed='32' width='16'/>
      <link validity='sta' speed='2.5' width='8'/>
    </pci-express>
  </capability>
</device>
"""
"""A headless card, idle: its link has trained down."""


@dataclass(frozen=True)
class Node:
    """A function to write XML for."""

    address: str
    id: str
    pci_class: str
    parent: str = "computer"
    driver: str = ""
    group: int | None = None
    members: tuple[str, ...] = ()
    numa: int | None = None
    is_bridge: bool = False
    virtual_functions: tuple[str, ...] = ()

    def xml(self) -> str:
        """As libvirtd would write it."""
        domain, bus, slot, function = _numbers(self.address)
        vendor, device = self.id.split(":")
        driver = f"<driver><name>{self.driver}</name></driver>" if self.driver else ""
        members = "".join(_address(member) for member in self.members or (self.address,))
        group = "" if self.group is None else f"<iommuGroup number='{self.group}'>{members}</iommuGroup>"
        numa = "" if self.numa is None else f"<numa node='{self.numa}'/>"
        bridge = "<capability type='pci-bridge'/>" if self.is_bridge else ""
        functions = "".join(_address(one) for one in self.virtual_functions)
        virtual = f"<capability type='virt_functions' maxCount='16'>{functions}</capability>" if functions else ""
        return f"""<device><name>x</name><parent>{self.parent}</parent>{driver}<capability type='pci'>
            <class>0x{self.pci_class}</class><domain>{domain}</domain><bus>{bus}</bus><slot>{slot}</slot>
            <function>{function}</function><product id='0x{device}'/><vendor id='0x{vendor}'/>
            {bridge}{virtual}{group}{numa}</capability></device>"""


def l40s_with_companions() -> tuple[Node, ...]:
    """An RTX-class card as on a workstation: display, audio, USB and UCSI functions behind a root port, in one group."""
    members = tuple(f"0000:01:00.{function}" for function in range(4))
    shared = {"parent": "pci_0000_00_01_0", "group": 13, "members": ("0000:00:01.0", *members)}
    return (
        Node("0000:00:01.0", "8086:460d", "060400", driver="pcieport", group=13, members=shared["members"], is_bridge=True),
        Node(members[0], "10de:26b9", "030200", driver="nvidia", numa=0, **shared),
        Node(members[1], "10de:22ba", "040300", driver="snd_hda_intel", numa=0, **shared),
        Node(members[2], "10de:1ad6", "0c0330", driver="xhci_hcd", numa=0, **shared),
        Node(members[3], "10de:1ad7", "0c8000", numa=0, **shared),
    )


def behind_a_switch() -> tuple[Node, ...]:
    """Two GPUs below one switch whose ports do not separate them: one group. An NVSwitch stands beside them."""
    members = ("0000:03:00.0", "0000:04:00.0")
    gpu = {"id": "10de:2330", "pci_class": "030200", "group": 20, "members": members, "driver": "vfio-pci"}
    return (
        Node("0000:00:02.0", "8086:0001", "060400", driver="pcieport", is_bridge=True),
        Node("0000:01:00.0", "11f8:4052", "060400", parent="pci_0000_00_02_0", driver="pcieport", is_bridge=True),
        Node(members[0], parent="pci_0000_01_00_0", **gpu),
        Node(members[1], parent="pci_0000_01_00_0", **gpu),
        Node("0000:05:00.0", "10de:22a3", "068000", parent="pci_0000_01_00_0", group=21),
    )


def _numbers(address: str) -> tuple[int, int, int, int]:
    domain, bus, rest = address.split(":")
    slot, function = rest.split(".")
    return int(domain, 16), int(bus, 16), int(slot, 16), int(function, 16)


def _address(address: str) -> str:
    domain, bus, slot, function = _numbers(address)
    return f"<address domain='0x{domain:04x}' bus='0x{bus:02x}' slot='0x{slot:02x}' function='0x{function:x}'/>"
