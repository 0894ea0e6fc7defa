"""A GPU host in a box with hikube in front: what the box benchmark measures on, and how hikube's side of a round is run.

The box and the store are made once and thrown away at the end; the host is surveyed and its KVM judged before any clock starts.
Each round has a controller of its own, as a command that was just started has: connecting is part of what is measured.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.meters import Milestones
from benchmarks.report import say
from benchmarks.rig import BenchError
from provisioner import lab
from provisioner.clocks import SystemClock, SystemIdentifiers
from provisioner.lifecycle.assembly import build_controller, build_ports
from provisioner.lifecycle.controller import Controller
from provisioner.lifecycle.ports import Ports
from provisioner.model import domain_names
from provisioner.model.clock import seconds
from provisioner.model.gpu_host import GPUHost, GPUHostSpec, GpuRule
from provisioner.model.image import Image, ImageSpec
from provisioner.model.metadata import Metadata, find_condition
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import GpuRequest, Resources, SystemDisk, VirtualMachine, VirtualMachineSpec
from provisioner.planning.host_labels import NESTED_EMULATION
from provisioner.store.open import open_store

NAMESPACE = "default"
TOPOLOGY = lab.uniform("bench", gpus=1)
JOURNEY_LIMIT_S = 400.0
"""Some times what a guest takes; one that takes longer has got stuck, as emulated ones do now and then."""
REMOVAL_LIMIT_S = 300.0
HOST_TIMEOUT_S = 400.0
PROVEN, HANDED_OVER = "verify", "ready"


@dataclass(frozen=True, slots=True)
class Journey:
    """One VM from wish to tenant: seconds by stage, in the order of the table."""

    proven_s: float
    """Until the guest's report was accepted."""
    handed_over_s: float
    """Until the seed was ejected and the VM was the tenant's."""
    stages: dict[str, float]
    between_s: float = 0.0
    """Time in no stage: between two steps."""


@contextmanager
def box_rig() -> Iterator[BoxRig]:
    """Make the box, and remove it with everything at the end. The user's own labs are not touched."""
    before = os.environ.get("HIKUBE_DATA_DIR")
    with tempfile.TemporaryDirectory(prefix="hikube-bench-") as folder:
        os.environ["HIKUBE_DATA_DIR"] = folder
        try:
            yield BoxRig(lab.create(TOPOLOGY, say).host(), Path(folder))
        finally:
            lab.delete(TOPOLOGY.name)
            os.environ.pop("HIKUBE_DATA_DIR")
            if before is not None:
                os.environ["HIKUBE_DATA_DIR"] = before


