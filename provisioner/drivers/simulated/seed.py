"""What a simulated guest takes from its NoCloud seed: who it is, its SSH host key, and whose key may ask for a report.

It reads the very ISO image that was uploaded, as cloud-init would: the instance id of `meta-data`, the tenant's host key before
ours, and the restricted key line of the boothook. What it cannot read is as if it were not there.
"""

from __future__ import annotations

import email
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from provisioner.drivers.images.seed import read_seed_iso
from provisioner.model.errors import ImageError
from templates.guest import pinned_host_key

_RESTRICTED_KEY = re.compile(r'restrict,command="[^"]*" (ssh-ed25519 [A-Za-z0-9+/=]+)')
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class SeedFacts:
    """The parts of a seed that decide how a guest answers."""

    instance_id: str
    host_public_key: str
    """Without a comment; empty if the seed sets none."""
    controller_keys: tuple[str, ...]


@lru_cache(maxsize=256)
def read_seed(image: bytes) -> SeedFacts | None:
    """What that ISO image says; None if it is no seed."""
    try:
        content = read_seed_iso(image)
    except ImageError:
        return None
    instance_id = str(_mapping(content.meta_data).get("instance-id", ""))
    parts = [part.get_payload(decode=True) for part in email.message_from_bytes(content.vendor_data).walk()]
    texts = [part for part in parts if isinstance(part, bytes)]
    ours = next(filter(None, map(_host_key, texts)), "")
    return SeedFacts(
        instance_id=instance_id,
        host_public_key=bare_key(pinned_host_key(content.user_data, ours)),
        controller_keys=tuple(key for text in texts for key in _RESTRICTED_KEY.findall(text.decode(errors="replace"))),
    )


def bare_key(line: str) -> str:
    """A public key line without its comment."""
    return " ".join(line.split()[:2])


def _host_key(text: bytes) -> str:
    keys = _mapping(text).get("ssh_keys") if text.startswith(b"#cloud-config") else None
    return str(keys.get("ed25519_public", "")) if isinstance(keys, dict) else ""


def _mapping(text: bytes) -> dict[str, Any]:
    try:
        found = yaml.load(text, Loader=_Loader)  # noqa: S506  # a safe one
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}
