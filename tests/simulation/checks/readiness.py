"""A VM says that it is Ready when it is, and its guest would say the same; judged by what really runs on its host."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.drivers.simulated import booting
from provisioner.drivers.simulated.state import DomainRecord, HostState
from provisioner.model import domain_names
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.metadata import Key, Resource, find_condition
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from provisioner.store.protocol import ChangeType
from tests.simulation.checks.overdue import Overdue
from tests.simulation.sight import HOSTS, TIME, Sight

MACHINES = frozenset({VirtualMachine.KIND, VMInstance.KIND})
UNNOTICED_MAX_S = 240.0
"""A Ready VM is looked at every 60 s where its host is heard; one thread serves all here, and a call may take its time."""
DEATH_UNNOTICED_MAX_S = 900.0
"""The host's own looks, every 300 s, find a GPU that has died; then its VM's pass says so."""


class Newly:
    """VMs of which a condition has just come to hold."""

    def __init__(self, condition: str) -> None:
        self._condition = condition
        self._uids: set[str] = set()
        """Of those of which it holds."""

    def among(self, sight: Sight) -> Iterator[VirtualMachine]:
        """Those of which it did not hold at the last look; every change is to be shown, once."""
        for change in sight.changes:
            vm = change.resource
            if not isinstance(vm, VirtualMachine):
                continue
            uid = vm.metadata.uid
            if change.type is ChangeType.DELETED or not holds(vm, self._condition):
                self._uids.discard(uid)
            elif uid not in self._uids:
                self._uids.add(uid)
                yield vm


class ReadyIsClaimed:
    """A Ready VM owns the GPUs that it shows, and before long no others."""

    name = "ready-is-claimed"
    watches = MACHINES | {GPUClaim.KIND, TIME}

    def __init__(self) -> None:
        self._surplus: Overdue[str] = Overdue(UNNOTICED_MAX_S)
        """The uids of VMs with claims that they do not show: made by a controller that was overtaken, or died."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for vm in _affected(sight):
            if not holds(vm, "Ready"):
                self._surplus.close(vm.metadata.uid)
                continue
            claims = [claim for claim in sight.claims_of(vm.metadata.uid) if not claim.is_released]
            owned = {(claim.spec.host, claim.spec.address) for claim in claims}
            told = {(gpu.host, gpu.address) for gpu in vm.status.gpus}
            if told - owned:
                yield f"{vm.key} is Ready with {_places(told)} and has claimed {_places(owned)}"
            self._surplus.judge(vm.metadata.uid, sight, is_wrong=bool(owned - told))
        for change in sight.changes:
            if change.type is ChangeType.DELETED:
                self._surplus.close(change.resource.metadata.uid)
        for uid, for_s in self._surplus.late(sight):
            yield f"{sight.named(uid)} is Ready and has claimed GPUs that it does not show, for {for_s:.0f} s"


class ProofIsTrue:
    """When it is written that a guest has proven its GPUs, its report as it is now says the same."""

    name = "proof-is-true"
    watches = MACHINES

    def __init__(self) -> None:
        self._proven = Newly("GPUsProven")

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for vm in self._proven.among(sight):
            yield from self._unlike(vm, sight)

    def _unlike(self, vm: VirtualMachine, sight: Sight) -> Iterator[str]:
        """Whatever happened since the pass began may have come after the report."""
        if vm.metadata.uid in sight.universe.removed_by_force or sight.struck_s >= sight.pass_began_s:
            return
        state = sight.state(vm.status.host)
        record = state.domains.get(vm.status.domain)
        began_s = sight.pass_began_s + sight.time_s - sight.now_s
        if record is None or record.live is None or record.boot is None:
            yield f"{vm.key} is proven, and its domain does not run on {vm.status.host}"
        elif record.boot.started_s < began_s:
            for wrong in _disagreements(vm, state, record, time_s=sight.time_s):
                yield f"{vm.key} is proven on {vm.status.host}, and {wrong}"


class ReadyRuns:
    """The domain of a Ready VM runs; that it has stopped is seen within two minutes."""

    name = "ready-runs"
    watches = MACHINES | {HOSTS, TIME}

    def __init__(self) -> None:
        self._ready: dict[str, tuple[str, str, Key]] = {}
        """By uid: host, domain, and what the VM is called."""
        self._on: dict[str, set[str]] = {}
        """The uids of those on a host."""
        self._silent: Overdue[str] = Overdue(UNNOTICED_MAX_S)

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            vm = change.resource
            if isinstance(vm, VirtualMachine):
                is_ready = change.type is not ChangeType.DELETED and holds(vm, "Ready")
                if is_ready and not sight.knows(vm.status.host):
                    yield f"{vm.key} is Ready, and on host {vm.status.host or '(none)'}, which is not there"
                self._note(vm, is_ready=is_ready and sight.knows(vm.status.host))
        hosts = self._on if TIME in sight.news else sight.touched
        for host in hosts:
            running = {guest.domain for guest in sight.guests(host)} if self._on.get(host) else set()
            for uid in self._on.get(host, ()):
                self._silent.judge(uid, sight, is_wrong=self._ready[uid][1] not in running, host=host)
        for uid, for_s in self._silent.late(sight):
            host, domain, key = self._ready[uid]
            yield f"{key} is Ready, and its domain {domain} has not run on {host} for {for_s:.0f} s"

    def _note(self, vm: VirtualMachine, *, is_ready: bool) -> None:
        uid = vm.metadata.uid
        known = self._ready.pop(uid, None)
        if known is not None:
            self._on[known[0]].discard(uid)
        if is_ready:
            self._ready[uid] = (vm.status.host, vm.status.domain, vm.key)
            self._on.setdefault(vm.status.host, set()).add(uid)
        else:
            self._silent.close(uid)


