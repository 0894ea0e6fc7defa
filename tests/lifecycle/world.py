"""A whole hikube in one thread and virtual time: simulated hosts and guests, a store in memory, the production controller.

A test says what is wanted (`apply`, `delete`, `edit`), lets time run (`settle`), and looks at what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.clocks import ManualClock, SeededIdentifiers
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.guests import SimulatedGuests
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.drivers.simulated.images import SimulatedImages
from provisioner.drivers.simulated.presets import L40S
from provisioner.drivers.simulated.timing import Timing
from provisioner.lifecycle.assembly import controller_of
from provisioner.lifecycle.gpu_claim.reconciler import GPUClaimReconciler
from provisioner.lifecycle.ports import Ports
from provisioner.model.documents import parse_documents
from provisioner.model.errors import NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_history import GPUHistory
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.metadata import Condition, Metadata, Resource, find_condition
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from provisioner.model.vm_disk import VMDisk
from provisioner.store.memory import MemoryStore

SETTLE_S = 6 * 3600.0
QUIET_S = 400.0
PASSES_MAX = 2000
WAITS_FOR = ("Insufficient", "QuotaExceeded", "NotForTenant")
"""How reasons begin for which a VM may wait for ever."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that should have gone."""

    kind: str
    name: str


class World:
    """Everything, in one thread."""

    def __init__(self, directory: Path, *, seed: int = 1, timing: Timing | None = None) -> None:
        self.clock = ManualClock()
        self.fleet = SimulatedFleet(self.clock, seed=seed, timing=timing or Timing())
        self.store = MemoryStore(clock=self.clock, identifiers=SeededIdentifiers(seed))
        self.tables = Tables.builtin()
        self.directory = directory
        self.ports = Ports(
            store=self.store,
            connector=SimulatedConnector(self.fleet),
            guests=SimulatedGuests(self.fleet),
            images=SimulatedImages(directory, world=self.fleet.world),
            clock=self.clock,
            identifiers=SeededIdentifiers(seed + 1),
            tables=self.tables,
        )
        self.start_controller()

    def start_controller(self) -> None:
        """A fresh controller that remembers nothing, as after a crash."""
        self.controller = controller_of(self.ports, workers=0)

    def host(self, name: str, *, gpus: int = 1, **changes: Any) -> World:
        """Add a host with so many L40S, to the simulated fleet and to the store."""
        self.fleet.add_host(name, gpus=(L40S,) * gpus, **changes)
        spec = GPUHostSpec(uri=f"simulated://{name}")
        self.store.create(GPUHost(metadata=Metadata(name=name), spec=spec))
        return self

    def apply(self, text: str) -> World:
        """Create what the YAML says, or update it."""
        for resource in parse_documents(text, source="test", tables=self.tables):
            metadata = resource.metadata
            try:
                known = self.store.get(type(resource), metadata.name, namespace=metadata.namespace)
            except NotFound:
                self.store.create(resource)
            else:
                self.store.update(known.model_copy(update={"spec": resource.spec}))
        return self

    def edit(self, name: str, **changes: Any) -> World:
        """Change fields of a VM's spec."""
        vm = self.vm(name)
        self.store.update(vm.model_copy(update={"spec": vm.spec.model_copy(update=changes)}))
        return self

    def annotate(self, name: str, key: str, value: str) -> World:
        """Set an annotation of a VM."""
        vm = self.vm(name)
        self.store.update(vm.with_metadata(annotations={**vm.metadata.annotations, key: value}))
        return self

    def configure(self, name: str, **changes: Any) -> World:
        """Change fields of a host's spec."""
        host = self.store.get(GPUHost, name)
        self.store.update(host.model_copy(update={"spec": host.spec.model_copy(update=changes)}))
        return self

    def histories(self) -> tuple[GPUHistory, ...]:
        """Of every card."""
        return self.store.list(GPUHistory).items

    def delete(self, name: str, kind: type[Resource] = VirtualMachine) -> World:
        """Ask for deletion."""
        self.store.delete(self.store.get(kind, name, namespace="default" if kind.NAMESPACED else "").key)
        return self

    def settle(self, *, timeout_s: float = SETTLE_S) -> World:
        """Let time run until every VM is where it stays: ready, waiting for capacity, stopped, failed or gone."""
        assert self.controller.run_until(self._is_settled, timeout_s=timeout_s), self.summary()
        return self

    def run(self, done: Callable[[], bool], *, timeout_s: float = SETTLE_S) -> World:
        """Let time run until something holds."""
        assert self.controller.run_until(done, timeout_s=timeout_s), self.summary()
        return self

    def pass_time(self, duration_s: float) -> World:
        """Let time run."""
        self.controller.run_until(lambda: False, timeout_s=duration_s)
        return self

    def vm(self, name: str, kind: type[VirtualMachine] = VirtualMachine) -> VirtualMachine:
        """The VM as the store has it now."""
        return self.store.get(kind, name, namespace="default")

    def condition(self, name: str, condition_type: str) -> Condition | None:
        """One of its conditions."""
        return find_condition(self.vm(name).status.conditions, condition_type)

    def is_ready(self, name: str) -> bool:
        """Whether it is Ready."""
        found = self.condition(name, "Ready")
        return found is not None and found.status == "True"

    def exists(self, name: str, kind: type[Resource] = VirtualMachine) -> bool:
        """Whether the store has it."""
        return any(item.metadata.name == name for item in self.store.list(kind).items)

    def go_home(self) -> World:
        """Let released claims walk their table to its end, and nobody else do anything meanwhile."""
        reconciler = GPUClaimReconciler(self.ports)
        for _ in range(PASSES_MAX):
            released = [claim for claim in self.store.list(GPUClaim).items if claim.is_released]
            if not released:
                return self
            pauses = [again_s for claim in released if (again_s := reconciler.reconcile(claim.key)) is not None]
            self.clock.sleep(min(pauses, default=0.0))
        raise AssertionError(f"they do not get home: {released}")

    def leaks(self) -> list[Leak]:
        """Domains, volumes, claims and bindings that no living VM or disk accounts for, once what was let go is home."""
        self.go_home()
        found = [Leak("claim", claim.metadata.name) for claim in self.store.list(GPUClaim).items]
        for host in self.store.list(GPUHost).items:
            hypervisor = self.ports.connector.connect(host.spec.uri)
            parked = {vm.metadata.uid for vm in self.machines() if vm.status.first_ready and not vm.status.domain}
            domains = [domain for domain in hypervisor.domains.owned() if domain.owner_uid not in parked or domain.functions]
            found += [Leak("domain", domain.name) for domain in domains]
            volumes = hypervisor.volumes.list(host.spec.storage_pool, prefix="hikube-")
            found += [Leak("volume", volume.name) for volume in volumes if not volume.name.startswith("hikube-base-")]
            for gpu in host.status.gpus:
                addresses = [gpu.address, *(companion.address for companion in gpu.companions)]
                functions = hypervisor.devices.functions(addresses)
                found += [Leak("binding", function.address) for function in functions if function.driver == "vfio-pci"]
            found += self._network_leaks(host.spec.uri)
        return found

    def _network_leaks(self, uri: str) -> list[Leak]:
        """Reservations, filters and publications of no living VM."""
        machines = [vm.status for vm in self.machines()]
        kept = {known.mac_address for status in machines for known in status.kept_addresses}
        told = {status.publication.table for status in machines if status.publication is not None}
        with self.fleet.at(uri).peek() as state:
            reserved = {known.mac_address for each in state.wires.reservations.values() for known in each}
            filters, published = set(state.wires.filters), set(state.wires.publications)
        left = {"reservation": reserved - kept, "publication": published - told}
        left["filter"] = filters - {status.network_filter for status in machines}
        return [Leak(kind, name) for kind in left for name in sorted(left[kind])]

    def summary(self) -> str:
        """Every VM with its conditions, for a failing test."""
        lines = []
        for vm in self.machines():
            said = [f"{known.type}={known.status}({known.reason}: {known.message})" for known in vm.status.conditions]
            lines.append(f"{vm.metadata.name} {vm.status.phase} " + " ".join(said))
        return "\n".join(lines)

    def machines(self) -> tuple[VirtualMachine, ...]:
        """Every VM of both kinds."""
        return (*self.store.list(VirtualMachine).items, *self.store.list(VMInstance).items)

    def disk(self, name: str) -> VMDisk:
        """A VMDisk as the store has it."""
        return self.store.get(VMDisk, name, namespace="default")

    def _is_settled(self) -> bool:
        hosts = all(host.status.kvm.works is not None for host in self.store.list(GPUHost).items)
        return hosts and all(self._is_at_rest(vm) for vm in self.machines())

    def _is_at_rest(self, vm: VirtualMachine) -> bool:
        if vm.is_being_deleted or vm.status.observed_generation != vm.metadata.generation:
            return False
        scheduled = find_condition(vm.status.conditions, "Scheduled")
        waits = vm.status.phase == "Pending" and scheduled is not None and scheduled.reason.startswith(WAITS_FOR)
        return waits or vm.status.phase in ("Ready", "Stopped", "Failed")


def vm_yaml(name: str, *, gpus: int = 1, extra: str = "") -> str:
    """A VirtualMachine with so many L40S."""
    wanted = "".join("\n    - name: l40s" for _ in range(gpus)) or " []"
    return f"""
apiVersion: apps.cozystack.io/v1alpha1
kind: VirtualMachine
metadata: {{name: {name}}}
spec:
  instanceType: u1.large
  systemDisk: {{image: ubuntu-2404, storage: 10Gi}}
  gpus:{wanted}
{extra}"""
