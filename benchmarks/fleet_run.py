"""One fleet of one size, in a process of its own: `python -m benchmarks.fleet_run --hosts N --vms M` prints one line of JSON.

Hosts have eight H100 each and are surveyed, examined and proven before the clock starts; then all VMs, one GPU each, are
applied at once. The controller has no workers and the clock is virtual: what it shows is what guests and hosts take, and what
this process takes by its own clock is hikube's CPU (and the simulation's, which runs in the same process). At the end another
controller starts over the same store and hosts, and looks at everything once.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.counting_store import CountingStore
from benchmarks.side_by_side import OwnTimeClock, SideBySide
from provisioner.clocks import SeededIdentifiers
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.guests import SimulatedGuests
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.drivers.simulated.images import SimulatedImages
from provisioner.drivers.simulated.presets import EIGHT_H100
from provisioner.lifecycle.assembly import controller_of
from provisioner.lifecycle.controller import Controller
from provisioner.lifecycle.ports import Ports
from provisioner.model.clock import Clock
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.image import Image, ImageSpec
from provisioner.model.kinds import KINDS
from provisioner.model.metadata import Key, Metadata, find_condition
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import GpuRequest, Resources, SystemDisk, VirtualMachine, VirtualMachineSpec
from provisioner.store.memory import MemoryStore
from provisioner.store.open import open_store
from provisioner.store.protocol import Store

GPUS_PER_HOST = 8
GPU = "nvidia.com/GH100_H100_SXM5_80GB"
LIMIT_S = 6 * 3600.0
"""Virtual."""
TURNS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Figures:
    """What one fleet took."""

    store: str
    gpus: int
    vms: int
    hosts_cpu_s: float
    """Until every host was ready, all that is loaded and compiled once included."""
    virtual_s: float
    """From the apply to the last Ready, by the fleet's clock."""
    cpu_s: float
    """The same, of this process."""
    passes: int
    writes: int
    """Calls of the store that write, events included."""
    peak_mib: float
    """Of the whole process at its end."""
    empty_mib: float
    """Of the process before there was a fleet."""
    objects: int
    """Of all kinds, when all was Ready."""
    listed_s: float
    """Wall time of another controller until it had listed everything and made its first pass."""
    started_s: float
    """Wall time until it had looked at everything once."""


@dataclass(frozen=True, slots=True)
class Looks:
    """How long a controller took that has just been started, by the wall clock."""

    listed_s: float
    started_s: float


class Ready:
    """An Observer that counts VMs that were handed over."""

    def __init__(self) -> None:
        self.hosts: set[Key] = set()
        self.vms: set[Key] = set()
        self.failures: list[str] = []

    def step_started(self, key: Key, step: str) -> None:
        """Nothing."""

    def step_waiting(self, key: Key, step: str, message: str) -> None:
        """Nothing."""

    def step_undone(self, key: Key, step: str) -> None:
        """Nothing."""

    def step_finished(self, key: Key, step: str, duration_s: float, message: str) -> None:
        if step == "ready":
            self.vms.add(key)
        if step == "sweep":
            self.hosts.add(key)

    def failed(self, key: Key, step: str, message: str) -> None:
        self.failures.append(f"{key} {step}: {message}")


