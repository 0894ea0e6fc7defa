"""What the guest contract runs against: a guest that answers, and ways to knock at the wrong door.

A suite with a real guest imports the classes of test_guest.py and defines a `guest_bench` of its own.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from provisioner.clocks import ManualClock
from provisioner.drivers.guest.keys import KeyPair, generate_key_pair
from provisioner.drivers.guest.protocol import GuestDoor, Guests
from provisioner.drivers.hypervisor import Hypervisor
from provisioner.drivers.images.seed import build_seed_iso
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.guests import SimulatedGuests
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from templates.guest import SeedPlan, seed_content
from tests.contract.hypervisors import DomainText

MAC_ADDRESS = "52:54:00:00:00:01"
IMAGE = b"QFI\xfb" + bytes(65532)
"""What a simulated host takes for a system: something that was uploaded."""
L40S_GROUP = ("0000:41:00.0", "0000:41:00.1")


@dataclass
class GuestBench:
    """A guest that answers at `door`."""

    guests: Guests
    door: GuestDoor
    silent_address: str
    """An address beside it where nobody answers."""
    dead_host_uri: str
    """A host that does not answer; empty where none is known."""
    reset: Callable[[], None] | None = None
    """Let the guest boot again; it answers when this returns."""

    def door_with(self, **changes: Any) -> GuestDoor:
        """The same door, but for these fields."""
        return replace(self.door, **changes)


@dataclass
class GuestKit:
    """The parts of one guest on a simulated host, to be put together in a test."""

    name: str = "g"
    host_keys: KeyPair = field(default_factory=lambda: generate_key_pair("host"))
    controller_keys: KeyPair = field(default_factory=lambda: generate_key_pair("controller"))

    def seed(self, *, instance_id: str = "i-1", user_data: str = "") -> bytes:
        """Its NoCloud seed."""
        plan = SeedPlan(
            instance_id=instance_id,
            hostname=self.name,
            user_data=user_data,
            ssh_keys=(),
            mac_addresses=(MAC_ADDRESS,),
            host_private_key=self.host_keys.private_openssh,
            host_public_key=self.host_keys.public_line,
            controller_public_key=self.controller_keys.public_line,
        )
        return build_seed_iso(seed_content(plan))

    def insert_seed(self, hypervisor: Hypervisor, seed: bytes) -> str:
        """Upload the seed; the path of its volume."""
        return hypervisor.volumes.upload("default", f"{self.name}-seed.iso", io.BytesIO(seed), size_bytes=len(seed)).path

    def install(self, hypervisor: Hypervisor) -> str:
        """Make the system disk; the path of its volume."""
        if hypervisor.volumes.find("default", "base") is None:
            hypervisor.volumes.upload("default", "base", io.BytesIO(IMAGE), size_bytes=len(IMAGE))
        return hypervisor.volumes.create("default", f"{self.name}.qcow2", size_bytes=2**31, base="base").path

    def start(self, hypervisor: Hypervisor, *, seed: bytes | None = None, **parts: Any) -> None:
        """Bind what is passed, define the domain with disk and seed, and start it."""
        for address in parts.setdefault("functions", L40S_GROUP):
            hypervisor.devices.bind_vfio(address, timeout_s=10)
        parts.setdefault("disk", self.install(hypervisor))
        parts.setdefault("cdrom", self.insert_seed(hypervisor, self.seed() if seed is None else seed))
        parts |= {"has_serial": True, "console_log": f"/var/lib/libvirt/default/{self.name}.log"}
        text = DomainText(self.name, "kvm", network="default", mac_address=MAC_ADDRESS, **parts)
        hypervisor.domains.define(text.text())
        hypervisor.domains.start(self.name, timeout_s=10)

    def door(self, host_uri: str, *, address: str = "192.168.122.2") -> GuestDoor:
        """How to reach it; the first guest of a simulated host gets the address."""
        return GuestDoor(
            address=address,
            user="root",
            host_public_key=self.host_keys.public_line,
            private_key=self.controller_keys.private_openssh,
            host_uri=host_uri,
        )


def simulated_guest_bench() -> GuestBench:
    """A guest with one L40S on a simulated host, some minutes after its start."""
    clock = ManualClock()
    fleet = SimulatedFleet(clock)
    host = fleet.add_host("a")
    fleet.add_host("dead").set_link("down")
    kit = GuestKit()
    kit.start(SimulatedConnector(fleet).connect(host.uri))
    clock.advance(300)

    def reset() -> None:
        host.reset_guest(kit.name)
        clock.advance(300)

    return GuestBench(SimulatedGuests(fleet), kit.door(host.uri), "192.168.122.250", "simulated://dead", reset)


GUEST_BENCHES: dict[str, Callable[[], GuestBench]] = {"simulated": simulated_guest_bench}