class BoxRig:
    """One box, one store."""

    def __init__(self, box: lab.HostInABox, directory: Path) -> None:
        self.uri = box.uri
        self.directory = directory
        self.tables = Tables.builtin()
        self._scale = lab.time_scale()
        self._store = open_store(directory / "bench.db", clock=SystemClock(), identifiers=SystemIdentifiers())
        images = lab.ensure_images(say)
        image = ImageSpec(url=images.guest_image.as_uri(), sha256=images.guest_sha256, min_storage="2Gi")
        self._store.create(Image(metadata=Metadata(name="lab"), spec=image))
        host = GPUHostSpec(uri=self.uri, gpu_rules=(GpuRule(ids=("1234:1111",)),))
        self._store.create(GPUHost(metadata=Metadata(name="box", labels={NESTED_EMULATION: "true"}), spec=host))
        controller, _ = self._controller()
        try:
            if not controller.run_until(self._knows_the_host, timeout_s=HOST_TIMEOUT_S):
                raise BenchError(f"the host was not surveyed within {HOST_TIMEOUT_S:.0f} s")
        finally:
            controller.close()

    def ports(self) -> Ports:
        """The production ports over this store, for planning."""
        return build_ports(self._store, cache_dir=self.directory / "cache", tables=self.tables)

    def journey(self, name: str) -> Journey:
        """One VM by hikube, brought up, measured, and deleted again.

        Raises:
            BenchError: an attempt failed (under emulation a guest may reset by itself), or time ran out.
        """
        controller, milestones = self._controller()
        try:
            begun_s = SystemClock().now_s()
            vm = self._store.create(machine(name))
            controller.run_until(lambda: bool(milestones.failures) or self._is_ready(name), timeout_s=JOURNEY_LIMIT_S)
            reached = self._vm(name)
            self._store.delete(vm.key)
            if not controller.run_until(self._is_empty, timeout_s=REMOVAL_LIMIT_S):
                raise BenchError(f"{name} was not deleted within {REMOVAL_LIMIT_S:.0f} s")
        finally:
            controller.close()
        if milestones.failures:
            raise BenchError(milestones.failures[0])
        if not _is_done(reached, HANDED_OVER):
            raise BenchError(f"{name} was not ready within {JOURNEY_LIMIT_S:.0f} s")
        return _journey(reached, begun_s=begun_s)

    def _is_empty(self) -> bool:
        return not any(self._store.read_raw(kind) for kind in ("VirtualMachine", "GPUClaim"))

    def leftovers(self) -> list[str]:
        """What either side left on the host: domains, volumes, functions that are not back on their drivers."""
        host = self._store.get(GPUHost, "box")
        hypervisor = self.ports().connector.connect(self.uri)
        gpus = (address for gpu in host.status.gpus for address in (gpu.address, *(each.address for each in gpu.companions)))
        volumes = hypervisor.volumes.list(host.spec.storage_pool, prefix=domain_names.PREFIX)
        return [
            *(domain.name for domain in hypervisor.domains.owned()),
            *(volume.name for volume in volumes if not volume.name.startswith(domain_names.BASE_PREFIX)),
            *(function.address for function in hypervisor.devices.functions(tuple(gpus)) if function.driver == "vfio-pci"),
        ]

    def close(self) -> None:
        """Give the store up."""
        self._store.close()

    def _controller(self) -> tuple[Controller, Milestones]:
        milestones = Milestones()
        controller = build_controller(
            self._store,
            cache_dir=self.directory / "cache",
            tables=self.tables,
            observer=milestones,
            time_scale=self._scale,
        )
        return controller, milestones

    def _knows_the_host(self) -> bool:
        host = self._store.get(GPUHost, "box")
        found = find_condition(host.status.conditions, "Ready")
        return found is not None and found.status == "True" and host.status.kvm.works is not None

    def _vm(self, name: str) -> VirtualMachine:
        return self._store.get(VirtualMachine, name, namespace=NAMESPACE)

    def _is_ready(self, name: str) -> bool:
        return _is_done(self._vm(name), HANDED_OVER)


def machine(name: str, *, uid: str = "") -> VirtualMachine:
    """The VM that both sides make: 2 vCPUs, 1 GiB, one stand-in with its companion."""
    spec = VirtualMachineSpec(
        instance_type="",
        resources=Resources(cpu=2, sockets=1, memory="1Gi"),
        gpus=(GpuRequest(name="hikube.cloud/bochs-display"),),
        system_disk=SystemDisk(image="lab", storage="4Gi"),
    )
    return VirtualMachine(metadata=Metadata(name=name, namespace=NAMESPACE, uid=uid), spec=spec)


def _is_done(vm: VirtualMachine, step: str) -> bool:
    return any(record.name == step and record.finished for record in vm.status.steps)


def _journey(vm: VirtualMachine, *, begun_s: float) -> Journey:
    """From the records of the steps that the VM's status keeps."""
    stages: dict[str, float] = {}
    ends: dict[str, float] = {}
    between_s, last_s = 0.0, begun_s
    for record in vm.status.steps:
        started_s, ends[record.name] = seconds(record.started), seconds(record.finished)
        stages[record.name] = ends[record.name] - started_s
        between_s += max(0.0, started_s - last_s)
        last_s = ends[record.name]
    return Journey(ends[PROVEN] - begun_s, last_s - begun_s, stages, between_s)
