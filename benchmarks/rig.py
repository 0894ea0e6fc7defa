"""A whole control plane over hybrid hosts: SQLite on disk, the production controller and its workers, no guests to wait for.

Hosts have eight GPUs each, one per VM, and hold the base image already: what is measured is the steady state of a fleet, not
the first VM of a host. Hosts are surveyed before the clock starts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.counting_store import CountingStore
from benchmarks.hybrid import HybridConnector, PromptGuests
from benchmarks.meters import Milestones
from provisioner.clocks import SystemClock, SystemIdentifiers
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.images import SimulatedImages
from provisioner.drivers.simulated.presets import STAND_IN
from provisioner.drivers.simulated.state import VolumeState
from provisioner.drivers.simulated.timing import QUICK
from provisioner.lifecycle.assembly import WORKERS, controller_of
from provisioner.lifecycle.background import Threads
from provisioner.lifecycle.ports import Ports
from provisioner.model import domain_names
from provisioner.model.gpu_host import GPUHost, GPUHostSpec, GpuRule
from provisioner.model.image import Image, ImageSpec
from provisioner.model.metadata import Metadata
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import GpuRequest, Resources, SystemDisk, VirtualMachine, VirtualMachineSpec
from provisioner.store.open import open_store

GPUS_PER_HOST = 8
GPU = "hikube.cloud/bochs-display"
IMAGE_SHA256 = "5" * 64
NAMESPACE = "default"


class BenchError(Exception):
    """The benchmark cannot say anything: what it measured did not do what it should."""


class Rig:
    """One control plane, for `vms` VMs at once."""

    def __init__(self, directory: Path, *, vms: int, workers: int = WORKERS) -> None:
        clock = SystemClock()
        self._fleet = SimulatedFleet(clock, timing=QUICK)
        self._connector = HybridConnector(self._fleet)
        self._sqlite = open_store(directory / "bench.db", clock=clock, identifiers=SystemIdentifiers())
        self.store = CountingStore(self._sqlite)
        self.milestones = Milestones()
        self.ports = Ports(
            store=self.store,
            connector=self._connector,
            guests=PromptGuests(),
            images=SimulatedImages(directory, world=self._fleet.world),
            clock=clock,
            identifiers=SystemIdentifiers(),
            tables=Tables.builtin(),
            background=Threads(),
            observer=self.milestones,
        )
        self.names = tuple(f"vm-{number:04}" for number in range(vms))
        self._controller = controller_of(self.ports, workers=workers)
        self._add_hosts(-(-vms // GPUS_PER_HOST))

    @property
    def defined(self) -> dict[str, str]:
        """The XML of every domain that was defined, by name."""
        return self._connector.defined

    def bring_up(self, *, timeout_s: float) -> None:
        """From the first `apply` until every VM is Ready."""
        before = self.milestones.finished("ready")
        for name in self.names:
            self.store.create(_machine(name))
        self._run(lambda: self.milestones.finished("ready") - before == len(self.names), timeout_s=timeout_s)

    def tear_down(self, *, timeout_s: float) -> None:
        """From the first `delete` until no VM is left, and every GPU is clean and free."""
        for vm in self._sqlite.list(VirtualMachine).items:
            self.store.delete(vm.key)
        self._run(
            lambda: self.milestones.undone("reserve") == len(self.names) and not self._is_anything_left(), timeout_s=timeout_s
        )

    def _is_anything_left(self) -> bool:
        return any(self._sqlite.read_raw(kind) for kind in ("VirtualMachine", "GPUClaim"))

    def close(self) -> None:
        """Give everything up."""
        self._controller.close()
        self._connector.close()
        self._sqlite.close()

    def _add_hosts(self, count: int) -> None:
        spec = ImageSpec(url="http://images.invalid/bench.qcow2", sha256=IMAGE_SHA256)
        self.store.create(Image(metadata=Metadata(name="bench"), spec=spec))
        for number in range(count):
            self._add_host(f"host-{number:03}")
        self._run(lambda: self.milestones.finished("prove") == count, timeout_s=120.0)

    def _add_host(self, name: str) -> None:
        host = self._fleet.add_host(name, gpus=(STAND_IN,) * GPUS_PER_HOST)
        base = domain_names.base_volume(IMAGE_SHA256, image_format="qcow2")
        with host.peek() as state:
            pool = state.pools["default"]
            pool.volumes[base] = VolumeState(base, f"{pool.path}/{base}", 2 << 30, 1 << 30, is_uploaded=True)
        rules = (GpuRule(ids=("1234:1111",)),)
        host_spec = GPUHostSpec(uri=host.uri, gpu_rules=rules)
        self.store.create(GPUHost(metadata=Metadata(name=name), spec=host_spec))

    def _run(self, done: Callable[[], bool], *, timeout_s: float) -> None:
        if not self._controller.run_until(lambda: bool(self.milestones.failures) or done(), timeout_s=timeout_s):
            raise BenchError(f"not done within {timeout_s:.0f} s")
        if self.milestones.failures:
            raise BenchError(f"{len(self.milestones.failures)} attempts failed; the first: {self.milestones.failures[0]}")


def _machine(name: str) -> VirtualMachine:
    spec = VirtualMachineSpec(
        instance_type="",
        resources=Resources(cpu=2, sockets=1, memory="2Gi"),
        gpus=(GpuRequest(name=GPU),),
        system_disk=SystemDisk(image="bench", storage="10Gi"),
        ssh_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdgQFsvUsuZNJqvuz6y5P0gWHVPD9WWQe4cKVV0Wv5y bench",),
    )
    return VirtualMachine(metadata=Metadata(name=name, namespace=NAMESPACE), spec=spec)
