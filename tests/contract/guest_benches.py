"""What the guest contract runs against: a guest that answers, and ways to knock at the wrong door.

A suite with a real guest imports the classes of test_guest.py and defines a `guest_bench` of its own.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from provisioner.clocks import ManualClock
from provisioner.drivers.guest.keys import generate_key_pair
from provisioner.drivers.guest.protocol import GuestDoor, Guests
from provisioner.drivers.images.seed import build_seed_iso
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.guests import SimulatedGuests
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from templates.guest import SeedPlan, seed_content
from tests.contract.hypervisors import DomainText

MAC_ADDRESS = "52:54:00:00:00:01"
IMAGE = b"QFI\xfb" + bytes(65532)


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


def simulated_guest_bench() -> GuestBench:
    """A guest with one L40S on a simulated host, some minutes after its start."""
    clock = ManualClock()
    fleet = SimulatedFleet(clock)
    host = fleet.add_host("a")
    fleet.add_host("dead").set_link("down")
    hypervisor = SimulatedConnector(fleet).connect(host.uri)
    host_keys, controller_keys = generate_key_pair("host"), generate_key_pair("controller")
    plan = SeedPlan(
        instance_id="i-1",
        hostname="g",
        user_data="",
        ssh_keys=(),
        mac_addresses=(MAC_ADDRESS,),
        host_private_key=host_keys.private_openssh,
        host_public_key=host_keys.public_line,
        controller_public_key=controller_keys.public_line,
    )
    iso = build_seed_iso(seed_content(plan))
    seed = hypervisor.volumes.upload("default", "g-seed.iso", io.BytesIO(iso), size_bytes=len(iso))
    hypervisor.volumes.upload("default", "base", io.BytesIO(IMAGE), size_bytes=len(IMAGE))
    disk = hypervisor.volumes.create("default", "g-system.qcow2", size_bytes=2**31, base="base")
    for address in ("0000:41:00.0", "0000:41:00.1"):
        hypervisor.devices.bind_vfio(address, timeout_s=10)
    functions = ("0000:41:00.0", "0000:41:00.1")
    text = DomainText("g", "kvm", network="default", functions=functions, disk=disk.path, cdrom=seed.path)
    hypervisor.domains.define(text.text())
    hypervisor.domains.start("g", timeout_s=10)
    clock.advance(300)
    door = GuestDoor(
        address=hypervisor.domains.addresses("g", mac_address=MAC_ADDRESS)[0],
        user="root",
        host_public_key=host_keys.public_line,
        private_key=controller_keys.private_openssh,
        host_uri=host.uri,
    )

    def reset() -> None:
        host.reset_guest("g")
        clock.advance(300)

    return GuestBench(SimulatedGuests(fleet), door, "192.168.122.250", "simulated://dead", reset)


GUEST_BENCHES: dict[str, Callable[[], GuestBench]] = {"simulated": simulated_guest_bench}
