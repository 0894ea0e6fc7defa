"""Four machines on this one, as network namespaces: a client, a host with a NAT network as libvirt makes it, and two guests.

    client 198.51.100.2 ── 198.51.100.1 host 192.168.122.1 ── virbr0 ─┬─ guest 192.168.122.57
                                                                      └─ other 192.168.122.58

The client has a route to 203.0.113.0/24 through the host. In every machine a program answers on some ports with its own name
and the address that it was asked from.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

PROGRAMS = ("ip", "nft", "iptables", "nsenter")
LIMIT_S = 20.0
CLIENT, HOST, GUEST, OTHER = "client", "host", "guest", "other"
GUEST_ADDRESS, OTHER_ADDRESS, EXTERNAL = "192.168.122.57", "192.168.122.58", "203.0.113.17"
SUBNET, BRIDGE, UPLINK = "192.168.122.0/24", "virbr0", "uplink"

LIBVIRT_WITH_NFT = """
table ip libvirt_network {
	chain forward {
		type filter hook forward priority filter; policy accept;
		counter jump guest_cross
		counter jump guest_input
		counter jump guest_output
	}
	chain guest_output {
		ip saddr 192.168.122.0/24 iif "virbr0" counter accept
		iif "virbr0" counter reject
	}
	chain guest_input {
		oif "virbr0" ip daddr 192.168.122.0/24 ct state established,related counter accept
		oif "virbr0" counter reject
	}
	chain guest_cross {
		iif "virbr0" oif "virbr0" counter accept
	}
	chain guest_nat {
		type nat hook postrouting priority srcnat; policy accept;
		meta l4proto tcp ip saddr 192.168.122.0/24 ip daddr != 192.168.122.0/24 counter masquerade to :1024-65535
		ip saddr 192.168.122.0/24 ip daddr != 192.168.122.0/24 counter masquerade
	}
}
"""
"""What libvirt 10.4 and later put there for a NAT network."""
LIBVIRT_WITH_IPTABLES = """
*filter
:LIBVIRT_FWI - [0:0]
:LIBVIRT_FWO - [0:0]
:LIBVIRT_FWX - [0:0]
-A FORWARD -j LIBVIRT_FWX
-A FORWARD -j LIBVIRT_FWI
-A FORWARD -j LIBVIRT_FWO
-A LIBVIRT_FWI -d 192.168.122.0/24 -o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A LIBVIRT_FWI -o virbr0 -j REJECT --reject-with icmp-port-unreachable
-A LIBVIRT_FWO -s 192.168.122.0/24 -i virbr0 -j ACCEPT
-A LIBVIRT_FWO -i virbr0 -j REJECT --reject-with icmp-port-unreachable
-A LIBVIRT_FWX -i virbr0 -o virbr0 -j ACCEPT
COMMIT
*nat
:LIBVIRT_PRT - [0:0]
-A POSTROUTING -j LIBVIRT_PRT
-A LIBVIRT_PRT -s 192.168.122.0/24 ! -d 192.168.122.0/24 -j MASQUERADE
COMMIT
"""
"""What older ones put there."""

_SERVE = """
import select, socket, sys
name, ports = sys.argv[1], [int(port) for port in sys.argv[2:]]
listening = []
for port in ports:
    one = socket.socket(); one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); one.bind(("", port)); one.listen()
    listening.append(one)
print("ready", flush=True)
while True:
    for one in select.select(listening, [], [])[0]:
        connection, (asked_from, _) = one.accept()
        connection.sendall(f"{name} {asked_from}".encode()); connection.close()
"""
_ASK = """
import socket, sys
with socket.socket() as one:
    one.settimeout(0.5)
    try:
        one.connect((sys.argv[1], int(sys.argv[2]))); print(one.recv(100).decode(), end="")
    except OSError:
        pass
"""
_PING = """
import os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as one:
    one.settimeout(0.5)
    body = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xffff, 1)
    total = sum(struct.unpack("!4H", body)); total = (total >> 16) + (total & 0xffff)
    one.sendto(struct.pack("!BBHHH", 8, 0, ~total & 0xffff, os.getpid() & 0xffff, 1), (sys.argv[1], 0))
    try:
        while one.recv(200)[20] != 0:
            pass
        print("pong", end="")
    except OSError:
        pass
"""


def missing() -> str:
    """What this machine lacks for it; empty if nothing."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    probe = ["unshare", "--net", "nft", "add table ip t; add chain ip t c { type nat hook prerouting priority -105; }"]
    return "" if subprocess.run(probe, capture_output=True, check=False).returncode == 0 else "nftables does not work here"