class SimulatedRig:
    """A control plane over simulated hosts, in one thread and virtual time."""

    def __init__(self, directory: Path, store: Store, clock: OwnTimeClock, *, fleet: SimulatedFleet | None = None) -> None:
        self.clock = clock
        self.fleet = fleet or SimulatedFleet(clock, seed=1)
        self.store = CountingStore(store)
        self.ready = Ready()
        self.ports = Ports(
            store=self.store,
            connector=SimulatedConnector(self.fleet),
            guests=SimulatedGuests(self.fleet),
            images=SimulatedImages(directory, world=self.fleet.world),
            clock=clock,
            identifiers=SeededIdentifiers(2),
            tables=Tables.builtin(),
            background=SideBySide(clock),
            observer=self.ready,
        )
        self.controller: Controller = controller_of(self.ports, workers=0)

    def add_hosts(self, count: int) -> None:
        """So many, until each is ready."""
        for number in range(count):
            name = f"host-{number:04}"
            self.fleet.add_host(name, EIGHT_H100)
            self.store.create(GPUHost(metadata=Metadata(name=name), spec=GPUHostSpec(uri=f"simulated://{name}")))
        self._run(lambda: len(self.ready.hosts) == count)

    def bring_up(self, count: int) -> None:
        """So many VMs at once, until each is Ready."""
        for number in range(count):
            self.store.create(_machine(f"vm-{number:05}"))
        self._run(lambda: len(self.ready.vms) == count)

    def look_at_everything(self) -> Looks:
        """As a controller that has just been started."""
        begun_s = time.perf_counter()
        self.controller.turn()
        listed_s = time.perf_counter() - begun_s
        for _ in range(TURNS_MAX):
            if self.controller.turn() > 0:
                return Looks(listed_s, time.perf_counter() - begun_s)
        raise AssertionError("it does not come to rest")

    def check(self, count: int) -> None:
        """Raises AssertionError: what was measured did not do what it should."""
        machines = self.store.list(VirtualMachine).items
        says = [find_condition(vm.status.conditions, "Ready") for vm in machines]
        assert sum(found is not None and found.status == "True" for found in says) == count
        assert len({(gpu.host, gpu.address) for vm in machines for gpu in vm.status.gpus}) == count

    def _run(self, done: Callable[[], bool]) -> None:
        is_done = self.controller.run_until(lambda: bool(self.ready.failures) or done(), timeout_s=LIMIT_S)
        assert not self.ready.failures, self.ready.failures[0]
        assert is_done, "not done in its time"


def measure(*, store: str, hosts: int, vms: int) -> Figures:
    """One fleet from nothing to all Ready."""
    empty_mib, clock = peak_mib(), OwnTimeClock()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hikube-bench-")))
        rig = SimulatedRig(directory, _store(store, directory, clock, stack), clock)
        rig.store.create(
            Image(metadata=Metadata(name="ubuntu-2404"), spec=ImageSpec(url="https://images.invalid/ubuntu.qcow2"))
        )
        begun_s = time.process_time()
        rig.add_hosts(hosts)
        surveyed_s = time.process_time()
        passes, writes, virtual_s = rig.controller.passes, rig.store.writes, clock.monotonic_s()
        rig.bring_up(vms)
        cpu_s = time.process_time() - surveyed_s
        rig.check(vms)
        rig.controller.close()
        reached_mib = peak_mib()
        again = rig.store.inner if store == "memory" else _store(store, directory, clock, stack)
        looks = SimulatedRig(directory, again, clock, fleet=rig.fleet).look_at_everything()
        return Figures(
            store=store,
            gpus=hosts * GPUS_PER_HOST,
            vms=vms,
            hosts_cpu_s=surveyed_s - begun_s,
            virtual_s=clock.monotonic_s() - virtual_s,
            cpu_s=cpu_s,
            passes=rig.controller.passes - passes,
            writes=rig.store.writes - writes,
            peak_mib=reached_mib,
            empty_mib=empty_mib,
            objects=sum(len(rig.store.list(kind).items) for kind in KINDS.values()),
            listed_s=looks.listed_s,
            started_s=looks.started_s,
        )


def peak_mib() -> float:
    """The most memory that this program has had so far; by getrusage it would be that of the process it was forked from too."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _store(kind: str, directory: Path, clock: Clock, stack: ExitStack) -> Store:
    if kind == "memory":
        return MemoryStore(clock=clock, identifiers=SeededIdentifiers(1))
    return stack.enter_context(open_store(directory / "bench.db", clock=clock, identifiers=SeededIdentifiers(1)))


def _machine(name: str) -> VirtualMachine:
    spec = VirtualMachineSpec(
        instance_type="",
        resources=Resources(cpu=8, sockets=1, memory="64Gi"),
        gpus=(GpuRequest(name=GPU),),
        system_disk=SystemDisk(image="ubuntu-2404", storage="100Gi"),
        ssh_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdgQFsvUsuZNJqvuz6y5P0gWHVPD9WWQe4cKVV0Wv5y bench",),
    )
    return VirtualMachine(metadata=Metadata(name=name, namespace="default"), spec=spec)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet_run")
    parser.add_argument("--store", choices=("memory", "sqlite"), default="memory")
    parser.add_argument("--hosts", type=int, required=True)
    parser.add_argument("--vms", type=int, required=True)
    chosen = parser.parse_args(arguments)
    print(json.dumps(asdict(measure(store=chosen.store, hosts=chosen.hosts, vms=chosen.vms))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
