"""The four texts of a NoCloud seed, pure: the same arguments give the same bytes.

    user-data        the tenant's cloudInit, byte for byte; an empty file where there is none, which cloud-init accepts
    meta-data        identity and the tenant's SSH keys
    network-config   version 2: each interface by its MAC address, DHCP with the MAC as identifier
    vendor-data      ours, a MIME multipart:
                       cloud-config    the guest's SSH host key, unless the tenant sets one
                       boothook        the report command and the one key that may run it; runs at every boot
                       shell script    the driver's installation where one was asked for; runs once per instance

The user always wins: cloud-init merges our cloud-config below the user's, key by key, and lists are never joined, so nothing of
ours that must happen is in a list (`packages`, `runcmd`, `bootcmd`); it is in parts of their own, which are not merged at all.
Private keys are plain lines of ASCII in vendor-data, never encoded, so that hand-over finds and removes them.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from templates.environment import render
from templates.guest.host_key import sets_host_key
from templates.guest.report import COMMAND, HAND_OVER

BOUNDARY = "===============hikube-vendor-data=="
DELIMITER = "HIKUBE_END"


@dataclass(frozen=True, slots=True)
class SeedContent:
    """The files of a seed, as bytes. vendor_data holds the guest's private host key."""

    user_data: bytes = field(repr=False)
    vendor_data: bytes = field(repr=False)
    meta_data: bytes
    network_config: bytes


@dataclass(frozen=True, slots=True)
class DriverInstall:
    """An NVIDIA driver to install at first boot, from the distribution's own archive."""

    distribution: Literal["ubuntu", "debian"]
    branch: str = "580-server-open"
    """As in Ubuntu's package names. Debian has one driver per release and ignores it."""


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """What the seed of one VM says."""

    instance_id: str
    """Another one makes cloud-init run everything that runs once per instance again."""
    hostname: str
    user_data: str = field(repr=False)
    """The tenant's cloudInit as it was written; may be empty."""
    ssh_keys: tuple[str, ...]
    """Public key lines of the tenant, for the image's default user."""
    mac_addresses: tuple[str, ...]
    """One per interface, in order; the first carries the default route."""
    host_private_key: str = field(repr=False)
    """OpenSSH PEM text. Empty for an instance that cloud-init has set up before: its key is on its disk already."""
    host_public_key: str
    controller_public_key: str
    """The key that may run the report command; may differ at every start."""
    driver: DriverInstall | None = None
    """What to install; None where the image has it or nothing is wanted."""


def seed_content(plan: SeedPlan) -> SeedContent:
    """The seed of one VM, from its plan alone."""
    meta_data = {"instance-id": plan.instance_id, "local-hostname": plan.hostname, "public-keys": list(plan.ssh_keys)}
    return SeedContent(
        user_data=plan.user_data.encode(),
        vendor_data=MIMEMultipart(boundary=BOUNDARY, _subparts=own_parts(plan)).as_bytes(),
        meta_data=yaml_text(meta_data).encode(),
        network_config=network_config(plan.mac_addresses).encode(),
    )


def own_parts(plan: SeedPlan) -> list[MIMEText]:
    """What hikube itself puts into a guest, whichever of cloud-init's texts it travels in."""
    parts = [part(boothook(plan.controller_public_key), "cloud-boothook", "hikube-boothook")]
    if plan.host_private_key and not sets_host_key(plan.user_data):
        parts.insert(0, part(_host_key_config(plan.host_private_key, plan.host_public_key), "cloud-config", "hikube-host-key"))
    if plan.driver is not None:
        parts.append(part(_driver_script(plan.driver), "x-shellscript", "hikube-driver"))
    return parts


def network_config(mac_addresses: Sequence[str]) -> str:
    """Version 2: each interface by its MAC address, the first with the default route."""
    return yaml_text(_network(mac_addresses))


def restricted_key_line(public_key: str) -> str:
    """The line of authorized_keys that lets this key run the report command: no terminal, no forwarding, nothing else."""
    return f'restrict,command="{COMMAND}" {" ".join(public_key.split())}'


def boothook(controller_public_key: str) -> str:
    """The script that installs the report command, its removal, and its key at every boot."""
    return render(
        "guest/boothook.sh.j2",
        report_command=COMMAND,
        report=_source("report.py"),
        hand_over_command=HAND_OVER,
        hand_over=_source("hand_over.py"),
        delimiter=DELIMITER,
        quoted_key_line=shlex.quote(restricted_key_line(controller_public_key)),
    )


@cache
def _source(name: str) -> str:
    return files("templates.guest").joinpath(name).read_text(encoding="ascii").rstrip("\n")


def _driver_script(driver: DriverInstall) -> str:
    template = f"guest/driver-{driver.distribution}.sh.j2"
    return render(template, branch=driver.branch, utilities_branch=driver.branch.removesuffix("-open"))


def _host_key_config(private_key: str, public_key: str) -> str:
    keys = {"ed25519_private": private_key, "ed25519_public": public_key}
    return "#cloud-config\n" + yaml_text({"ssh_deletekeys": True, "ssh_keys": keys})


def _network(mac_addresses: Sequence[str]) -> dict[str, Any]:
    interfaces: dict[str, Any] = {}
    for index, address in enumerate(mac_addresses):
        interface: dict[str, Any] = {"match": {"macaddress": address}, "dhcp4": True, "dhcp-identifier": "mac"}
        if index > 0:
            interface |= {"dhcp4-overrides": {"use-routes": False}, "optional": True}
        interfaces[f"interface{index}"] = interface
    return {"version": 2, "ethernets": interfaces}


def part(text: str, subtype: str, name: str) -> MIMEText:
    """One part of ours: plain ASCII, with a name that hand-over knows it by."""
    made = MIMEText(text, subtype, "us-ascii")
    made.add_header("Content-Disposition", "attachment", filename=name)
    return made


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # the C one where there is one
    """Writes texts of several lines as blocks, so that a person can read a seed."""


def _text(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def yaml_text(value: dict[str, Any]) -> str:
    """A document for cloud-init, with texts of several lines as blocks."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=4096)
