"""What things are called on a host: domains, volumes, console logs, MAC addresses, UUIDs. Pure functions of identity.

Every name can be computed again from the resource alone, so a controller that lost its memory finds what it made. Names of
resources are RFC 1123 labels: they hold no dot, so the dot is the one separator that keeps `a-b/c` apart from `a/b-c`. Names
are for finding; whose a domain is says the mark in its metadata, never its name.

    hikube-<namespace>.<name>                       domain of a VirtualMachine (`….vmi` for a VMInstance)
    hikube-<namespace>.<name>-system.qcow2          its system disk (`-system-<uid>` while a kept one has that name)
    hikube-<namespace>.<name>-seed.iso              its cloud-init seed
    hikube-console-hikube-<namespace>.<name>.log    what it prints on its serial port
    hikube-disk-<namespace>.<name>.qcow2            a VMDisk (`.raw`, `.iso` for what was uploaded so)
    hikube-base-<32 hex digits of SHA-256>.qcow2    a base image, shared by all VMs of the pool
    <name>                                          machine of a VirtualMachine on a KubeVirt cluster (`….vmi`, `….<namespace>`)
"""

from __future__ import annotations

import hashlib
import re
from uuid import UUID

from provisioner.model.metadata import Key

PREFIX = "hikube-"
BASE_PREFIX = "hikube-base-"
DISK_PREFIX = "hikube-disk-"
DISK_ENDINGS = ("qcow2", "raw", "iso")
CONSOLE_PREFIX = "hikube-console-"
_LONGEST_DOMAIN_NAME = 150
"""File names derived from it must stay below 255 bytes."""
_LONGEST_MACHINE_NAME = 63
"""It is the value of labels as well."""
_SUFFIX_OF_KIND = {"VirtualMachine": "", "VMInstance": ".vmi"}


def domain_name(key: Key) -> str:
    """The name of a VM's domain; a name that is too long ends in a hash of the whole."""
    return _bounded(f"{PREFIX}{key.namespace}.{key.name}{_SUFFIX_OF_KIND[key.kind]}")


def machine_name(key: Key, *, with_namespace: bool = False) -> str:
    """The name of a VM's machine on a KubeVirt cluster; up to its first dot it is the guest's host name.

    `with_namespace` where machines of all namespaces are in one. A name that is too long ends in a hash of the whole.
    """
    name = f"{key.name}{_SUFFIX_OF_KIND[key.kind]}" + (f".{key.namespace}" if with_namespace else "")
    if len(name) <= _LONGEST_MACHINE_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{name[: _LONGEST_MACHINE_NAME - len(digest) - 1].rstrip('.-')}-{digest}"


def domain_uuid(key: Key, *, cloud_init_seed: str = "") -> str:
    """The UUID of a VM's domain. It follows `cloudInitSeed`: another seed makes cloud-init see another machine."""
    identity = f"{key.kind}/{key.namespace}/{key.name}/{cloud_init_seed}"
    return str(UUID(bytes=hashlib.sha256(identity.encode()).digest()[:16], version=4))


def filter_uuid(name: str) -> str:
    """The UUID of the libvirt filter of that name: a filter is redefined by the one that it has."""
    return str(UUID(bytes=hashlib.sha256(f"filter/{name}".encode()).digest()[:16], version=4))


def mac_address(uid: str, *, index: int = 0) -> str:
    """The MAC address of the VM's interface number `index`, in QEMU's range 52:54:00."""
    digest = hashlib.sha256(f"{uid}/{index}".encode()).digest()
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in digest[:3])


def system_volume(domain: str, *, uid: str = "") -> str:
    """The volume of a VirtualMachine's own disk; with the VM's uid where one of an earlier VM still has the usual name."""
    return f"{domain}-system-{uid[:8]}.qcow2" if uid else f"{domain}-system.qcow2"


def seed_volume(domain: str) -> str:
    """The volume of a VM's cloud-init seed."""
    return f"{domain}-seed.iso"


def console_log_volume(domain: str) -> str:
    """The file that holds what the guest prints; seen as a volume of the pool, so that it can be read from afar."""
    return f"{CONSOLE_PREFIX}{domain}.log"


def console_log_path(pool_path: str, domain: str) -> str:
    """Where the domain's XML shall send the serial console's log: beside the volumes of the pool."""
    return f"{pool_path.rstrip('/')}/{console_log_volume(domain)}"


def disk_stem(namespace: str, name: str) -> str:
    """What every volume of a VMDisk begins with, up to its last dot."""
    return _bounded(f"{DISK_PREFIX}{namespace}.{name}")


def disk_volume(namespace: str, name: str, *, ending: str = "qcow2") -> str:
    """The volume of a VMDisk; the ending says its format, and nothing else does: qcow2, or raw and iso."""
    return f"{disk_stem(namespace, name)}.{ending}"


def holds_data(volume: str) -> bool:
    """Whether a volume of that name has a tenant's data on it: a VMDisk, or a VM's own disk."""
    return volume.startswith(DISK_PREFIX) or re.search(r"-system(-[0-9a-f]{8})?\.qcow2$", volume) is not None


def base_volume(sha256: str, *, image_format: str = "qcow2") -> str:
    """The volume of a base image with that content."""
    return f"{BASE_PREFIX}{sha256[:32]}.{image_format}"


def _bounded(name: str) -> str:
    if len(name) <= _LONGEST_DOMAIN_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name[: _LONGEST_DOMAIN_NAME - len(digest) - 2]}..{digest}"
