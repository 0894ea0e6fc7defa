"""What answers on SSH in the domains of a simulated fleet.

A guest answers at the address of its lease, on its host only, with the host key that its seed gave it, and to the controller's
key that its seed named, until it is handed over. What it reports is what was passed to it, and when.
"""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from provisioner.drivers.guest.protocol import GuestDoor
from provisioner.drivers.simulated import booting
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.reporting import report_of
from provisioner.drivers.simulated.seed import bare_key
from provisioner.drivers.simulated.state import DomainRecord, GuestBehaviour, GuestDisk, HostState
from provisioner.model.errors import GuestUnreachable
from provisioner.model.guest_report import GuestReport


class SimulatedGuests:
    """See drivers.guest.protocol.Guests."""

    def __init__(self, fleet: SimulatedFleet) -> None:
        self._fleet = fleet

    def report(self, door: GuestDoor, *, timeout_s: float) -> GuestReport:
        """See the protocol."""
        host = self._fleet.at(door.host_uri)
        now_s = host.world.clock.now_s()
        with host.call("guests.report", subject=door.address, limit_s=timeout_s) as state:
            record, behaviour, guest = _answering(state, door, now_s=now_s)
            _check_host_key(door, guest, behaviour)
            if public_key_of(door) not in guest.controller_keys:
                raise unreachable(door, "authentication was refused: the guest does not know our key")
            if behaviour.report_is_garbage:
                raise unreachable(door, "the report is no valid JSON object")
            return report_of(state, record, behaviour, world=host.world)

    def hand_over(self, door: GuestDoor, *, timeout_s: float) -> None:
        """See the protocol."""
        host = self._fleet.at(door.host_uri)
        now_s = host.world.clock.now_s()
        with host.call("guests.hand_over", subject=door.address, limit_s=timeout_s) as state:
            _, behaviour, guest = _answering(state, door, now_s=now_s)
            _check_host_key(door, guest, behaviour)
            if public_key_of(door) not in guest.controller_keys and not guest.was_handed_over:
                raise unreachable(door, "authentication was refused: the guest does not know our key")
            guest.controller_keys, guest.was_handed_over = (), True


def _answering(state: HostState, door: GuestDoor, *, now_s: float) -> tuple[DomainRecord, GuestBehaviour, GuestDisk]:
    """The domain at that address, if its SSH answers by now."""
    for record, live in state.running():
        leases = {state.leases.get(interface.mac_address) for interface in live.interfaces if not interface.is_direct}
        if door.address not in leases or record.boot is None or record.boot.address_s is None:
            continue
        behaviour, disk = state.behaviour_of(live.name), booting.system_disk(state, live)
        if now_s < record.boot.address_s or disk is None or disk.guest is None:
            continue
        if record.boot.ssh_s is None or now_s < record.boot.ssh_s or not behaviour.answers_ssh:
            raise unreachable(door, "connection refused")
        return record, behaviour, disk.guest
    raise unreachable(door, "no route to host")


def _check_host_key(door: GuestDoor, guest: GuestDisk, behaviour: GuestBehaviour) -> None:
    if behaviour.has_wrong_host_key or bare_key(door.host_public_key) != guest.host_public_key:
        raise unreachable(door, "the host key differs from the pinned one")


def public_key_of(door: GuestDoor) -> str:
    """The public half of the controller's key. Raises GuestUnreachable: it cannot be read."""
    try:
        key = load_ssh_private_key(door.private_key.encode(), password=None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise unreachable(door, f"our private key cannot be read: {error}") from error
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def unreachable(door: GuestDoor, why: str) -> GuestUnreachable:
    """The error of a guest that cannot be asked."""
    return GuestUnreachable(
        f"The guest at {door.address} cannot be asked", why=why, context={"address": door.address, "host": door.host_uri}
    )
