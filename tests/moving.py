"""Moves between stores, as tests need them: a side in memory, a store that dies, a fleet worth moving."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from provisioner.lifecycle.quarantine import quarantine
from provisioner.model.errors import StoreUnavailable
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Key, Resource
from provisioner.model.virtual_machine import RunStrategy, VirtualMachine
from provisioner.store.moving.comparing import facts_of
from provisioner.store.moving.moving import ORDER, Side
from provisioner.store.moving.signposts import Signpost
from provisioner.store.protocol import Change, Event, Listing, Store
from tests.lifecycle.world import World, vm_yaml

R = TypeVar("R", bound=Resource)

DISK = """
apiVersion: apps.cozystack.io/v1alpha1
kind: VMDisk
metadata: {name: data, labels: {team: red}}
spec: {storage: 10Gi}
"""
CHANGING = (
    "domains.define", "domains.start", "domains.stop", "domains.destroy", "domains.undefine",
    "devices.bind", "devices.reset", "devices.restore", "volumes.create*", "volumes.upload", "volumes.delete",
)  # fmt: skip
"""Calls that change a host."""


class MemorySide:
    """As moving.Side says, over any store."""

    def __init__(self, store: Store, *, name: str) -> None:
        self.store = store
        self.name = self.id = name
        self._signpost: Signpost | None = None
        self.prepared: list[str] = []

    def signpost(self) -> Signpost | None:
        """As Side says."""
        return self._signpost

    def set_signpost(self, signpost: Signpost | None) -> None:
        """As Side says."""
        self._signpost = signpost

    def prepare(self, namespaces: Sequence[str]) -> None:
        """As Side says."""
        self.prepared += namespaces


@dataclass
class Fuse:
    """Burns down with every write; then everything fails, as for a process that died."""

    left: int
    after_effect: bool = False
    """Whether the last write takes effect before its writer dies."""
    written: int = field(default=0)

    def burn(self, write: Callable[[], R | None]) -> R | None:
        """Make one write, or die."""
        if self.written >= self.left:
            if self.after_effect and self.written == self.left:
                self.written += 1
                write()
            raise StoreUnavailable("the process died")
        self.written += 1
        return write()


class DyingSide:
    """A side of a process that dies at its n-th write, whether it is one of objects or of signposts."""

    def __init__(self, side: Side, fuse: Fuse) -> None:
        self._side = side
        self._fuse = fuse
        self.name, self.id = side.name, side.id
        self.store: Store = _DyingStore(side.store, fuse)

    def signpost(self) -> Signpost | None:
        """As Side says."""
        return self._side.signpost()

    def set_signpost(self, signpost: Signpost | None) -> None:
        """As Side says."""
        self._fuse.burn(lambda: self._side.set_signpost(signpost))

    def prepare(self, namespaces: Sequence[str]) -> None:
        """As Side says."""
        self._side.prepare(namespaces)


class _DyingStore:
    def __init__(self, store: Store, fuse: Fuse) -> None:
        self._store = store
        self._fuse = fuse

    def get(self, kind: type[R], name: str, *, namespace: str = "") -> R:
        return self._store.get(kind, name, namespace=namespace)

    def list(self, kind: type[R], *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing[R]:
        return self._store.list(kind, namespace=namespace, labels=labels)

    def create(self, resource: R, *, keeps_identity: bool = False) -> Any:
        return self._fuse.burn(lambda: self._store.create(resource, keeps_identity=keeps_identity))

    def update(self, resource: R) -> Any:
        return self._fuse.burn(lambda: self._store.update(resource))

    def update_status(self, resource: R) -> Any:
        return self._fuse.burn(lambda: self._store.update_status(resource))

    def delete(self, key: Key, *, uid: str = "", version: str = "") -> None:
        self._fuse.burn(lambda: self._store.delete(key, uid=uid, version=version))

    def watch(self, since: str, *, timeout_s: float) -> tuple[Change, ...]:
        return self._store.watch(since, timeout_s=timeout_s)

    def record(self, event: Event) -> None:
        self._store.record(event)

    def events(self, about: Key | None = None, *, namespace: str | None = None) -> tuple[Event, ...]:
        return self._store.events(about, namespace=namespace)


def contents(store: Store) -> dict[str, dict[str, Any]]:
    """Everything that must be the same in two stores."""
    from provisioner.model.kinds import KINDS

    return {str(each.key): facts_of(each) for kind in ORDER for each in store.list(KINDS[kind]).items}


def populate(world: World) -> World:
    """VMs that run, are stopped, wait, and are half deleted; a disk; a GPU in quarantine."""
    world.host("a", gpus=4).host("b", gpus=1).settle()
    quarantine(world.ports, host="b", address=_gpus(world, "b")[0], reason="it smells", cause="Operator")
    world.apply(vm_yaml("runs", extra="  cloudInit: '#cloud-config'")).apply(vm_yaml("stopped")).apply(DISK)
    world.apply(vm_yaml("leaves")).settle()
    world.edit("stopped", run_strategy=RunStrategy.HALTED).settle()
    world.apply(vm_yaml("waits", gpus=4)).settle()
    world.delete("leaves")
    world.run(lambda: bool(world.vm("leaves").status.stopping_since))
    assert world.vm("leaves").is_being_deleted and world.is_ready("runs")
    return world


def changes_on_hosts(world: World) -> int:
    """How many calls have changed a host."""
    return sum(world.fleet.calls.count(pattern) for pattern in CHANGING)


def _gpus(world: World, host: str) -> list[str]:
    return [gpu.address for gpu in world.store.get(GPUHost, host).status.gpus]


def generations(store: Store) -> dict[str, int]:
    """Of every VM."""
    return {each.metadata.name: each.metadata.generation for each in store.list(VirtualMachine).items}
