"""A GPU host in a box with a store of its own in front: what an end-to-end test does and looks at.

Looks at the host through its own SSH and sysfs, not through hikube, so that hikube's word is checked against the kernel's.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from provisioner.clocks import SystemClock, SystemIdentifiers
from provisioner.lab import HostInABox, LabImages
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost, GPUHostSpec, GpuRule, KvmVerdict
from provisioner.model.image import Image, ImageSpec
from provisioner.model.metadata import Metadata, Resource
from provisioner.model.secret import Secret
from provisioner.model.virtual_machine import GpuRequest, Resources, SystemDisk, VirtualMachine, VirtualMachineSpec
from provisioner.planning.host_labels import NESTED_EMULATION
from provisioner.store.open import open_store
from provisioner.store.sqlite.store import SqliteStore
from tests.libvirt.mortal_controller import VM

BOCHS = "hikube.cloud/bochs-display"
CONTROLLER_LIMIT_S = 1000
BOX_CHECK_S = 5


@dataclass(frozen=True, slots=True)
class Run:
    """One life of a controller process."""

    returncode: int
    lines: list[str]

    @property
    def was_killed(self) -> bool:
        """By SIGKILL."""
        return self.returncode == -9


class Rig:
    """One box, one store."""

    def __init__(self, box: HostInABox, images: LabImages, directory: Path, *, kvm: KvmVerdict | None = None) -> None:
        """`kvm` is what an earlier story in this box has proven; without it, this one proves it."""
        self.box = box
        self.database = directory / "hikube.db"
        self.cache = directory / "cache"
        self.store = self._open()
        spec = ImageSpec(url=images.guest_image.as_uri(), sha256=images.guest_sha256, min_storage="2Gi", firmware="any")
        self.store.create(Image(metadata=Metadata(name="lab"), spec=spec))
        rules = (GpuRule(ids=("1234:1111", "1b36:0010")),)
        labels = {NESTED_EMULATION: "true"}
        host_spec = GPUHostSpec(uri=box.uri, gpu_rules=rules)
        host = GPUHost(metadata=Metadata(name="box", labels=labels), spec=host_spec)
        self.store.create(host.with_status(kvm=kvm) if kvm is not None else host)

    def _open(self) -> SqliteStore:
        return open_store(self.database, clock=SystemClock(), identifiers=SystemIdentifiers())

    def lose_store(self) -> None:
        """The file, its log and the key beside it are gone; what comes next is a new one."""
        self.store.close()
        for path in self.database.parent.iterdir():
            if path.is_file():
                path.unlink()
        self.store = self._open()

    def apply(
        self,
        name: str = VM,
        *,
        gpus: int = 1,
        cpus: int = 1,
        ssh_keys: tuple[str, ...] = (),
        cloud_init: str = "",
        firmware: Literal["", "bios", "efi"] = "",
    ) -> VirtualMachine:
        """Ask for a VM with so many stand-ins; the guest image boots with either firmware."""
        spec = VirtualMachineSpec(
            instance_type="",
            resources=Resources(cpu=cpus, sockets=1, memory="1Gi"),
            gpus=(GpuRequest(name=BOCHS),) * gpus,
            system_disk=SystemDisk(image="lab", storage="4Gi"),
            ssh_keys=ssh_keys,
            cloud_init=cloud_init,
            firmware=firmware,
        )
        return self.store.create(VirtualMachine(metadata=Metadata(name=name, namespace="default"), spec=spec))

    def configure(self, **spec: object) -> None:
        """Change the operator's wishes for the host."""
        host = self.store.get(GPUHost, "box")
        self.store.update(host.model_copy(update={"spec": host.spec.model_copy(update=spec)}))

    def kvm(self) -> KvmVerdict | None:
        """What is known of KVM in this box, if it works."""
        known = [host.status.kvm for host in self.store.list(GPUHost).items if host.status.kvm.works]
        return known[0] if known else None

    def delete(self, name: str = VM) -> None:
        """Ask for its deletion."""
        self.store.delete(self.vm(name).key)

    def vm(self, name: str = VM) -> VirtualMachine:
        """The VM as the store has it."""
        return self.store.get(VirtualMachine, name, namespace="default")

    def start(self, where: str = "never") -> subprocess.Popen[str]:
        """A controller process, under way."""
        argv = [sys.executable, "-m", "tests.libvirt.mortal_controller", str(self.database), str(self.cache), where]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def control(self, where: str = "never") -> Run:
        """A controller process from start to end."""
        return self.finish(self.start(where))

    def finish(self, process: subprocess.Popen[str]) -> Run:
        """Wait for its end; a box that has died ends it at once, since a controller waits for its host for ever."""
        deadline_s = time.monotonic() + CONTROLLER_LIMIT_S
        with process:
            try:
                output = self._output_of(process, deadline_s)
            finally:
                process.kill()  # does nothing to one that has ended
        print(output)
        return Run(process.returncode, output.splitlines())

    def _output_of(self, process: subprocess.Popen[str], deadline_s: float) -> str:
        while True:
            try:
                return process.communicate(timeout=BOX_CHECK_S)[0]
            except subprocess.TimeoutExpired:
                assert self.box.is_running(), "the box has died"
                assert time.monotonic() < deadline_s, "the controller took too long"

    def on_box(self, command: str) -> str:
        """Run a command on the host; its output."""
        argv = self.box.ssh_argv(command)
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout.strip()

    def gpu_functions(self) -> tuple[str, ...]:
        """Addresses of the first stand-in and its companion, from the host's own sysfs."""
        found = self.on_box("grep -l 0x1234 /sys/bus/pci/devices/*/vendor | head -1").split("/")[5]
        return found, f"{found[:-1]}1"

    def drivers(self) -> dict[str, str]:
        """Driver of each function of the first stand-in, as the kernel says."""
        script = "for f in {}; do echo $f $(basename $(readlink /sys/bus/pci/devices/$f/driver) 2>/dev/null); done"
        lines = self.on_box(script.format(" ".join(self.gpu_functions()))).splitlines()
        return {words[0]: words[1] if len(words) > 1 else "" for words in (line.split() for line in lines)}

    def leaks(self) -> list[str]:
        """Whatever of a VM is still there: domains and volumes by virsh on the host, objects in the store."""
        domains = self.on_box("virsh list --all --name").split()
        volumes = self.on_box("virsh vol-list default | awk '/hikube-/ {print $1}'").split()
        kinds: tuple[type[Resource], ...] = (GPUClaim, Secret, VirtualMachine)
        objects = [str(item.key) for kind in kinds for item in self.store.list(kind).items]
        return [*domains, *(name for name in volumes if "-base-" not in name), *objects]
