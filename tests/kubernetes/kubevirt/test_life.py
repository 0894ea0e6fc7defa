"""The life of a VM through KubeVirt's own kinds on a real API server: the same conditions in the same order as on libvirt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.clocks import SystemClock, SystemIdentifiers
from provisioner.drivers.kubevirt.connector import KubeVirtConnector
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.drivers.simulated.images import SimulatedImages
from provisioner.lifecycle.assembly import controller_of
from provisioner.lifecycle.controller import Controller
from provisioner.lifecycle.ports import Ports
from provisioner.model.cluster import ClusterSettings
from provisioner.model.documents import parse_documents
from provisioner.model.errors import NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.metadata import Condition, Metadata, find_condition
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import Phase, RunStrategy, VirtualMachine
from provisioner.store.protocol import Store
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubevirt.answering import AnsweringGuests
from tests.kubernetes.kubevirt.cluster import KubeVirtCluster
from tests.kubernetes.kubevirt.fleet import Fleet
from tests.kubernetes.stores import store_of
from tests.lifecycle.world import World, vm_yaml

L40S = "nvidia.com/AD102GL_L40S"
LIMIT_S = 60.0


@dataclass
class Life:
    """hikube's controller on a real API server, before KubeVirt played."""

    kubevirt: KubeVirtCluster
    store: Store
    ports: Ports
    controller: Controller

    @property
    def tables(self) -> Tables:
        return self.ports.tables

    @property
    def namespace(self) -> str:
        return self.kubevirt.namespace

    def apply(self, name: str, *, gpus: int = 1) -> None:
        (vm,) = parse_documents(vm_yaml(name, gpus=gpus), source="test", tables=self.tables)
        self.store.create(vm.with_metadata(namespace=self.namespace))

    def vm(self, name: str) -> VirtualMachine:
        return self.store.get(VirtualMachine, name, namespace=self.namespace)

    def condition(self, name: str, kind: str) -> Condition | None:
        return find_condition(self.vm(name).status.conditions, kind)

    def is_ready(self, name: str) -> bool:
        found = self.condition(name, "Ready")
        return found is not None and found.status == "True"

    def exists(self, name: str) -> bool:
        try:
            return bool(self.vm(name))
        except NotFound:
            return False

    def run(self, done: Callable[[], bool]) -> None:
        if not self.controller.run_until(done, timeout_s=LIMIT_S):
            vms = self.store.list(VirtualMachine, namespace=self.namespace).items
            said = [
                f"{vm.metadata.name} {c.type}={c.status} {c.reason}: {c.message}" for vm in vms for c in vm.status.conditions
            ]
            pytest.fail("\n".join(said))

    def delete(self, name: str) -> None:
        self.store.delete(self.vm(name).key)
        self.run(lambda: not self.exists(name))


@pytest.fixture
def life(kinds: ControlPlane, kubevirt: KubeVirtCluster, tmp_path: Path) -> Iterator[Life]:
    """One node with two L40S, ten times as fast as observed; nothing is kept."""
    kubevirt.time_scale = 0.1
    kubevirt.permit(L40S, "10DE:26B9")
    kubevirt.add_node("gpu-1", gpus={L40S: 2})
    clock = SystemClock()
    fleet, store = SimulatedFleet(clock), store_of(kinds)
    clusters = KubeVirtConnector(clock=clock)
    ports = Ports(
        store=store,
        connector=SimulatedConnector(fleet),
        guests=AnsweringGuests(kubevirt, {L40S: ("10de:26b9", "NVIDIA L40S")}),
        images=SimulatedImages(tmp_path, world=fleet.world),
        clock=clock,
        identifiers=SystemIdentifiers(),
        tables=Tables.builtin(),
        clusters=clusters,
    )
    settings = ClusterSettings(container_disks={"ubuntu-2404": "quay.io/containerdisks/ubuntu:24.04"})
    spec = GPUHostSpec(uri=f"kubevirt:?kubeconfig={kubevirt.kubeconfig}", kubevirt=settings, refresh_interval_s=10)
    host = store.create(GPUHost(metadata=Metadata(name=f"cluster-{kubevirt.namespace}"), spec=spec))
    yield Life(kubevirt, store, ports, controller_of(ports, workers=4))
    for known in (*store.list(VirtualMachine).items, *store.list(GPUClaim).items, store.get(GPUHost, host.metadata.name)):
        store.update(known.with_metadata(finalizers=()))
        store.delete(known.key)
    clusters.close()