class Wires:
    """The machines; everything goes when they are stopped."""

    def __init__(self) -> None:
        self._machines: dict[str, subprocess.Popen[str]] = {}
        self._servers: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        """Make the namespaces, the wires between them, and their programs."""
        for name in (CLIENT, HOST, GUEST, OTHER):
            argv = ["unshare", "--net", sys.executable, "-c", "import sys; print('ready', flush=True); sys.stdin.read()"]
            self._machines[name] = _started(argv, stdin=subprocess.PIPE)
            self.run(name, "ip", "link", "set", "lo", "up")
        self._link(CLIENT, "eth0", "198.51.100.2/24", HOST, UPLINK)
        self.run(HOST, "ip", "address", "add", "198.51.100.1/24", "dev", UPLINK)
        self.run(HOST, "ip", "route", "add", "default", "via", "198.51.100.2")
        self.run(CLIENT, "ip", "route", "add", "203.0.113.0/24", "via", "198.51.100.1")
        self.run(HOST, "ip", "link", "add", BRIDGE, "type", "bridge")
        self.run(HOST, "ip", "address", "add", "192.168.122.1/24", "dev", BRIDGE)
        self.run(HOST, "ip", "link", "set", BRIDGE, "up")
        for machine, address, port in ((GUEST, GUEST_ADDRESS, "vnet0"), (OTHER, OTHER_ADDRESS, "vnet1")):
            self._link(machine, "eth0", f"{address}/24", HOST, port)
            self.run(HOST, "ip", "link", "set", port, "master", BRIDGE)
            self.run(machine, "ip", "route", "add", "default", "via", "192.168.122.1")
        self.run(HOST, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        for name, ports in ((CLIENT, "9000"), (HOST, "22 80"), (GUEST, "22 80"), (OTHER, "22 80")):
            self._servers.append(_started([*self._inside(name), sys.executable, "-c", _SERVE, name, *ports.split()]))

    def stop(self) -> None:
        """End everything that runs in them; the namespaces go with it."""
        for process in (*self._servers, *self._machines.values()):
            process.kill()
            process.communicate(timeout=LIMIT_S)

    def libvirt_starts(self, rules: str) -> None:
        """libvirt makes its rules for the network, from nothing, as it does when it or the network is started."""
        if rules == LIBVIRT_WITH_NFT:
            self.run(HOST, "nft", "-f", "-", text=f"add table ip libvirt_network\ndelete table ip libvirt_network\n{rules}")
        else:
            self.run(HOST, "iptables-restore", text=rules)

    def run(self, machine: str, *argv: str, text: str = "") -> str:
        """What a program prints there; it must succeed."""
        command = [*self._inside(machine), *argv]
        ended = subprocess.run(command, input=text, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert ended.returncode == 0, f"{' '.join(argv)}: {ended.stderr}"
        return ended.stdout

    def run_program(self, program: str, arguments: Mapping[str, Any]) -> Any:
        """Run a program on the host, as a host shell does; its answer."""
        return json.loads(
            self.run(HOST, sys.executable, "-I", "-S", "-", text=f"ARGUMENTS = {dict(arguments)!r}\n{_bare(program)}")
        )

    def ask(self, machine: str, address: str, port: int) -> str:
        """Who answers there, and from which address it was asked; empty: nobody within half a second."""
        return self.run(machine, sys.executable, "-c", _ASK, address, str(port))

    def ping(self, machine: str, address: str) -> bool:
        """Whether an echo comes back within half a second."""
        return self.run(machine, sys.executable, "-c", _PING, address) == "pong"

    def _inside(self, machine: str) -> list[str]:
        return ["nsenter", "--target", str(self._machines[machine].pid), "--net"]

    def _link(self, machine: str, interface: str, address: str, to: str, port: str) -> None:
        target = self._inside(to)[2]
        self.run(machine, "ip", "link", "add", interface, "type", "veth", "peer", "name", port, "netns", target)
        self.run(machine, "ip", "address", "add", address, "dev", interface)
        self.run(machine, "ip", "link", "set", interface, "up")
        self.run(to, "ip", "link", "set", port, "up")


def _bare(program: str) -> str:
    """The program without what must stand first in a file."""
    return program.replace("from __future__ import annotations\n", "").replace("ARGUMENTS: dict[str, str]\n", "")


def _started(argv: list[str], *, stdin: int | None = None) -> subprocess.Popen[str]:
    process = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.append(process.stdout.readline()), daemon=True)  # type: ignore[union-attr]
    reader.start()
    reader.join(LIMIT_S)
    assert said == ["ready\n"], f"{argv[-1]} does not start"
    return process


def until(holds: Any, *, limit_s: float = LIMIT_S) -> None:
    """Wait for a condition, bounded."""
    deadline_s, pause = time.monotonic() + limit_s, threading.Event()
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {limit_s:g} s"
        pause.wait(0.05)
