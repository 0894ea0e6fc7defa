"""The seam to a guest: ask for its report, hand it over. Nothing else is ever run in a tenant's VM.

Both calls use the controller's key, which the guest restricts to one forced command, and a pinned host key. A guest that
answers with another host key is refused, never trusted on first use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from provisioner.model.guest_report import GuestReport


@dataclass(frozen=True, slots=True)
class GuestDoor:
    """How to reach one guest."""

    address: str
    user: str
    host_public_key: str
    """OpenSSH public key line of the guest: `ssh-ed25519 AAAA…`."""
    private_key: str = field(repr=False)
    """OpenSSH private key (PEM text) of the controller for this VM."""
    host_uri: str
    """The libvirt URI of its host: guests behind NAT are reached through the host's SSH."""
    port: int = 22


class Guests(Protocol):
    """Talks to guests."""

    def report(self, door: GuestDoor, *, timeout_s: float) -> GuestReport:
        """Run the report command.

        Raises:
            GuestUnreachable: no SSH there yet, the wrong host key (why says which), or no valid report within the time.
            HostUnreachable: the host to jump through does not answer.
        """
        ...

    def hand_over(self, door: GuestDoor, *, timeout_s: float) -> None:
        """Let the guest remove our key and whatever else of ours is private. Repeating it on a guest that did so is success.

        Raises: as `report`.
        """
        ...
