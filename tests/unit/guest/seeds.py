"""A seed with keys of its own, to be varied by each test."""

from __future__ import annotations

import email
import re
from pathlib import Path
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


def relocated_boothook(content: SeedContent, folder: Path) -> str:
    """The seed's boothook, with everything that it writes moved below `folder`: what cloud-init would run, run by a test."""
    parts = [part for part in email.message_from_bytes(content.vendor_data).walk() if part.get_filename() == "hikube-boothook"]
    payload = parts[0].get_payload(decode=True)
    assert isinstance(payload, bytes)
    script = payload.decode().removeprefix("#cloud-boothook\n").replace("restorecon", "no-such-program")
    script = re.sub(r"(?<![\w.])/usr/local/sbin/", f"{folder}/usr/local/sbin/", script)
    for function in ('def hand_over(root: str = "/")', 'def install(line: str, root: str = "/")'):
        assert function in script
        script = script.replace(function, function.replace('"/"', f'"{folder}"'))
    return script
