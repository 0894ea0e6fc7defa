"""What must hold at every moment of a soak, looked at behind the controller's back: in the store's snapshot and on hosts."""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Resource, find_condition
from provisioner.model.sizing import guest_size
from provisioner.model.virtual_machine import VirtualMachine
from tests.lifecycle.world import World

NOT_RUNNING_MAX_S = 120.0
"""A Ready VM is looked at every 15 s; one thread serves everybody here, and a call may take its time."""
TURNS_AT_ONE_MOMENT_MAX = 3000


class Violation(AssertionError):
    """Something that must never be so was so."""


class Safety:
    """Looks after every turn of the controller."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._claims: dict[str, GPUClaim] = {}
        self._quarantined: set[tuple[str, str]] = set()
        self._silent_since: dict[str, float] = {}
        self._moment = (-1.0, 0)
        self._users: dict[tuple[str, str], tuple[str, float]] = {}
        """The uid of whoever ran with a GPU last, and when that was last seen."""

    def prepared(self, host: str, address: str) -> None:
        """An operator has seen to this GPU by hand: whoever had it before is no concern of the next."""
        self._users.pop((host, address), None)

    def check(self, *, is_calm: bool) -> None:
        """Raises Violation. `is_calm`: every host answers and no fault is waiting, so that what takes time can be judged."""
        objects = self._world.store.snapshot().objects
        machines = [each for each in objects if isinstance(each, VirtualMachine)]
        claims = {each.metadata.name: each for each in objects if isinstance(each, GPUClaim)}
        hosts = [each for each in objects if isinstance(each, GPUHost)]
        self._time_moves()
        self._no_gpu_is_handed_out_of_quarantine(claims, hosts)
        self._running_domains_have_their_claims(claims.values())
        for vm in machines:
            self._ready_is_true(vm, claims.values(), is_calm=is_calm)
        self._memory_is_not_promised_twice(machines, hosts)
        self._nobody_shares_an_address(machines)

    def _time_moves(self) -> None:
        now_s, (then_s, turns) = self._world.clock.monotonic_s(), self._moment
        self._moment = (now_s, turns + 1 if now_s == then_s else 0)
        if turns > TURNS_AT_ONE_MOMENT_MAX:
            raise Violation("the controller turns without end and no time passes")

    def _no_gpu_is_handed_out_of_quarantine(self, claims: dict[str, GPUClaim], hosts: Iterable[GPUHost]) -> None:
        for name, claim in claims.items():
            place = (claim.spec.host, claim.spec.address)
            known = self._claims.get(name)
            if (known is None or known.metadata.uid != claim.metadata.uid) and place in self._quarantined:
                raise Violation(f"{place} was in quarantine and was given to {claim.spec.owner.key}")
        self._claims = claims
        self._quarantined = {(host.metadata.name, entry.address) for host in hosts for entry in host.status.quarantined}

    def _running_domains_have_their_claims(self, claims: Iterable[GPUClaim]) -> None:
        owner_of = {(claim.spec.host, claim.spec.address): claim.spec.owner.uid for claim in claims}
        for host in self._world.fleet.hosts:
            users: dict[str, str] = {}
            with host.peek() as state:
                running = [(record.config.name, live) for record, live in state.running()]
                gpus = {function.address for function in state.functions.values() if function.pci_class.startswith("03")}
            for name, live in running:
                for device in live.devices:
                    place = (host.name, device.host_address)
                    if users.setdefault(device.host_address, name) != name:
                        raise Violation(f"{place} is in two domains: {users[device.host_address]} and {name}")
                    if device.host_address in gpus:
                        self._nobody_gets_it_dirty(host, device.host_address, live.owner_uid)
                    if device.host_address not in gpus or place in self._quarantined:
                        continue
                    if owner_of.get(place) != live.owner_uid:
                        raise Violation(f"domain {name} runs with {place}, whose claim is of {owner_of.get(place)}")

    def _nobody_gets_it_dirty(self, host: SimulatedHost, address: str, uid: str) -> None:
        """Between two owners there is a reset."""
        now_s = self._world.clock.now_s()
        before, since_s = self._users.get((host.name, address), (uid, now_s))
        self._users[host.name, address] = (uid, now_s)
        if before == uid:
            return
        with host.peek() as state:
            was_reset = any(run.at_s >= since_s for run in state.functions[address].resets)
        if not was_reset:
            raise Violation(f"GPU {address} of {host.name} went from {before} to {uid} without a reset")

    def _nobody_shares_an_address(self, machines: Iterable[VirtualMachine]) -> None:
        """Neither one to be reached at from outside, nor one on a host's network."""
        external = [vm.status.external_address for vm in machines if vm.status.external_address]
        kept = [(vm.status.host, known) for vm in machines for known in vm.status.kept_addresses if vm.status.host]
        inside = [(host, known.network, known.address) for host, known in kept]
        for addresses in (external, inside):
            if len(set(addresses)) != len(addresses):
                raise Violation(f"two VMs have the same address: {sorted(addresses)}")

    def _ready_is_true(self, vm: VirtualMachine, claims: Iterable[GPUClaim], *, is_calm: bool) -> None:
        uid, name = vm.metadata.uid, str(vm.key)
        if not _holds(vm, "Ready"):
            self._silent_since.pop(uid, None)
            return
        mine = [claim for claim in claims if claim.spec.owner.uid == uid and not claim.is_released]
        owned = {(claim.spec.host, claim.spec.address) for claim in mine}
        told = {(gpu.host, gpu.address) for gpu in vm.status.gpus}
        if owned != told:
            raise Violation(f"{name} is Ready with {sorted(told)} and has claimed {sorted(owned)}")
        now_s = self._world.clock.monotonic_s()
        if self._runs(vm) or not is_calm:
            self._silent_since[uid] = now_s
        elif now_s - self._silent_since.setdefault(uid, now_s) > NOT_RUNNING_MAX_S:
            raise Violation(f"{name} is Ready and its domain has not run for {now_s - self._silent_since[uid]:.0f} s")

    def _runs(self, vm: VirtualMachine) -> bool:
        with self._world.fleet.host(vm.status.host).peek() as state:
            record = state.domains.get(vm.status.domain)
            return record is not None and record.is_running

    def _memory_is_not_promised_twice(self, machines: Iterable[VirtualMachine], hosts: Iterable[GPUHost]) -> None:
        promised: dict[str, int] = {}
        for vm in machines:
            scheduled, running = find_condition(vm.status.conditions, "Scheduled"), vm.status.running_spec
            is_planned = scheduled is not None and scheduled.observed_generation == vm.metadata.generation
            if not _holds(vm, "Scheduled") or not vm.status.host or not (running or is_planned):
                continue
            memory_mib = running.memory_mib if running else guest_size(vm.spec, self._world.tables).memory_mib
            promised[vm.status.host] = promised.get(vm.status.host, 0) + memory_mib
        for host in hosts:
            if host.status.memory_mib and promised.get(host.metadata.name, 0) > host.status.memory_mib:
                raise Violation(f"host {host.metadata.name} has promised {promised[host.metadata.name]} MiB, more than it has")


def _holds(resource: Resource, condition: str) -> bool:
    found = find_condition(resource.status.conditions, condition)
    return found is not None and found.status == "True"
