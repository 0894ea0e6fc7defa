"""A mirror knows what a list would say, whatever was written, trimmed or lost on the way; over every store."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from provisioner.clocks import ManualClock, SeededIdentifiers
from provisioner.model.errors import StoreUnavailable
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.metadata import Key, Resource
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.memory import MemoryStore
from provisioner.store.mirror import Mirror
from provisioner.store.protocol import Change, Listing, Store
from tests.contract.stores import GPU, StoreBench, claim, resized, secret, store_bench, store_of_bench, vm

__all__ = ["store_bench", "store_of_bench"]


class Known:
    """Follows a mirror's news, and holds them against the store's lists."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mirror = Mirror(VirtualMachine, GPUClaim)
        self._objects: dict[Key, Resource] = {}

    def check(self) -> int:
        """How many news there were."""
        news = self._mirror.catch_up(self._store)
        for before, after in news:
            known = after or before
            assert known is not None
            assert self._objects.get(known.key) == before
            self._objects[known.key] = known
            if after is None:
                del self._objects[known.key]
        listed = [each for kind in (VirtualMachine, GPUClaim) for each in self._store.list(kind).items]
        assert self._objects == {each.key: each for each in listed}
        return len(news)


def test_it_follows_what_is_written(store: Store):
    known = Known(store)
    assert known.check() == 0
    machine = store.create(vm("a"))
    store.create(claim(GPU))
    store.create(secret("not-watched", key="x"))
    assert known.check() == 2
    store.update(resized(machine, "u1.large"))
    store.delete(Key(GPUClaim.KIND, "", GPU))
    assert known.check() == 2
    assert known.check() == 0


def test_it_lists_anew_when_the_history_was_trimmed(bench: StoreBench):
    store = bench.fresh(history_kept=3)
    known = Known(store)
    known.check()
    for number in range(8):
        store.create(vm(f"vm-{number}"))
    assert known.check() == 8
    store.delete(vm("vm-3").key)
    assert known.check() == 1


def test_it_goes_over_to_another_store(bench: StoreBench):
    bench.needs("two stores at once")
    first, second = bench.store, bench.fresh()
    mirror = Mirror(VirtualMachine)
    first.create(vm("old"))
    second.create(vm("new"))
    assert [after.metadata.name for _, after in mirror.catch_up(first) if after] == ["old"]
    news = mirror.catch_up(second)
    assert sorted((bool(before), bool(after)) for before, after in news) == [(False, True), (True, False)]


def test_after_an_error_nothing_is_lost():
    store = MemoryStore(clock=ManualClock(), identifiers=SeededIdentifiers(1))
    known = Known(store)
    known.check()
    store.create(vm("a"))
    store.fail_next("watch", StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        known.check()
    assert known.check() == 1


class Forgetful:
    """A store whose watch now and then leaves out a change, tells one twice, or is cut short."""

    def __init__(self, store: Store, random: Random) -> None:
        self._store = store
        self._random = random

    def watch(self, since: str, *, timeout_s: float) -> tuple[Change, ...]:
        changes = list(self._store.watch(since, timeout_s=timeout_s))
        if len(changes) > 1 and self._random.random() < 0.5:
            changes.pop(self._random.randrange(len(changes) - 1))
        if changes and self._random.random() < 0.2:
            changes.insert(0, changes[0])
        return tuple(changes)

    def list(self, kind: type[Any], *, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Listing[Any]:
        return self._store.list(kind, namespace=namespace, labels=labels)


@pytest.mark.parametrize("seed", range(20))
def test_a_lost_change_is_noticed_with_the_next_one(store: Store, seed: int):
    random = Random(seed)
    known = Known(Forgetful(store, random))  # type: ignore[arg-type]  # the rest is not called
    for number in range(30):
        for part in range(random.randint(0, 4)):
            store.create(vm(f"vm-{number}-{part}"))
        machines = store.list(VirtualMachine).items
        if machines and random.random() < 0.5:
            store.delete(random.choice(machines).key)
        known.check()
