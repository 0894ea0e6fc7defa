"""Does KVM really run guests on this host? Found by starting one.

A device node that opens, and a libvirt that offers `kvm`, prove nothing: there are machines whose KVM starts every guest, runs
its BIOS, and then hangs or resets it as soon as it does what an operating system does. The guest started here is a program of a
few hundred bytes (`kvm_probe.s`) that does those things in turn and says so on its serial port; the probe reads along.

Nothing stays behind: the domain is transient and goes with the connection at the latest, its disk is deleted. It has no device,
no network, and one of the host's active directory pools holds its disk.
"""

from __future__ import annotations

import io
import secrets
import threading
import time
from dataclasses import dataclass
from xml.etree import ElementTree

import libvirt

from provisioner.drivers.libvirt import capabilities
from provisioner.drivers.libvirt.connection import Connection
from provisioner.drivers.libvirt.errors import is_connection_lost, is_not_found
from provisioner.drivers.libvirt.kvm_probe_image import disk_image
from provisioner.drivers.libvirt.volumes import LibvirtVolumes
from provisioner.model.gpu_host import KvmVerdict

_POOL_TYPES = frozenset({"dir", "fs", "netfs"})
_MARGIN_S = 30.0
"""For starting and removing the guest, on top of the time that it is watched."""
_POLL_S = 0.05
_MOST_OUTPUT_BYTES = 16 * 1024
_LINE = "hikube-probe: "
_FIRST, _LAST = "started", "proven"
_CPU_MODE = {"kvm": "host-passthrough"}
"""That of real guests, since some hosts fail on it alone; other domain types get `maximum`."""


@dataclass(frozen=True, slots=True)
class _Observation:
    """What was seen of the guest."""

    output: str
    end: str
    """Why nobody looked on: empty if the program came to its end."""
    duration_s: float


def prove(connection: Connection, *, timeout_s: float, domain_type: str = "kvm") -> KvmVerdict:
    """Start the program, watch it for up to `timeout_s`, and judge.

    `works` is None where there is nowhere to put the program's disk. `domain_type` is for checking the probe itself.

    Raises:
        HostUnreachable, HostTimeout: the host went away meanwhile; that says nothing about KVM.
    """
    offered, pool = connection.run(_offers, what="cannot ask the host for KVM")
    if domain_type not in offered:
        return KvmVerdict(works=False, message="libvirt offers no KVM on this host; is it switched on in the firmware?")
    if not pool:
        return KvmVerdict(works=None, message="there is no active directory pool to put the test program into")
    name = f"hikube-kvm-probe-{secrets.token_hex(4)}"
    volumes = LibvirtVolumes(connection)
    image = disk_image()
    disk = volumes.upload(pool, f"{name}.img", io.BytesIO(image), size_bytes=len(image))
    try:
        xml = _domain_xml(name, disk.path, domain_type)
        watch = _Watch(xml, timeout_s)
        seen = connection.run(watch, what="cannot try KVM", timeout_s=timeout_s + _MARGIN_S)
    finally:
        volumes.delete(pool, disk.name)
    return judge(seen.output, end=seen.end, duration_s=seen.duration_s)


def judge(output: str, *, end: str, duration_s: float) -> KvmVerdict:
    """The verdict on what the program said. Pure."""
    stages = [line.removeprefix(_LINE).strip() for line in output.splitlines() if line.startswith(_LINE)]
    if _LAST in stages:
        return KvmVerdict(works=True, message=f"a test program ran to its end in {duration_s:.1f} s")
    reached = f"its test program stopped after {stages[-1]!r}" if stages else "its test program never began"
    return KvmVerdict(works=False, message=f"KVM is there, but a guest does not run with it: {reached} ({end})")