def _order(vm: VirtualMachine) -> list[tuple[str, str]]:
    return [(known.type, known.status) for known in vm.status.conditions if known.type not in ("Ready", "GPUHealthy")]


def test_the_same_vm_reaches_ready_with_the_same_conditions_in_the_same_order(life: Life, tmp_path: Path) -> None:
    world = World(tmp_path / "libvirt")
    world.host("a").apply(vm_yaml("first")).settle()
    life.apply("first")
    life.run(lambda: life.is_ready("first"))
    vm = life.vm("first")
    assert _order(vm) == _order(world.vm("first"))
    (gpu,), (claim,) = vm.status.gpus, life.store.list(GPUClaim).items
    assert claim.metadata.name == f"{vm.status.host}.{gpu.uuid.lower()}"
    assert vm.status.machine is not None
    assert vm.status.machine.node == "gpu-1"
    life.delete("first")
    life.run(lambda: not life.store.list(GPUClaim).items)
    assert life.kubevirt.vm(life.namespace, "first") is None


def test_a_guest_that_crashes_is_another_instance_and_is_proven_again(life: Life) -> None:
    life.apply("first")
    life.run(lambda: life.is_ready("first"))
    before = life.vm("first").status.machine
    life.kubevirt.guest(life.namespace, "first").crash()
    life.run(lambda: not life.is_ready("first"))
    life.run(lambda: life.is_ready("first"))
    after = life.vm("first").status.machine
    assert before is not None
    assert after is not None
    assert after.instance_uid not in ("", before.instance_uid)


def test_the_last_gpu_is_waited_for_and_taken_when_it_is_free(life: Life) -> None:
    life.apply("first", gpus=2)
    life.run(lambda: life.is_ready("first"))
    life.apply("second")
    life.run(lambda: (found := life.condition("second", "Scheduled")) is not None and found.status == "False")
    found = life.condition("second", "Scheduled")
    assert found is not None
    assert (found.reason, found.message) == ("InsufficientGPUs", "1 host: 0 of 2 L40S free")
    life.delete("first")
    life.run(lambda: life.is_ready("second"))


def test_a_halted_vm_keeps_its_machine_and_gives_its_gpu_back(life: Life) -> None:
    life.apply("first")
    life.run(lambda: life.is_ready("first"))
    vm = life.vm("first")
    halted = vm.spec.model_copy(update={"run_strategy": RunStrategy.HALTED})
    life.store.update(vm.model_copy(update={"spec": halted}))
    life.run(lambda: life.vm("first").status.phase is Phase.STOPPED)
    machine = life.kubevirt.vm(life.namespace, "first")
    assert machine is not None
    assert machine["spec"]["runStrategy"] == "Halted"
    assert life.kubevirt.vmi(life.namespace, "first") is None


def test_a_drained_node_is_left_and_the_vm_is_proven_on_another(life: Life) -> None:
    life.apply("first")
    life.run(lambda: life.is_ready("first"))
    life.kubevirt.add_node("gpu-2", gpus={L40S: 1})
    client = life.kubevirt.client
    client.patch("/api/v1/nodes/gpu-1", {"spec": {"unschedulable": True}})
    refused = Fleet(life.kubevirt).evict("first")
    assert refused is not None
    assert refused.code == 429
    life.run(lambda: life.is_ready("first") and _node(life, "first") == "gpu-2")


def test_a_device_that_is_forbidden_meanwhile_is_explained_and_waited_for(life: Life) -> None:
    host = life.store.list(GPUHost).items[0]
    life.run(lambda: bool(life.store.get(GPUHost, host.metadata.name).status.last_seen))
    life.kubevirt.forbid(L40S)
    life.apply("first")
    life.run(lambda: any(_reason(life, kind) == "NotPermitted" for kind in ("DevicesBound", "Scheduled")))
    life.kubevirt.permit(L40S, "10DE:26B9")
    life.run(lambda: life.is_ready("first"))


def test_a_controller_that_is_followed_by_another_in_the_middle_ends_with_one_instance(life: Life) -> None:
    life.apply("first")
    life.run(lambda: life.condition("first", "DevicesBound") is not None)
    life.controller = controller_of(life.ports, workers=4)
    life.run(lambda: life.is_ready("first"))
    assert life.vm("first").status.consecutive_failures == 0
    assert len(life.store.list(GPUClaim).items) == 1


def _node(life: Life, name: str) -> str:
    machine = life.vm(name).status.machine
    return machine.node if machine is not None else ""


def _reason(life: Life, kind: str) -> str:
    found = life.condition("first", kind)
    return found.reason if found is not None else ""
