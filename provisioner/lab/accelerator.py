"""Whether KVM really works here: proven by booting a Linux kernel with it, never by the presence of /dev/kvm.

A virtual machine without nested virtualisation can show a /dev/kvm that opens while every Linux guest hangs. The proof takes a
second or two where KVM works and at most PROBE_TIMEOUT_S where it does not, so the verdict is kept until this machine's next
boot (its boot id).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from provisioner.lab import paths
from provisioner.lab.images import LabImages

DEVICE = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROBE_TIMEOUT_S = 20
MARK = "hikube-probe linux=yes"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to use KVM, and a sentence that says what was found."""

    usable: bool
    finding: str


def probe_kvm(images: LabImages) -> Verdict:
    """The verdict for this machine and this user; from the cache if it is from this boot."""
    boot_id = BOOT_ID.read_text().strip()
    cached = paths.image_cache() / f"kvm-{os.getuid()}.json"
    if (known := _read(cached)) and known.get("boot_id") == boot_id:
        return Verdict(usable=bool(known["usable"]), finding=str(known["finding"]))
    verdict = _probe(images)
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_text(json.dumps({"boot_id": boot_id, **asdict(verdict)}))
    return verdict


def _probe(images: LabImages) -> Verdict:
    if not DEVICE.exists():
        return Verdict(usable=False, finding="there is no KVM on this machine: using emulation")
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return Verdict(usable=False, finding=f"this user may not open {DEVICE}: using emulation")
    return judge(boot_once(images))


def judge(serial: str) -> Verdict:
    """The verdict on what a probe's serial console said."""
    if MARK not in serial:
        return Verdict(usable=False, finding="KVM is present but a Linux guest does not start with it: using emulation")
    if f"{MARK} nested=yes" not in serial:
        return Verdict(usable=False, finding="KVM works but cannot be nested, which a GPU host needs: using emulation")
    return Verdict(usable=True, finding="KVM works: using it")


def boot_once(images: LabImages) -> str:
    """Boot the host's kernel under KVM with a time limit; what it said on its serial console."""
    with tempfile.NamedTemporaryFile(prefix="hikube-probe-") as serial:
        command = [
            *images.tools.qemu(),
            *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
            *("-machine", "q35", "-accel", "kvm", "-cpu", "host", "-m", "512M", "-smp", "1"),
            *("-kernel", str(images.kernel), "-initrd", str(images.initramfs)),
            *("-append", "console=ttyS0 quiet panic=1 hikube.probe", "-serial", f"file:{serial.name}"),
        ]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                command,
                env=images.tools.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=PROBE_TIMEOUT_S,
                check=False,
            )
        return Path(serial.name).read_text(errors="replace")


def _read(file: Path) -> dict[str, object] | None:
    try:
        data = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return data if isinstance(data, dict) else None
