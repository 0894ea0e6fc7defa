"""Small domains for tests: they boot the probe's program, which tells on the serial port how far it got."""

from __future__ import annotations

import io
import itertools

from provisioner.drivers.hypervisor import DomainState, Hypervisor
from provisioner.drivers.libvirt import LibvirtConnector
from provisioner.drivers.libvirt.kvm_probe_image import disk_image
from provisioner.model.domain_names import console_log_path, console_log_volume
from tests.libvirt.private_daemon import until

MARK = "https://hikube.cloud/xmlns/domain/1"
_NUMBERS = itertools.count(1)


class Guests:
    """Makes domains on one host."""

    def __init__(self, connector: LibvirtConnector, uri: str, pool: str) -> None:
        self._connector = connector
        self._uri = uri
        self.pool = pool
        self._names: list[str] = []

    @property
    def host(self) -> Hypervisor:
        """The host; a fresh connection if the last one died."""
        return self._connector.connect(self._uri)

    def define(self, *, image: bytes = b"", on_reboot: str = "restart", seed: str = "", uid: str = "uid-1") -> str:
        """Define a domain that boots `image` (the probe's program if none is given); its name."""
        name = f"hikube-test.{next(_NUMBERS)}"
        self._names.append(name)
        content = image or disk_image()
        disk = self.host.volumes.upload(self.pool, f"{name}.img", io.BytesIO(content), size_bytes=len(content))
        log = console_log_path(disk.path.rsplit("/", 1)[0], name)
        self.host.domains.define(_xml(name, disk.path, log, on_reboot=on_reboot, seed=seed, uid=uid))
        return name

    def start(self, name: str) -> None:
        """Start it."""
        self.host.domains.start(name, timeout_s=60)

    def state(self, name: str) -> DomainState:
        """What it is doing."""
        domain = self.host.domains.look(name)
        return DomainState.ABSENT if domain is None else domain.state

    def until_state(self, name: str, state: DomainState) -> None:
        """Wait for that."""
        until(lambda: self.state(name) is state, f"{name} does not become {state}")

    def until_printed(self, name: str, text: str) -> None:
        """Wait until its console shows the text."""
        until(lambda: text in self.host.console.tail(name, limit_bytes=4096), f"{name} does not print {text!r}")

    def clean(self) -> None:
        """Remove every domain made here, with its volumes."""
        for name in self._names:
            self.host.domains.destroy(name, timeout_s=60)
            self.host.domains.undefine(name)
            for prefix in (name, console_log_volume(name)):
                for volume in self.host.volumes.list(self.pool, prefix=prefix):
                    self.host.volumes.delete(self.pool, volume.name)


def _xml(name: str, disk: str, log: str, *, on_reboot: str, seed: str, uid: str) -> str:
    medium = f"<source file='{seed}'/>" if seed else ""
    return f"""
<domain type='qemu'>
  <name>{name}</name>
  <metadata><hikube:vm xmlns:hikube='{MARK}' uid='{uid}' name='test/{name}'/></metadata>
  <memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/><apic/></features>
  <cpu mode='maximum'/>
  <on_poweroff>destroy</on_poweroff><on_reboot>{on_reboot}</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <disk type='file'><driver name='qemu' type='raw'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><driver name='qemu' type='raw'/>{medium}<target dev='sda' bus='sata'/><readonly/></disk>
    <serial type='pty'><log file='{log}' append='off'/></serial>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>"""
