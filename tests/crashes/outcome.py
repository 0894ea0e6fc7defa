"""What is there of one VM: a description in which a real host and its twin can be equal.

Computed from the store, and from the host through the driver protocol alone, so both sides are looked at by the same eyes.
Names, addresses and times are left out, and whatever depends on how long things took: which waits a way had, and how many.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.lifecycle.gpu_claim.table import GPU_CLAIM
from provisioner.lifecycle.steps import Lifecycle
from provisioner.lifecycle.virtual_machine import access
from provisioner.lifecycle.virtual_machine.table import VIRTUAL_MACHINE
from provisioner.model import domain_names
from provisioner.model.errors import NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_history import GPUHistory
from provisioner.model.metadata import Condition, Key, StepRecord
from provisioner.model.secret import Secret
from provisioner.model.virtual_machine import Phase, VirtualMachine
from provisioner.store.protocol import Store

VFIO = "vfio-pci"
_DURATION = re.compile(r"[0-9.]+ s\b")
ON_ITS_WAY = frozenset({Phase.PENDING, Phase.PROVISIONING, Phase.BOOTING})
"""Which of them is shown is a matter of what was waited for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Every field is a set of facts in words, sorted; an empty field: nothing of it is there."""

    machine: tuple[str, ...] = ()
    """What the VM's status has recorded; empty: the VM is gone."""
    conditions: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    """Those that are recorded, and whether they are finished."""
    secret: tuple[str, ...] = ()
    """The keys in the VM's Secret."""
    claims: tuple[str, ...] = ()
    domain: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    """By their role."""
    drivers: tuple[str, ...] = ()
    """Of every function of its cards."""
    network: tuple[str, ...] = ()
    """What the host's networks keep for it."""
    history: tuple[str, ...] = ()
    """What is told of the cards' last tenants."""

    def but(self, *names: str) -> Outcome:
        """Without these fields."""
        return Outcome(**{each.name: getattr(self, each.name) for each in fields(self) if each.name not in names})


class Eyes:
    """Looks at one VM. The functions of the cards that it may get are looked at first before it exists."""

    def __init__(
        self,
        store: Store,
        hypervisor: Callable[[], Hypervisor],
        *,
        name: str,
        pool: str = "default",
        network: str = "default",
        cards: Sequence[Sequence[str]] = (),
    ) -> None:
        self._store = store
        self._hypervisor = hypervisor
        self._key = Key(VirtualMachine.KIND, "default", name)
        self._domain = domain_names.domain_name(self._key)
        self._pool = pool
        self._network = network
        self._cards = [tuple(card) for card in cards]
        self._home = self._drivers_now()
        self._macs: set[str] = set()
        self._is_staged = False
        """Whether the VM's own base image was asked for: what an earlier VM left of the shared ones is not counted before."""

    def look(self) -> Outcome:
        """What is there now. Nobody may act on it meanwhile."""
        vm = self._vm()
        if vm is not None:
            self._macs.add(domain_names.mac_address(vm.metadata.uid))
            begun = any(record.name == "image" for record in vm.status.steps)
            self._is_staged = self._is_staged or begun or bool(vm.status.first_ready)
        return Outcome(
            machine=_sorted(_recorded(vm)) if vm is not None else (),
            conditions=_sorted(_said(vm)) if vm is not None else (),
            steps=_steps(VIRTUAL_MACHINE, vm.status.steps) if vm is not None else (),
            secret=_sorted(self._secrets()),
            claims=_sorted(f"card {self._card(claim)}: {_claimed(claim)}" for claim in self._store.list(GPUClaim).items),
            domain=_sorted(self._domains(vm)),
            volumes=_sorted(self._volumes()),
            drivers=_sorted(self._drivers()),
            network=_sorted(self._kept(vm)),
            history=_sorted(self._histories()),
        )

    def _vm(self) -> VirtualMachine | None:
        try:
            return self._store.get(VirtualMachine, self._key.name, namespace=self._key.namespace)
        except NotFound:
            return None

    def _card(self, claim: GPUClaim) -> str:
        numbers = [number for number, card in enumerate(self._cards) if claim.spec.address in card]
        return str(numbers[0]) if numbers else f"at {claim.spec.address}, which is none of these"

    def _secrets(self) -> Iterator[str]:
        for secret in self._store.list(Secret).items:
            ours = "" if secret.metadata.name == access.secret_name(self._key.name) else f"{secret.metadata.name}: "
            yield from (f"{ours}{name}" for name in secret.spec.data)

    def _domains(self, vm: VirtualMachine | None) -> Iterator[str]:
        known = self._hypervisor().domains.look(self._domain)
        if known is None:
            return
        owner = "the VM's" if vm is not None and known.owner_uid == vm.metadata.uid else "a stranger's"
        record = "with a record" if self._hypervisor().records.read(self._domain) else "without a record"
        yield f"{known.state}, {owner}, {record}, {len(known.functions)} functions"

    def _volumes(self) -> Iterator[str]:
        roles = {
            domain_names.system_volume(self._domain): "system",
            domain_names.seed_volume(self._domain): "seed",
            domain_names.console_log_volume(self._domain): "console",
        }
        for volume in self._hypervisor().volumes.list(self._pool, prefix=domain_names.PREFIX):
            if not volume.name.startswith(domain_names.BASE_PREFIX):
                yield roles.get(volume.name, f"strange: {volume.name}")
            elif self._is_staged:
                yield "base"

    def _drivers_now(self) -> dict[str, str]:
        addresses = [address for card in self._cards for address in card]
        functions = self._hypervisor().devices.functions(addresses) if addresses else ()
        return {function.address: function.driver for function in functions}

    def _drivers(self) -> Iterator[str]:
        now = self._drivers_now()
        for number, card in enumerate(self._cards):
            for position, address in enumerate(card):
                is_home = now[address] == self._home[address]
                where = "its own" if is_home else "vfio" if now[address] == VFIO else f"strange: {now[address] or 'none'}"
                yield f"card {number} function {position}: {where}"

    def _kept(self, vm: VirtualMachine | None) -> Iterator[str]:
        facts = self._hypervisor().networks.look(self._network)
        mine = [known.address for known in facts.reservations if known.mac_address in self._macs] if facts is not None else []
        recorded = {known.address for known in vm.status.kept_addresses} if vm is not None else set()
        for address in mine:
            yield "an address is reserved, as recorded" if address in recorded else "an address is reserved without a record"
        yield from ("an address is recorded and not reserved" for address in recorded if address not in mine)

    def _histories(self) -> Iterator[str]:
        for history in self._store.list(GPUHistory).items:
            for number, entry in enumerate(history.status.entries):
                cleaning = entry.cleaning
                yield f"tenant {number}: {'had it' if entry.given else 'never had it'}, {entry.outcome}"
                for step in ("reset", "scrub", "verification"):
                    yield f"tenant {number}: {step} {self._plain(getattr(cleaning, step))}"

    def _plain(self, text: str) -> str:
        """A sentence without addresses and durations."""
        for number, card in enumerate(self._cards):
            for position, address in enumerate(card):
                text = text.replace(address, f"card {number} function {position}")
        return _DURATION.sub("some time", text)


