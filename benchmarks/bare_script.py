"""What a competent script would do to get the same VM: the libvirt calls and the SSH, in order, and nothing around them.

No store, no claims, no conditions, no checks, no retry but the waits that any script needs. Its XML and its seed are made by
hikube's own planner before the clock starts, so that both guests are the same machine; its SSH is the system's `ssh`.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shlex import join
from typing import Any, TypeVar

import libvirt

from benchmarks.box_rig import JOURNEY_LIMIT_S, Journey
from benchmarks.rig import BenchError

T = TypeVar("T")

POLL_S = 1.0
PIECE_BYTES = 1 << 18
VOLUME = "<volume><name>{name}</name><capacity unit='bytes'>{size}</capacity>{rest}</volume>"
RAW = "<allocation>0</allocation><target><format type='raw'/></target>"
OVERLAY = "<target><format type='qcow2'/></target><backingStore><path>{base}</path><format type='qcow2'/></backingStore>"
EMPTY_DRIVE = (
    "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><target dev='sda' bus='sata'/><readonly/></disk>"
)


@dataclass(frozen=True, slots=True)
class Order:
    """Everything that the script is told."""

    uri: str
    jump: tuple[str, ...]
    """The program that carries a connection to the guest's port, before `-W host:port`."""
    domain: str
    xml: str
    pool: str
    base: str
    disk: str
    disk_bytes: int
    seed: str
    seed_iso: bytes = field(repr=False)
    console: str
    functions: tuple[str, ...]
    """libvirt's names of the PCI functions to pass."""
    network: str
    mac_address: str
    private_key: str = field(repr=False)
    host_public_key: str


class Stopwatch:
    """Times of the script's stages."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self._begun_s = self._last_s = time.monotonic()

    def stage(self, name: str) -> None:
        """The stage of that name ends here."""
        now_s = time.monotonic()
        self.stages[name], self._last_s = now_s - self._last_s, now_s

    def elapsed_s(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begun_s


def bare_journey(order: Order) -> Journey:
    """One VM by the script, brought up, measured, and removed again.

    Raises:
        BenchError: the guest did not come up.
        libvirt.libvirtError: as it comes.
    """
    try:
        return _bring_up(order)
    finally:
        _remove(order)


def _bring_up(order: Order) -> Journey:
    watch = Stopwatch()
    raw = libvirt.open(order.uri)
    watch.stage("connect")
    pool = raw.storagePoolLookupByName(order.pool)
    base = pool.storageVolLookupByName(order.base).path()
    watch.stage("image")
    pool.createXML(VOLUME.format(name=order.disk, size=order.disk_bytes, rest=OVERLAY.format(base=base)), 0)
    watch.stage("disk")
    _upload(raw, pool, order)
    watch.stage("seed")
    for name in order.functions:
        raw.nodeDeviceLookupByName(name).detachFlags("vfio", 0)
    watch.stage("bind")
    domain = raw.defineXMLFlags(order.xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    watch.stage("define")
    domain.create()
    watch.stage("start")
    network = raw.networkLookupByName(order.network)
    address = _wait(lambda: _lease(network, order.mac_address), what="a lease")
    watch.stage("address")
    with tempfile.TemporaryDirectory(prefix="hikube-bare-") as folder:
        argv = _ssh(order, address, Path(folder))
        report = _wait(lambda: _report(argv), what="SSH")
        watch.stage("reach")
        if not _is_done(report):
            _wait(lambda: _is_done(_report(argv)), what="cloud-init")
        watch.stage("verify")
    proven_s = watch.elapsed_s()
    domain.updateDeviceFlags(EMPTY_DRIVE, libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE)
    domain.updateDeviceFlags(EMPTY_DRIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    pool.storageVolLookupByName(order.seed).delete(0)
    watch.stage("ready")
    handed_over_s = watch.elapsed_s()
    raw.close()
    return Journey(proven_s, handed_over_s, watch.stages)


def _upload(raw: libvirt.virConnect, pool: libvirt.virStoragePool, order: Order) -> None:
    volume = pool.createXML(VOLUME.format(name=order.seed, size=len(order.seed_iso), rest=RAW), 0)
    stream = raw.newStream()
    volume.upload(stream, 0, len(order.seed_iso), 0)
    rest = order.seed_iso
    while rest:
        rest = rest[stream.send(rest[:PIECE_BYTES]) :]
    stream.finish()


def _lease(network: libvirt.virNetwork, mac_address: str) -> str:
    leases = [lease for lease in network.DHCPLeases() if lease["mac"] == mac_address]
    return max(leases, key=lambda lease: lease["expirytime"])["ipaddr"] if leases else ""


def _ssh(order: Order, address: str, folder: Path) -> list[str]:
    key, known_hosts = folder / "key", folder / "known_hosts"
    key.touch(mode=0o600)
    key.write_text(order.private_key)
    known_hosts.write_text(f"{address} {order.host_public_key}\n")
    options = {
        "ProxyCommand": join(order.jump).replace("@ADDRESS@", address),
        "UserKnownHostsFile": str(known_hosts),
        "GlobalKnownHostsFile": "none",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "ConnectTimeout": "15",
        "KexAlgorithms": "curve25519-sha256",  # the post-quantum one that ssh prefers takes seconds in an emulated guest
    }
    pairs = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "none", "-i", str(key), *pairs, f"root@{address}", "report"]


def _report(argv: list[str]) -> dict[str, Any]:
    """What the forced command prints; nothing while nobody answers."""
    answer = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    return dict(json.loads(answer.stdout)) if answer.returncode == 0 else {}


def _is_done(report: dict[str, Any]) -> bool:
    return bool(report) and report["cloudInit"]["status"] == "done"


def _wait(ask: Callable[[], T], *, what: str) -> T:
    """The first answer that is something."""
    ends_s = time.monotonic() + JOURNEY_LIMIT_S
    while time.monotonic() < ends_s:
        if answer := ask():
            return answer
        time.sleep(POLL_S)
    raise BenchError(f"no {what} within {JOURNEY_LIMIT_S:.0f} s")


def _remove(order: Order) -> None:
    """Take everything away that is there; nobody measures it."""
    raw = libvirt.open(order.uri)
    with suppress(libvirt.libvirtError):
        raw.lookupByName(order.domain).destroy()
    with suppress(libvirt.libvirtError):
        raw.lookupByName(order.domain).undefine()
    for name in reversed(order.functions):
        with suppress(libvirt.libvirtError):
            raw.nodeDeviceLookupByName(name).reAttach()
    pool = raw.storagePoolLookupByName(order.pool)
    pool.refresh(0)
    for name in (order.disk, order.seed, order.console):
        with suppress(libvirt.libvirtError):
            pool.storageVolLookupByName(name).delete(0)
    raw.close()
