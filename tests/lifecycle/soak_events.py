"""What may befall a fleet in a soak: what users do, what operators do, what breaks. Chosen by the seed, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from provisioner.drivers.simulated.faults import Fault
from provisioner.model import errors
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Metadata, Resource
from provisioner.model.virtual_machine import (
    REQUEST_ANNOTATION,
    DiskReference,
    GpuRequest,
    RunStrategy,
    SystemDisk,
    VirtualMachine,
    VirtualMachineSpec,
    VMInstance,
)
from provisioner.model.vm_disk import ImageSource, VMDisk, VMDiskSource, VMDiskSpec
from tests.lifecycle.soak_devices import sicken

if TYPE_CHECKING:
    from tests.lifecycle.soak import Soak

L40S, H100 = "nvidia.com/AD102GL_L40S", "nvidia.com/GH100_H100_SXM5_80GB"
NAMES = ("red", "blue", "green")
DISKS = ("data", "root")
CALLS = (
    "domains.*", "domains.start", "domains.define", "domains.look", "domains.destroy", "domains.undefine", "devices.*",
    "devices.bind_vfio", "devices.restore", "volumes.*", "volumes.create", "volumes.upload", "guests.*", "guests.hand_over",
    "guests.report", "images.fetch", "connect", "inventory.*", "networks.*", "networks.*", "*",
)  # fmt: skip
WRITES = ("create", "update", "update_status", "delete", "record")
READS = ("get", "list", "watch")


class Crash(BaseException):
    """The controller's process is gone: nothing below may catch it."""