def _sorted(facts: Iterator[str]) -> tuple[str, ...]:
    return tuple(sorted(facts))


def _recorded(vm: VirtualMachine) -> Iterator[str]:
    status = vm.status
    yield "on its way" if status.phase in ON_ITS_WAY else str(status.phase)
    yield f"{status.consecutive_failures} failures"
    yield f"{len(status.gpus)} GPUs"
    names = ("host", "domain", "running_spec", "system_volume", "address", "boot_id", "first_ready", "stopping_since")
    more = ("unwinding", "retry_after", "completed", "network_filter", "publication", "external_address")
    yield from (name for name in (*names, *more) if getattr(status, name))
    if vm.is_being_deleted:
        yield "being deleted"
    yield from (f"finalizer {name}" for name in vm.metadata.finalizers)
    if status.gpus and all(gpu.guest_address for gpu in status.gpus):
        yield "every GPU was seen by the guest"


def _said(vm: VirtualMachine) -> Iterator[str]:
    """Ready is False on the way up for whatever was waited for last, or not written if there was nothing to wait for."""
    is_on_its_way = vm.status.phase in ON_ITS_WAY and not vm.is_being_deleted
    for known in vm.status.conditions:
        if not (is_on_its_way and _is(known, "Ready", "False")):
            yield f"{known.type} {known.status} {known.reason}"


def _is(known: Condition, condition_type: str, status: str) -> bool:
    return (known.type, known.status) == (condition_type, status)


def _steps(table: Lifecycle, records: Sequence[StepRecord]) -> tuple[str, ...]:  # type: ignore[type-arg]
    """In the order of the table."""
    known = {record.name: "finished" if record.finished else "begun" for record in records}
    return tuple(f"{step.name} {known[step.name]}" for step in table.steps if step.name in known)


def _claimed(claim: GPUClaim) -> str:
    status = claim.status
    facts = {
        f"{len(status.functions)} functions recorded": True,
        "bound": status.bound,
        "given": bool(status.given_at),
        "released": claim.is_released,
    }
    steps = ", ".join(_steps(GPU_CLAIM, status.steps))
    return ", ".join(fact for fact, holds in facts.items() if holds) + (f"; {steps}" if steps else "")
