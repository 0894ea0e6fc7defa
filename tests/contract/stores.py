"""What the store contract runs against: one StoreBench per implementation, and the objects that its stories are about."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from provisioner.clocks import ManualClock, SeededIdentifiers, SystemClock
from provisioner.model.gpu_claim import ClaimOwner, GPUClaim, GPUClaimSpec
from provisioner.model.metadata import Metadata, Resource
from provisioner.model.secret import Secret, SecretSpec
from provisioner.model.virtual_machine import VirtualMachine, VirtualMachineSpec
from provisioner.store.memory import MemoryStore
from provisioner.store.protocol import Change, Store
from provisioner.store.sqlite import SqliteStore

EVENTUALLY_S = 30.0
GPU = "a.0000-01-00.0"
"""A claim's name is its device."""
DEVICE = re.compile(r"([a-z0-9-]+)\.([0-9a-f]{4}-[0-9a-f]{2}-[0-9a-f]{2}\.[0-7])")


@dataclass
class StoreBench:
    """One store, and the clock that it reads."""

    make: Callable[..., Store]
    """Takes `clock`, `identifiers`, `history_kept`; an empty store each time."""
    clock: ManualClock = field(default_factory=ManualClock)
    lacks: Mapping[str, str] = field(default_factory=dict)
    """What this store cannot do by its nature, and why."""

    def __post_init__(self) -> None:
        self.store = self.fresh()

    def needs(self, ability: str) -> None:
        """Skip the test, by name, if this store does not have it."""
        if ability in self.lacks:
            pytest.skip(f"{ability}: {self.lacks[ability]}")

    def fresh(self, **settings: Any) -> Store:
        """Another, empty store."""
        return self.make(**{"clock": self.clock, "identifiers": SeededIdentifiers(1), **settings})


@pytest.fixture(name="bench", params=["memory", "sqlite"])
def store_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreBench]:
    """One store of each kind."""
    if request.param == "memory":
        yield StoreBench(MemoryStore)
        return
    numbers = itertools.count(1)
    with ExitStack() as opened:
        yield StoreBench(lambda **settings: opened.enter_context(SqliteStore(tmp_path / f"{next(numbers)}.db", **settings)))


@pytest.fixture(name="store")
def store_of_bench(bench: StoreBench) -> Store:
    """The bench's store."""
    return bench.store


def vm(
    name: str = "trainer", *, namespace: str = "default", spec: VirtualMachineSpec | None = None, **metadata: Any
) -> VirtualMachine:
    """A VM as the door hands it on."""
    return VirtualMachine(metadata=Metadata(name=name, namespace=namespace, **metadata), spec=spec or VirtualMachineSpec())


def claim(name: str, *, owner: Resource | None = None, by: str = "someone", **metadata: Any) -> GPUClaim:
    """A claim on the GPU of that name: a host's, if it has the form of a device."""
    owners = (owner.owner_reference(),) if owner else ()
    who = ClaimOwner(kind="VirtualMachine", namespace="default", name=by, uid="0")
    device = DEVICE.fullmatch(name)
    host, address = (device[1], device[2].replace("-", ":")) if device else ("a", "0000:01:00.0")
    spec = GPUClaimSpec(host=host, address=address, gpu_name="nvidia.com/AD102GL_L40S", owner=who)
    return GPUClaim(metadata=Metadata(name=name, owner_references=owners, **metadata), spec=spec)


def secret(name: str, *, owner: Resource | None = None, **data: str) -> Secret:
    """A secret with these values."""
    owners = (owner.owner_reference(),) if owner else ()
    return Secret(metadata=Metadata(name=name, namespace="default", owner_references=owners), spec=SecretSpec(data=data))


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes to hold: what an owner leaves behind may be removed some time later, by somebody else."""
    clock = SystemClock()
    until_s = clock.monotonic_s() + EVENTUALLY_S
    while not holds():
        if clock.monotonic_s() > until_s:
            return False
        clock.sleep(0.02)
    return True


def resized(machine: VirtualMachine, instance_type: str) -> VirtualMachine:
    """The VM with a change of its spec."""
    return machine.model_copy(update={"spec": machine.spec.model_copy(update={"instance_type": instance_type})})


def current(store: Store, resource: Resource) -> Any:
    """The object as the store has it now."""
    return store.get(type(resource), resource.metadata.name, namespace=resource.metadata.namespace)


def names(store: Store, kind: type[Resource], **selection: Any) -> list[str]:
    """The names in a list, in its order."""
    return [item.metadata.name for item in store.list(kind, **selection).items]


def changes(store: Store, since: str = "0") -> list[tuple[str, str]]:
    """The history after a version, as (type, name)."""
    return [(str(change.type), change.resource.metadata.name) for change in history(store, since)]


def history(store: Store, since: str = "0") -> list[Change]:
    """The whole history after a version."""
    found: list[Change] = []
    while more := store.watch(found[-1].version if found else since, timeout_s=0):
        found += more
    return found
