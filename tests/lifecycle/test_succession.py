"""Leader after leader is frozen in the middle of a pass and goes on when another one leads: no two act, the work gets done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from provisioner.lifecycle.assembly import behind, controller_of
from provisioner.model.errors import ControllerBusy
from provisioner.model.gpu_claim import GPUClaim
from provisioner.store.kubernetes.leader_lease import DURATION_S
from tests.lifecycle.world import World, vm_yaml
from tests.unit.lease_server import LeaseServer, lease

TICK_S = 2.5
TICKS_FROZEN = int(DURATION_S / TICK_S) + 2
"""Long enough for another one to lead, and to do something."""
TICKS_MAX = 5_000


class Replicas:
    """Three controllers of one store, in one thread; one at a time may be frozen."""

    def __init__(self, world: World, *, freezes_after: int) -> None:
        self.world = world
        self.server = LeaseServer()
        self.all = [_Replica(name, self, freezes_after=freezes_after) for name in ("first", "second", "third")]
        self.frozen: _Replica | None = None
        self.overlaps: list[str] = []
        self.refused = 0
        """Calls that one who was frozen was about to make, and did not."""

    def live(self, until: Callable[[], bool]) -> None:
        """Let time run until something holds."""
        for _ in range(TICKS_MAX):
            if until():
                return
            self.tick(self.all)
        raise AssertionError(self.world.summary())

    def tick(self, awake: Sequence[_Replica]) -> None:
        """A moment of these."""
        for each in awake:
            each.live()
        self.world.clock.advance(TICK_S)


class _Replica:
    def __init__(self, name: str, replicas: Replicas, *, freezes_after: int) -> None:
        self._name = name
        self._replicas = replicas
        self._freezes_after = freezes_after
        self._changes = 0
        self.lease = lease(replicas.server, name, clock=replicas.world.clock)
        self._controller = controller_of(behind(replicas.world.ports, self._fence), workers=0)

    def live(self) -> None:
        """Its lease, then its work; it works whatever it knows of its lease, which is the worst that it can do."""
        if not self.lease.renew():
            self.lease.try_acquire()
        self._controller.turn()

    def _fence(self) -> None:
        self._changes += self.lease.is_certain
        was_frozen = self._changes >= self._freezes_after and self._freeze()
        try:
            self.lease.check()
        except ControllerBusy:
            self._replicas.refused += was_frozen
            raise
        rivals = [each for each in self._replicas.all if each is not self and each.lease.is_certain]
        self._replicas.overlaps += [f"{self._name} acts beside {rival._name}" for rival in rivals]

    def _freeze(self) -> bool:
        """What a stopped process sees: nothing, and then it is later."""
        replicas = self._replicas
        if replicas.frozen is not None:
            return False
        replicas.frozen, self._changes = self, 0
        for _ in range(TICKS_FROZEN):
            replicas.tick([each for each in replicas.all if each is not self])
        replicas.frozen = None
        return True


@pytest.mark.parametrize("freezes_after", [2, 3, 5])
def test_ten_leaders_that_are_frozen_in_the_middle_make_and_remove_some_vms(world, freezes_after):
    names = ("first", "second", "third", "fourth")
    world.host("a", gpus=len(names), cpus=64, memory_mib=512 * 1024)
    for name in names:
        world.apply(vm_yaml(name))
    replicas = Replicas(world, freezes_after=freezes_after)
    replicas.live(lambda: all(world.is_ready(name) for name in names))
    assert len(world.store.list(GPUClaim).items) == len(names)
    for name in names:
        world.delete(name)
    replicas.live(lambda: not world.machines() and not world.store.list(GPUClaim).items)
    assert world.leaks() == []
    assert replicas.overlaps == []
    assert replicas.refused >= 10
    assert replicas.server.spec["leaseTransitions"] >= 10


def test_a_leader_that_nothing_happens_to_does_it_alone(world):
    world.host("a").apply(vm_yaml("first"))
    replicas = Replicas(world, freezes_after=10**6)
    replicas.live(lambda: world.is_ready("first"))
    assert replicas.overlaps == []
    assert replicas.server.spec["leaseTransitions"] == 0
