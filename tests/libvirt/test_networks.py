"""Networks of a real libvirtd, in a network namespace of its own: its dnsmasq, its chains, and filters that real frames meet.

The guest of the filter's tests is a QEMU without a system. Frames are put on a wire that leads to the bridge, and looked for on
the guest's own port.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from provisioner.drivers.host_shell.python import PYTHON, PythonShell
from provisioner.drivers.libvirt import LibvirtConnector
from provisioner.drivers.libvirt.connection import Connection
from provisioner.drivers.libvirt.hypervisor import LibvirtHypervisor
from provisioner.drivers.libvirt.networks import LibvirtNetworks
from provisioner.model.errors import Conflict
from provisioner.model.network import AddressReservation, Publication
from templates.networks import filter_xml
from tests.libvirt.private_daemon import PrivateDaemon, until

LIMIT_S = 30.0
GUEST_MAC = "52:54:00:00:20:01"
WANTED = Publication(
    name="hikube-test.published",
    guest_address="192.168.199.57",
    subnet="192.168.199.0/24",
    bridge="virbr0",
    external_address="203.0.113.17",
    ports=(22,),
)
_NUMBERS = itertools.count(1)
_FRAMES = """
import json, select, socket, struct, sys, time
guest, frames = json.loads(sys.argv[1])
SIX = [socket.inet_pton(socket.AF_INET6, text) for text in ("fd00::2", "fd00::57")]
FOUR = [socket.inet_aton(text) for text in ("10.9.0.2", "10.9.0.57")]
def mac(text): return bytes.fromhex(text.replace(":", ""))
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def sealed(body, at, pseudo): return body[:at] + struct.pack("!H", checksum(pseudo + body)) + body[at + 2:]
def frame(kind, number):
    protocol = {"tcp": 6, "tcp6": 6, "udp": 17, "icmp": 1, "icmp6": 58}[kind]
    if protocol == 6: body, at = struct.pack("!HHIIBBHHH", 40000 + number, number, 1, 0, 5 << 4, 2, 65535, 0, 0), 16
    elif protocol == 17: body, at = struct.pack("!HHHH", 40000, number, 8, 0), 6
    elif protocol == 1: body, at = struct.pack("!BBHHH", number, 0, 0, 7, 1), 2
    else: body, at = struct.pack("!BBHHH", number, 0, 0, 0, 0) + SIX[1], 2
    ends = mac(guest) + mac("52:54:00:00:20:02")
    if kind.endswith("6"):
        body = sealed(body, at, SIX[0] + SIX[1] + struct.pack("!II", len(body), protocol))
        return ends + b"\\x86\\xdd" + struct.pack("!IHBB", 6 << 28, len(body), protocol, 255) + SIX[0] + SIX[1] + body
    pseudo = b"" if protocol == 1 else FOUR[0] + FOUR[1] + struct.pack("!BBH", 0, protocol, len(body))
    body = sealed(body, at, pseudo)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), number, 0, 64, protocol, 0, FOUR[0], FOUR[1])
    return ends + b"\\x08\\x00" + sealed(head, 10, b"") + body
heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); heard.bind((sys.argv[2], 0))
sent = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); sent.bind(("wire", 0))
wanted = {frame(kind, number): (kind, number) for kind, number in frames}
for data in wanted: sent.send(data)
found, end = set(), time.monotonic() + 1.0
while len(found) < len(wanted) and (left := end - time.monotonic()) > 0 and select.select([heard], [], [], left)[0]:
    found.add(wanted.get(heard.recv(2000)))