class Events:
    """Chooses and does."""

    def __init__(self, soak: Soak) -> None:
        self._soak = soak
        self._world = soak.world
        self._random: Random = soak.random
        self._token = 0
        users: list[Callable[[], None]] = [
            self.create, self.create, self.create_disk, self.delete, self.strategy, self.strategy, self.request,
            self.request, self.edit, self.edit, self.grow_disk, self.delete_disk,
        ]  # fmt: skip
        operators = [self.cordon, self.rare, self.release]
        troubles = [
            self.call_fails, self.call_fails, self.call_fails, self.call_fails, self.store_fails, self.store_fails, self.crash,
            self.crash_in_a_call, self.link, self.kill, self.reset, self.behave, self.lose, self.hold, self.fill_pool,
            self.reboot, self.sweep_rules, self.sicken, self.sicken, self.sicken,
        ]  # fmt: skip
        self._all = users * 2 + operators + troubles

    def begin(self) -> None:
        """Something to live with."""
        for event in (self.create_disk, self.create_disk, self.create, self.create, self.create):
            event()
        self._soak.let_time_pass(self._random.choice((3.0, 30.0, 120.0)) * self._random.random())

    def happen(self) -> str:
        """One of them; says which."""
        event = self._random.choice(self._all)
        event()
        return event.__name__

    # what users do

    def create(self) -> None:
        kind = self._random.choice((VirtualMachine, VirtualMachine, VMInstance))
        model = self._random.choice((L40S, L40S, H100))
        spec: dict[str, Any] = {
            "instance_type": self._random.choice(("u1.large", "u1.xlarge", "u1.4xlarge")),
            "gpus": (GpuRequest(name=model),) * self._random.choice((0, 1, 1, 2)),
            "run_strategy": self._random.choice((*[RunStrategy.ALWAYS] * 8, *RunStrategy)),
            "external": self._random.random() < 0.4,
        }
        if kind is VirtualMachine:
            spec["system_disk"] = SystemDisk(image="ubuntu-2404", storage="10Gi")
        else:
            spec["disks"] = tuple(DiskReference(name=name) for name in self._random.sample(DISKS, self._random.choice((1, 2))))
        self._store(kind(metadata=self._metadata(self._random.choice(NAMES)), spec=VirtualMachineSpec(**spec)))

    def create_disk(self) -> None:
        source = VMDiskSource(image=ImageSource(name="ubuntu-2404"))
        self._store(VMDisk(metadata=self._metadata(self._random.choice(DISKS)), spec=VMDiskSpec(source=source, storage="5Gi")))

    def delete(self) -> None:
        self._on_a(VirtualMachine, lambda vm: self._world.store.delete(vm.key))

    def delete_disk(self) -> None:
        self._on_a(VMDisk, lambda disk: self._world.store.delete(disk.key))

    def strategy(self) -> None:
        wanted = self._random.choice((RunStrategy.HALTED, RunStrategy.ALWAYS, RunStrategy.ALWAYS, *RunStrategy))
        self._edit_vm(run_strategy=wanted)
        if self._random.random() < 0.6:
            self._soak.let_time_pass(self._random.uniform(0.0, 5.0))
            self._edit_vm(run_strategy=RunStrategy.ALWAYS)

    def request(self) -> None:
        self._token += 1
        text = f"{self._random.choice(('start', 'stop', 'restart', 'restart'))}:{self._token}"
        self._on_a(VirtualMachine, lambda vm: self._update(vm.with_metadata(annotations={REQUEST_ANNOTATION: text})))

    def edit(self) -> None:
        model = self._random.choice((L40S, L40S, H100))
        changes: tuple[dict[str, Any], ...] = (
            {"gpus": (GpuRequest(name=model),) * self._random.choice((0, 1, 2))},
            {"instance_type": self._random.choice(("u1.large", "u1.xlarge", "u1.4xlarge", "u1.8xlarge"))},
            {"cloud_init_seed": str(self._random.random())},
            {"external": self._random.random() < 0.5, "external_ports": (self._random.choice((22, 443)),)},
        )
        self._edit_vm(**self._random.choice(changes))
        if self._random.random() < 0.3:
            names = tuple(DiskReference(name=name) for name in self._random.sample(DISKS, self._random.choice((1, 2))))
            self._on_a(VMInstance, lambda vm: self._update(_with_spec(vm, disks=names)))

    def grow_disk(self) -> None:
        size = f"{self._random.choice((6, 8, 12))}Gi"
        self._on_a(VMDisk, lambda disk: self._update(_with_spec(disk, storage=size)))
        if self._random.random() < 0.5:
            disk = SystemDisk(image="ubuntu-2404", storage=f"{self._random.choice((12, 16))}Gi")
            self._on_a(
                VirtualMachine, lambda vm: self._update(_with_spec(vm, system_disk=disk)) if vm.spec.system_disk else None
            )

    # what operators do

    def cordon(self) -> None:
        self._on_a(GPUHost, lambda host: self._update(_with_spec(host, cordoned=not host.spec.cordoned)))

    def rare(self) -> None:
        self._random.choice((self.remove_host, self.remove_by_force))()

    def remove_host(self) -> None:
        self._on_a(GPUHost, lambda host: self._world.store.delete(host.key))

    def remove_by_force(self) -> None:
        """Somebody strips a VM of its finalizer and deletes it: the hosts know nothing of it."""

        def strip(vm: Resource) -> None:
            self._soak.was_forced = True
            self._world.store.delete(vm.key)
            left = [each for each in self._world.store.snapshot().objects if each.key == vm.key]
            for each in left:
                self._update(each.with_metadata(finalizers=()))

        self._on_a(VirtualMachine, strip)

    def release(self) -> None:
        self._soak.operator.release_quarantined()

    # what breaks

    def call_fails(self) -> None:
        error = self._random.choice(
            (
                errors.HostUnreachable("away"),
                errors.HostTimeout("too slow"),
                errors.HypervisorError("internal error"),
                errors.DeviceBusy("held"),
            )
        )
        takes_effect = isinstance(error, errors.HostTimeout) and self._random.random() < 0.7
        self._world.fleet.faults.stage(
            Fault(
                error,
                call=self._random.choice(CALLS),
                host=self._random.choice(("*", "a", "b")),
                skip=self._random.choice((0, 0, 1, 5)),
                times=self._random.choice((1, 1, 2, 6, 20)),
                takes_effect=takes_effect,
                takes_s=self._random.choice((0.0, 0.0, 5.0, 30.0)),
            )
        )

    def store_fails(self) -> None:
        error = self._random.choice((errors.StoreUnavailable("locked"), errors.StoreUnavailable("no answer")))
        for _ in range(self._random.choice((1, 1, 3))):
            method = self._random.choice((*WRITES, *READS))
            self._world.store.fail_next(method, error, after_effect=method in WRITES and self._random.random() < 0.5)

    def crash(self) -> None:
        self._soak.restart_controller()

    def crash_in_a_call(self) -> None:
        takes_effect = self._random.random() < 0.5
        if self._random.random() < 0.5:
            method = self._random.choice((*WRITES, "list"))
            self._world.store.fail_next(method, Crash(), after_effect=takes_effect)  # type: ignore[arg-type]
            return
        fault = Fault(Crash(), call=self._random.choice(CALLS), skip=self._random.choice((0, 1, 3)), takes_effect=takes_effect)
        self._world.fleet.faults.stage(fault)

    def link(self) -> None:
        host = self._random.choice(self._world.fleet.hosts)
        host.set_link(self._random.choice(("down", "hangs", "up", "up")))

    def kill(self) -> None:
        self._on_a_domain(lambda host, domain: host.kill_qemu(domain, after_s=self._random.choice((0.0, 5.0))))

    def reset(self) -> None:
        self._on_a_domain(lambda host, domain: host.reset_guest(domain))

    def behave(self) -> None:
        host = self._random.choice(self._world.fleet.hosts)
        changes: tuple[dict[str, Any], ...] = (
            {"boots": False}, {"gets_address": False}, {"answers_ssh": False}, {"heeds_shutdown": False}, {"missing_gpus": 1},
            {"cloud_init": "error"}, {"cloud_init": "hangs"}, {"nvidia_driver": ""}, {"has_wrong_host_key": True},
        )  # fmt: skip
        host.behave(**self._random.choice(changes))
        if self._random.random() < 0.5:
            self._soak.let_time_pass(self._random.uniform(0.0, 60.0))
            self._soak.operator.well_behaved(host)

    def lose(self) -> None:
        host, address = self._a_gpu()
        host.lose(address)
        if self._random.random() < 0.5:
            self._soak.let_time_pass(self._random.uniform(0.0, 400.0))
            host.bring_back(address)

    def hold(self) -> None:
        host, address = self._a_gpu()
        host.hold(address, by="python (pid 7)")
        self._soak.let_time_pass(self._random.uniform(0.0, 300.0))
        host.hold(address, by="")

    def fill_pool(self) -> None:
        self._random.choice(self._world.fleet.hosts).fill_pool("default", left_bytes=self._random.choice((0, 2**40)))

    def sicken(self) -> None:
        host, address = self._a_gpu()
        sicken(host, address, random=self._random)
        if self._random.random() < 0.4:
            self._soak.let_time_pass(self._random.uniform(0.0, 200.0))
            self._soak.operator.mend(host)

    def sweep_rules(self) -> None:
        self._random.choice(self._world.fleet.hosts).sweep_rules()

    def reboot(self) -> None:
        self._random.choice(self._world.fleet.hosts).reboot()

    # how

    def _metadata(self, name: str) -> Metadata:
        return Metadata(name=name, namespace="default")

    def _store(self, resource: Resource) -> None:
        self._soak.as_user(lambda: self._world.store.create(resource))

    def _update(self, resource: Resource) -> None:
        self._world.store.update(resource)

    def _edit_vm(self, **changes: Any) -> None:
        self._on_a(VirtualMachine, lambda vm: self._update(_with_spec(vm, **changes)))

    def _on_a(self, kind: type[Resource], act: Callable[[Any], Any]) -> None:
        """Do it to one of them, chosen by name, on the object as it is at that moment."""
        known = sorted(each.key for each in self._world.store.snapshot().objects if isinstance(each, kind))
        if not known:
            return
        key = self._random.choice(known)

        def on_what_is_there() -> None:
            found = [each for each in self._world.store.snapshot().objects if each.key == key]
            if found:
                act(found[0])

        self._soak.as_user(on_what_is_there)

    def _on_a_domain(self, act: Callable[[Any, str], None]) -> None:
        for host in self._random.sample(self._world.fleet.hosts, len(self._world.fleet.hosts)):
            with host.peek() as state:
                names = sorted(record.config.name for record, _ in state.running())
            if names:
                act(host, self._random.choice(names))
                return

    def _a_gpu(self) -> tuple[Any, str]:
        host = self._random.choice(self._world.fleet.hosts)
        with host.peek() as state:
            gpus = sorted(function.address for function in state.functions.values() if function.pci_class.startswith("03"))
        return host, self._random.choice(gpus)


def _with_spec(resource: Resource, **changes: Any) -> Resource:
    return resource.model_copy(update={"spec": resource.spec.model_copy(update=changes)})
