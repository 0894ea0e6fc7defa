"""A seed with keys of its own, to be varied by each test."""

from __future__ import annotations

from typing import Any

from provisioner.drivers.guest.keys import generate_key_pair
from templates.guest import SeedContent, SeedPlan, seed_content


def plan_with(**changes: Any) -> tuple[SeedPlan, SeedContent]:
    """The plan of a seed and what it says."""
    host, controller = generate_key_pair("host"), generate_key_pair("hikube")
    fields: dict[str, Any] = {
        "instance_id": "i-1",
        "hostname": "gpu-vm",
        "user_data": "",
        "ssh_keys": ("ssh-ed25519 AAAATENANT me@home",),
        "mac_addresses": ("52:54:00:11:22:33",),
        "host_private_key": host.private_openssh,
        "host_public_key": host.public_line,
        "controller_public_key": controller.public_line,
    }
    plan = SeedPlan(**(fields | changes))
    return plan, seed_content(plan)
