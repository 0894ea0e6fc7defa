"""Networks as libvirt writes them, read."""

from __future__ import annotations

from provisioner.drivers.libvirt.network_xml import host_element, interface_of, parse_network, summary
from provisioner.model.network import AddressRange, AddressReservation, Subnet

NAT = """
<network connections='1'>
  <name>default</name>
  <uuid>dd8fe884-6c02-601e-7551-cca97df1c5df</uuid>
  <forward mode='nat'><nat><port start='1024' end='65535'/></nat></forward>
  <bridge name='virbr0' stp='on' delay='0'/>
  <mac address='52:54:00:aa:bb:cc'/>
  <ip family='ipv6' address='fd00::1' prefix='64'><dhcp><range start='fd00::10' end='fd00::20'/></dhcp></ip>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.168.122.2' end='192.168.122.254'><lease expiry='1' unit='hours'/></range>
      <host mac='52:54:00:AA:00:01' name='first.default' ip='192.168.122.57'/>
      <host mac='52:54:00:aa:00:02' ip='192.168.122.58'/>
      <host name='by-name-only' ip='192.168.122.59'/>
    </dhcp>
  </ip>
</network>
"""


def test_a_nat_network() -> None:
    found = parse_network(NAT, active=True)
    assert (found.name, found.forward, found.bridge, found.active) == ("default", "nat", "virbr0", True)
    assert found.subnets == (
        Subnet(gateway="192.168.122.1", prefix=24, ranges=(AddressRange(first="192.168.122.2", last="192.168.122.254"),)),
    )
    assert [(each.mac_address, each.address, each.name) for each in found.reservations] == [
        ("52:54:00:aa:00:01", "192.168.122.57", "first.default"),
        ("52:54:00:aa:00:02", "192.168.122.58", ""),
    ]
    assert summary(found).bridge == "virbr0"


def test_networks_that_have_less() -> None:
    isolated = parse_network("<network><name>x</name><bridge name='virbr9'/></network>", active=False)
    assert (isolated.forward, isolated.bridge, isolated.subnets, isolated.active) == ("", "virbr9", (), False)
    bridged = parse_network("<network><name>x</name><forward mode='bridge'/><bridge name='br0'/></network>", active=True)
    assert (bridged.forward, bridged.bridge) == ("bridge", "br0")
    macvtap = "<network><name>x</name><forward dev='eth0' mode='private'><interface dev='eth0'/></forward></network>"
    assert (parse_network(macvtap, active=True).forward, parse_network(macvtap, active=True).bridge) == ("private", "")
    default_mode = parse_network("<network><name>x</name><forward/><ip address='10.0.0.1' prefix='16'/></network>", active=True)
    assert (default_mode.forward, default_mode.subnets[0].prefix) == ("nat", 16)


def test_a_reservation_is_written_for_libvirt() -> None:
    known = AddressReservation(mac_address="52:54:00:aa:00:01", address="192.168.122.57", name="first.default")
    assert host_element(known) == '<host mac="52:54:00:aa:00:01" name="first.default" ip="192.168.122.57" />'
    assert "name" not in host_element(known.model_copy(update={"name": ""}))


def test_interfaces_of_guests_are_not_the_hosts() -> None:
    def node(name: str) -> str:
        return f"<device><name>net_x</name><capability type='net'><interface>{name}</interface></capability></device>"

    assert [interface_of(node(name)) for name in ("eth0", "br0.100", "vnet12", "macvtap0", "lo", "tap0")] == [
        "eth0", "br0.100", "", "", "", "",
    ]  # fmt: skip