class ReadyIsHandedOver:
    """Once a VM is Ready, the controller's key has no access any more, and its seed is gone."""

    name = "ready-is-handed-over"
    watches = MACHINES

    def __init__(self) -> None:
        self._ready = Newly("Ready")

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for vm in self._ready.among(sight):
            yield from self._left(vm, sight)

    @staticmethod
    def _left(vm: VirtualMachine, sight: Sight) -> Iterator[str]:
        state = sight.state(vm.status.host)
        seed = domain_names.seed_volume(vm.status.domain)
        for pool in state.pools.values():
            if seed in pool.volumes:
                yield f"{vm.key} is Ready, and its seed {seed} is still in pool {pool.name} of {vm.status.host}"
        record = state.domains.get(vm.status.domain)
        disk = booting.system_disk(state, record.live) if record is not None and record.live is not None else None
        if disk is not None and disk.guest is not None and disk.guest.controller_keys:
            yield f"{vm.key} is Ready, and the controller's key still opens it"


class DeadGpusAreTold:
    """A VM whose GPU has died says so before long, and the GPU is out of service."""

    name = "dead-gpus-are-told"
    watches = MACHINES | {HOSTS, TIME}

    def __init__(self) -> None:
        self._dead: Overdue[tuple[str, str, str]] = Overdue(DEATH_UNNOTICED_MAX_S)
        """By the VM's uid, host and address."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check. Devices die by the world's hand, so all hosts are touched then; only news of that kind is looked at."""
        if len(sight.touched) > 1:
            for host in sight.touched:
                self._note(host, sight)
        for uid, host, address in self._dead.cases():
            vm, function = sight.of_uid(uid), sight.state(host).functions[address]
            is_well = function.is_present and function.config_alive
            if is_well or not isinstance(vm, VirtualMachine) or not holds(vm, "Ready") or _is_told(vm):
                self._dead.close((uid, host, address))
        for (uid, host, address), for_s in self._dead.late(sight):
            vm = sight.of_uid(uid)
            yield f"{vm.key if vm else uid} is Ready and says nothing of its GPU {address} of {host}, dead for {for_s:.0f} s"

    def _note(self, host: str, sight: Sight) -> None:
        functions = sight.state(host).functions
        for guest in sight.guests(host):
            for address in guest.gpus:
                if not (functions[address].is_present and functions[address].config_alive):
                    self._dead.open((guest.owner_uid, host, address), sight, host=host)


def holds(resource: Resource, condition: str) -> bool:
    """Whether that condition is True."""
    found = find_condition(resource.status.conditions, condition)
    return found is not None and found.status == "True"


def _is_told(vm: VirtualMachine) -> bool:
    found = find_condition(vm.status.conditions, "GPUHealthy")
    return found is not None and found.status == "False"


def _affected(sight: Sight) -> Iterator[VirtualMachine]:
    """VMs that changed, and those whose claims did, as they are now; each once."""
    uids: dict[str, None] = {}
    for change in sight.changes:
        resource = change.resource
        if isinstance(resource, VirtualMachine):
            uids[resource.metadata.uid] = None
        elif isinstance(resource, GPUClaim):
            uids[resource.spec.owner.uid] = None
    for uid in uids:
        vm = sight.of_uid(uid)
        if isinstance(vm, VirtualMachine):
            yield vm


def _disagreements(vm: VirtualMachine, state: HostState, record: DomainRecord, *, time_s: float) -> Iterator[str]:
    """What the guest of this running domain would say otherwise than the VM's status."""
    live, boot, behaviour = record.live, record.boot, state.behaviour_of(record.config.name)
    assert live is not None and boot is not None
    if live.owner_uid != vm.metadata.uid:
        yield f"domain {live.name} is of {live.owner_uid}"
    if boot.id != vm.status.boot_id:
        yield f"its boot is {boot.id}, not {vm.status.boot_id}"
    if boot.cloud_init_s is None or boot.cloud_init_s > time_s or behaviour.cloud_init in ("error", "hangs"):
        yield f"cloud-init is not done ({behaviour.cloud_init})"
    passed = {device.host_address for device in live.devices if state.functions[device.host_address].is_present}
    wanted = {gpu.address for gpu in vm.status.gpus}
    if missing := wanted - passed:
        yield f"{sorted(missing)} is not passed to its domain"
    if wanted and behaviour.missing_gpus:
        yield f"{behaviour.missing_gpus} of its GPUs do not show up in the guest"
    planned = vm.status.running_spec.gpus if vm.status.running_spec is not None else ()
    if sorted(gpu.name for gpu in vm.status.gpus) != sorted(planned):
        yield f"it has {[gpu.name for gpu in vm.status.gpus]} and was started with {list(planned)}"
    is_ours = vm.spec.system_disk is not None  # a driver on a disk of the tenant's own is the tenant's to bring
    is_nvidias = any(state.functions[one].vendor == "10de" for one in wanted)
    if is_ours and is_nvidias and not behaviour.nvidia_driver:
        yield "no driver is loaded for its GPUs"


def _places(places: set[tuple[str, str]]) -> str:
    return ", ".join(f"{host}/{address}" for host, address in sorted(places)) or "no GPU"