class _Watch:
    """Runs the guest and reads its serial port until the program ends, the guest does, or the time is up."""

    def __init__(self, xml: str, timeout_s: float) -> None:
        self._xml = xml
        self._timeout_s = timeout_s

    def __call__(self, raw: libvirt.virConnect) -> _Observation:
        began_s = time.monotonic()
        try:
            domain = raw.createXML(self._xml, libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_AUTODESTROY)
        except libvirt.libvirtError as error:
            if is_connection_lost(error):
                raise
            return _Observation("", f"QEMU does not start: {_last_line(error)}", time.monotonic() - began_s)
        try:
            output, end = self._read(raw, domain, began_s)
        finally:
            _remove(domain)
        return _Observation(output, end, time.monotonic() - began_s)

    def _read(self, raw: libvirt.virConnect, domain: libvirt.virDomain, began_s: float) -> tuple[str, str]:
        """The guest begins only when its console is open, so that no line is lost."""
        stream = raw.newStream(libvirt.VIR_STREAM_NONBLOCK)
        domain.openConsole(None, stream, 0)
        domain.resume()
        pause = threading.Event()
        output = ""
        while time.monotonic() - began_s < self._timeout_s:
            piece = _receive(stream)
            output = (output + piece)[-_MOST_OUTPUT_BYTES:]
            if _LINE + _LAST in output:
                stream.abort()
                return output, ""
            if not piece:
                end = _end_of(domain)
                if end:
                    return output, end
                pause.wait(_POLL_S)
        stream.abort()
        return output, f"it did not end within {self._timeout_s:g} s"


def _receive(stream: libvirt.virStream) -> str:
    """What has come in by now; nothing if nothing has, or if the guest is gone."""
    try:
        piece = stream.recv(4096)
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        return ""
    return "" if isinstance(piece, int) else piece.decode("ascii", errors="replace")


def _end_of(domain: libvirt.virDomain) -> str:
    """Why the guest cannot go on; empty while it can."""
    try:
        state, _ = domain.state()
    except libvirt.libvirtError as error:
        if is_not_found(error):
            return "the guest was reset, or QEMU died"
        raise
    return "" if state in {libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED} else "QEMU stopped the guest"


def _remove(domain: libvirt.virDomain) -> None:
    try:
        domain.destroy()
    except libvirt.libvirtError as error:
        if is_connection_lost(error):
            raise
        # It has ended by itself, or goes with the connection.


def _offers(raw: libvirt.virConnect) -> tuple[tuple[str, ...], str]:
    """The domain types that libvirt offers, and a pool that the program's disk can go to (empty if there is none)."""
    types = capabilities.parse_host(raw.getCapabilities()).domain_types
    pools: list[str] = []
    for pool in raw.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        kind = ElementTree.fromstring(pool.XMLDesc()).get("type")  # noqa: S314  written by libvirtd
        if kind in _POOL_TYPES:
            pools.append(pool.name())
    return types, "default" if "default" in pools else next(iter(sorted(pools)), "")


def _domain_xml(name: str, disk_path: str, domain_type: str) -> str:
    root = ElementTree.Element("domain", type=domain_type)
    ElementTree.SubElement(root, "name").text = name
    ElementTree.SubElement(root, "memory", unit="MiB").text = "64"
    ElementTree.SubElement(root, "vcpu").text = "1"
    system = ElementTree.SubElement(root, "os")
    ElementTree.SubElement(system, "type", arch="x86_64", machine="q35").text = "hvm"
    features = ElementTree.SubElement(root, "features")
    ElementTree.SubElement(features, "acpi")
    ElementTree.SubElement(features, "apic")
    ElementTree.SubElement(root, "cpu", mode=_CPU_MODE.get(domain_type, "maximum"))
    ElementTree.SubElement(root, "on_reboot").text = "destroy"
    ElementTree.SubElement(root, "on_crash").text = "destroy"
    devices = ElementTree.SubElement(root, "devices")
    disk = ElementTree.SubElement(devices, "disk", type="file", device="disk")
    ElementTree.SubElement(disk, "driver", name="qemu", type="raw")
    ElementTree.SubElement(disk, "source", file=disk_path)
    ElementTree.SubElement(disk, "target", dev="vda", bus="virtio")
    ElementTree.SubElement(disk, "readonly")
    ElementTree.SubElement(devices, "controller", type="usb", model="none")
    ElementTree.SubElement(devices, "serial", type="pty")
    ElementTree.SubElement(devices, "memballoon", model="none")
    return ElementTree.tostring(root, encoding="unicode")


def _last_line(error: libvirt.libvirtError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
