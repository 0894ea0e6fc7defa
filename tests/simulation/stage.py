"""A small fleet on which a test makes by hand what must never be, and hears what the checks say of it.

The checks are asked all the time and nothing is raised: what each said is kept, by its name. Nothing goes on by itself: `live`
lets the controllers work, `wait` lets time pass without them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.drivers.simulated.state import DomainRecord
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Metadata, Resource, set_condition
from provisioner.model.virtual_machine import (
    DiskReference,
    GpuRequest,
    SystemDisk,
    VirtualMachine,
    VirtualMachineSpec,
    VMInstance,
)
from provisioner.model.vm_disk import ImageSource, VMDisk, VMDiskSource, VMDiskSpec
from tests.simulation.building import build_hosts
from tests.simulation.checks.all import safety_checks
from tests.simulation.scenario import Scenario
from tests.simulation.sight import Sight
from tests.simulation.universe import Universe

L40S = "nvidia.com/AD102GL_L40S"
SCRUB = "clear {address}"
STEP_S = 30.0
SETTLED_S = 300.0


class Stage:
    """Two hosts with one L40S each and a scrub command, one with four; a controller that is asked to work by the test."""

    def __init__(self, directory: Path, *, seed: int = 1) -> None:
        spec = {"external_addresses": ("203.0.113.16/28",), "scrub_command": SCRUB}
        hosts = ({"count": 2, "preset": "l40s", "spec": spec}, {"count": 1, "preset": "two-nodes"})
        scenario = Scenario.model_validate(
            {"name": "stage", "about": "a test", "hosts": hosts, "hours": 1, "happenings": 0, "weights": {}, "interleaving": 0}
        )
        self.universe = Universe(scenario, seed, directory=directory)
        self.store = self.universe.store
        self.sight = Sight(self.universe)
        self.heard: dict[str, list[str]] = {}
        """By the name of a check: what it said."""
        self.asked: Counter[str] = Counter()
        self._checks = safety_checks()
        self.universe.on_event = self._look
        build_hosts(self.universe)
        self.universe.start_process()
        self._until(lambda: all(host.status.kvm.works for host in self.store.list(GPUHost).items))

    # what goes on

    def live(self, duration_s: float = SETTLED_S) -> None:
        """Let the controllers work for so long."""
        self.universe.live(duration_s, may_sleep=False)

    def wait(self, duration_s: float) -> None:
        """Let time pass without them."""
        for _ in range(int(duration_s // STEP_S) + 1):
            self.universe.clock.sleep(STEP_S)
            self._look("pass")

    def begin_pass(self) -> None:
        """Whatever was made by hand until now was so before a pass of a controller began."""
        self.universe.clock.sleep(1.0)
        self.universe.pass_began_s = self.universe.clock.monotonic_s()

    def look(self) -> None:
        """Have the checks look at all of it now."""
        self._look("made up")

    def says(self, check: str) -> str:
        """What that check has to say by now, and nothing is left of it; empty: nothing."""
        self.look()
        return "\n".join(self.heard.pop(check, []))

    # what is there

    def run_vm(self, name: str = "red", *, gpus: int = 1, **spec: Any) -> VirtualMachine:
        """A VM that is Ready."""
        disk = SystemDisk(image="ubuntu-2404", storage="10Gi")
        wanted = {"instance_type": "u1.large", "gpus": (GpuRequest(name=L40S),) * gpus, "system_disk": disk, **spec}
        self.store.create(VirtualMachine(metadata=_named(name), spec=VirtualMachineSpec(**wanted)))
        self._until(lambda: self.vm(name).status.phase == "Ready")
        return self.vm(name)

    def run_vm_on_disk(self, name: str = "red", *, disk: str = "data") -> VMDisk:
        """A VM that is Ready and boots from a VMDisk."""
        source = VMDiskSource(image=ImageSource(name="ubuntu-2404"))
        self.store.create(VMDisk(metadata=_named(disk), spec=VMDiskSpec(source=source, storage="5Gi")))
        spec = VirtualMachineSpec(instance_type="u1.large", disks=(DiskReference(name=disk),))
        self.store.create(VMInstance(metadata=_named(name), spec=spec))
        self._until(lambda: self.store.get(VMInstance, name, namespace="default").status.phase == "Ready")
        return self.disk(disk)

    def vm(self, name: str = "red") -> VirtualMachine:
        """As the store has it."""
        return self.store.get(VirtualMachine, name, namespace="default")

    def disk(self, name: str = "data") -> VMDisk:
        """As the store has it."""
        return self.store.get(VMDisk, name, namespace="default")

    def claim(self, name: str = "red") -> GPUClaim:
        """The first one of that VM."""
        uid = self.vm(name).metadata.uid
        return next(claim for claim in self.store.list(GPUClaim).items if claim.spec.owner.uid == uid)

    def gpu_host(self, name: str) -> GPUHost:
        """As the store has it."""
        return self.store.get(GPUHost, name)

    def host_of(self, name: str = "red") -> SimulatedHost:
        """The host that the VM is on."""
        return self.universe.fleet.host(self.vm(name).status.host)

    def domain_of(self, name: str = "red") -> DomainRecord:
        """The domain of the VM."""
        with self.host_of(name).peek() as state:
            return state.domains[self.vm(name).status.domain]

    # what is made by hand

    def delete(self, name: str = "red") -> None:
        """Ask for the deletion of a VM."""
        self.store.delete(self.vm(name).key)

    def write(self, resource: Resource, **status: Any) -> None:
        """Change the status of an object, as nobody should."""
        self.store.update_status(resource.with_status(**status))

    def say(self, resource: Resource, condition: str, status: str, **changes: Any) -> None:
        """Change a condition of an object, as nobody should."""
        known = next(each for each in resource.status.conditions if each.type == condition)
        new = known.model_copy(update={"status": status, **changes})
        others = tuple(each for each in resource.status.conditions if each.type != condition)
        conditions = (*others, new) if changes else set_condition(resource.status.conditions, new)
        self.store.update_status(resource.with_status(conditions=conditions))

    def strip(self, resource: Resource) -> None:
        """Remove an object whatever holds it."""
        self.store.delete(resource.key)
        for left in [each for each in self.store.snapshot().objects if each.key == resource.key]:
            self.store.update(left.with_metadata(finalizers=()))

    def _until(self, done: Callable[[], bool]) -> None:
        assert self.universe.live(SETTLED_S, until=done, may_sleep=False), self.store.snapshot().objects

    def _look(self, what: str) -> None:
        if not self.sight.refresh(all_hosts=what != "pass"):
            return
        for check in self._checks:
            if check.watches & self.sight.news:
                self.asked[check.name] += 1
                self.heard.setdefault(check.name, []).extend(check.look(self.sight))


def _named(name: str) -> Metadata:
    return Metadata(name=name, namespace="default")