print(json.dumps(sorted(found - {None})))
"""


@pytest.fixture
def networks(daemon: PrivateDaemon, host: LibvirtHypervisor) -> LibvirtNetworks:
    """The driver, with a shell to where the daemon is."""
    shell = PythonShell("local", [*daemon.entry(), sys.executable, *PYTHON[1:]], host=daemon.uri)
    connection = host._connection  # a URI with a socket is given no shell of its own
    assert isinstance(connection, Connection)
    return LibvirtNetworks(connection, shell=shell, why_no_shell="")


@pytest.fixture
def published(networks: LibvirtNetworks) -> Iterator[LibvirtNetworks]:
    """With a publication, which is withdrawn."""
    if shutil.which("nft") is None:
        pytest.skip("nftables is not installed here")
    networks.publish(WANTED, timeout_s=LIMIT_S)
    yield networks
    networks.withdraw(WANTED, timeout_s=LIMIT_S)


def test_a_reservation_is_in_the_running_network_and_in_its_definition(
    daemon: PrivateDaemon, networks: LibvirtNetworks
) -> None:
    known = AddressReservation(mac_address=GUEST_MAC, address="192.168.199.57", name="vm.tests")
    networks.reserve("lan", known)
    _restart_network(daemon)
    assert known in (networks.look("lan") or pytest.fail("it is gone")).reservations
    hosts = daemon.root / "lib" / "dnsmasq" / "lan.hostsfile"
    assert f"{GUEST_MAC},192.168.199.57,vm.tests" in hosts.read_text()
    networks.release("lan", mac_address=GUEST_MAC)
    assert GUEST_MAC not in hosts.read_text()
    assert (networks.look("lan") or pytest.fail("it is gone")).reservations == ()


def test_a_publication_stands_before_libvirts_own_reject(daemon: PrivateDaemon, published: LibvirtNetworks) -> None:
    rules = _chain(daemon)
    ours = next(number for number, rule in enumerate(rules) if WANTED.table in rule)
    assert ours < next(number for number, rule in enumerate(rules) if "REJECT" in rule)
    assert published.published(timeout_s=LIMIT_S) == (WANTED.table,)


def test_a_restart_of_the_network_sweeps_it_away_and_publishing_brings_it_back(
    daemon: PrivateDaemon, published: LibvirtNetworks
) -> None:
    _restart_network(daemon)
    published.publish(WANTED, timeout_s=LIMIT_S)
    rules = _chain(daemon)
    assert [WANTED.table in rule for rule in rules].count(True) == 1
    assert WANTED.table in rules[0]


def test_nothing_is_left_of_it(daemon: PrivateDaemon, networks: LibvirtNetworks, published: LibvirtNetworks) -> None:
    networks.withdraw(WANTED, timeout_s=LIMIT_S)
    assert not [rule for rule in _chain(daemon) if WANTED.table in rule]
    assert networks.published(timeout_s=LIMIT_S) == ()


@pytest.fixture(scope="module")
def bridge(daemon: PrivateDaemon) -> str:
    """A bridge where the daemon is, with a wire to put frames on."""
    for command in (
        "ip link add br-test type bridge",
        "ip link add wire type veth peer name wire-end",
        "ip link set wire-end master br-test",
        "ip link set br-test up",
        "ip link set wire up",
        "ip link set wire-end up",
    ):
        daemon.inside(*command.split())
    return "br-test"


@pytest.fixture
def filtered(daemon: PrivateDaemon, bridge: str, host: LibvirtHypervisor, networks: LibvirtNetworks) -> Iterator[Filtered]:
    """A guest on the bridge, behind a filter."""
    if not networks.filters_bridges(timeout_s=LIMIT_S):
        pytest.skip("this kernel shows bridged packets to no filter")
    made = Filtered(daemon, host, networks, bridge)
    yield made
    made.remove()


class Filtered:
    """A domain with a filter of its name."""

    def __init__(self, daemon: PrivateDaemon, host: LibvirtHypervisor, networks: LibvirtNetworks, bridge: str) -> None:
        self.name = f"hikube-test.filtered-{next(_NUMBERS)}"
        self._daemon, self._host, self.networks, self._bridge = daemon, host, networks, bridge

    def say(self, *, ports: tuple[int, ...] = (), whole: bool = False, allows_icmp: bool = False) -> None:
        """What the filter lets in."""
        xml = filter_xml(self.name, ports=ports, whole=whole, allows_icmp=allows_icmp)
        self.networks.define_filter(self.name, xml)

    def start(self) -> None:
        """Define the domain and start it."""
        interface = (
            f"<interface type='bridge'><mac address='{GUEST_MAC}'/><source bridge='{self._bridge}'/><model type='virtio'/>"
        )
        self._host.domains.define(
            f"<domain type='qemu'><name>{self.name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>"
            "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices><controller type='usb' model='none'/>"
            f"{interface}<filterref filter='{self.name}'/></interface><memballoon model='none'/></devices></domain>"
        )
        self._host.domains.start(self.name, timeout_s=60)

    def arrived(self, *frames: tuple[str, int]) -> set[tuple[str, int]]:
        """Which of these frames get to the guest's port."""
        port = self._port()
        arguments = [json.dumps([GUEST_MAC, frames]), port]
        command = [*self._daemon.entry(), sys.executable, "-c", _FRAMES, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode == 0, done.stderr
        return {(kind, number) for kind, number in json.loads(done.stdout)}

    def remove(self) -> None:
        """Leave nothing."""
        self._host.domains.destroy(self.name, timeout_s=60)
        self._host.domains.undefine(self.name)
        self.networks.undefine_filter(self.name)

    def _port(self) -> str:
        command = ["virsh", "--connect", self._daemon.uri, "domiflist", self.name]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout
        return next(line.split()[0] for line in listed.splitlines() if GUEST_MAC in line)


PING, PING6, NEIGHBOUR = ("icmp", 8), ("icmp6", 128), ("icmp6", 135)
EVERYTHING = (("tcp", 22), ("tcp", 80), ("tcp6", 22), ("tcp6", 80), ("udp", 53), PING, PING6, NEIGHBOUR)


def test_only_the_listed_port_gets_through(filtered: Filtered) -> None:
    filtered.say(ports=(22,))
    filtered.start()
    until(lambda: filtered.arrived(("tcp", 22)) == {("tcp", 22)}, "nothing arrives")
    assert filtered.arrived(*EVERYTHING) == {("tcp", 22), ("tcp6", 22), NEIGHBOUR}


def test_a_filter_follows_its_words_while_the_guest_runs(filtered: Filtered) -> None:
    filtered.say(whole=True)
    filtered.start()
    until(lambda: filtered.arrived(*EVERYTHING) == set(EVERYTHING), "not everything arrives")
    filtered.say(ports=(80,), allows_icmp=True)
    assert filtered.arrived(*EVERYTHING) == {("tcp", 80), ("tcp6", 80), PING, PING6, NEIGHBOUR}


def test_a_filter_stays_while_a_guest_runs_behind_it(filtered: Filtered) -> None:
    filtered.say(ports=(22,))
    filtered.start()
    with pytest.raises(Conflict):
        filtered.networks.undefine_filter(filtered.name)


def test_interfaces_of_the_host_are_seen_and_those_of_guests_are_not(
    bridge: str, filtered: Filtered, connector: LibvirtConnector, daemon: PrivateDaemon
) -> None:
    filtered.say(ports=(22,))
    filtered.start()
    interfaces = connector.connect(daemon.uri).inventory.survey(()).interfaces
    assert not [name for name in interfaces if name.startswith("vnet")]


def _restart_network(daemon: PrivateDaemon) -> None:
    for command in ("net-destroy", "net-start"):
        argv = ["virsh", "--connect", daemon.uri, command, "lan"]
        subprocess.run(argv, check=True, timeout=LIMIT_S, stdout=subprocess.DEVNULL)


def _chain(daemon: PrivateDaemon) -> list[str]:
    """libvirt's chain for what comes in to guests, in order."""
    command = [*daemon.entry(), "iptables", "-S", "LIBVIRT_FWI"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout
    return [line for line in listed.splitlines() if line.startswith("-A ")]
