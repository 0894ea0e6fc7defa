"""What the store in memory offers beyond the protocol: faults on order, snapshots, and the same story for the same seed."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.clocks import ManualClock, SeededIdentifiers
from provisioner.model.errors import AlreadyExists, Conflict, NotFound, StoreUnavailable
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.metadata import Resource
from provisioner.model.secret import Secret
from provisioner.store.memory import MemoryStore, Snapshot
from provisioner.store.protocol import Event
from tests.contract.stores import changes, claim, names, secret, vm

AWAY = StoreUnavailable("the store is away")


def made(**settings: Any) -> MemoryStore:
    return MemoryStore(**{"clock": ManualClock(), "identifiers": SeededIdentifiers(), **settings})


def told(store: MemoryStore) -> Resource:
    """A short story: a VM with a secret, and an event about it."""
    machine = store.create(vm("trainer"))
    store.create(secret("access", owner=machine, key="private"))
    store.record(Event(machine.key, "Normal", "Created", "by hand"))
    return machine


class TestFaults:
    def test_the_next_call_fails_without_effect_and_the_one_after_works(self):
        store = made()
        store.fail_next("create", AWAY)
        with pytest.raises(StoreUnavailable):
            store.create(claim("a.gpu"))
        assert names(store, GPUClaim) == []
        store.create(claim("a.gpu"))

    def test_the_answer_is_lost_but_the_effect_is_there(self):
        store = made()
        store.fail_next("create", AWAY, after_effect=True)
        with pytest.raises(StoreUnavailable):
            store.create(claim("a.gpu"))
        with pytest.raises(AlreadyExists):
            store.create(claim("a.gpu"))

    def test_several_orders_are_served_one_call_each(self):
        store = made()
        store.fail_next("list", AWAY)
        store.fail_next("list", Conflict("somebody else"))
        for error in (StoreUnavailable, Conflict):
            with pytest.raises(error):
                store.list(GPUClaim)
        store.list(GPUClaim)

    def test_every_method_can_fail(self):
        store = made()
        machine = told(store)
        calls = {
            "get": lambda: store.get(Secret, "access", namespace="default"),
            "list": lambda: store.list(Secret),
            "create": lambda: store.create(claim("a.gpu")),
            "update": lambda: store.update(machine),
            "update_status": lambda: store.update_status(machine),
            "watch": lambda: store.watch("0", timeout_s=0),
            "record": lambda: store.record(Event(machine.key, "Normal", "Told", "")),
            "events": store.events,
            "delete": lambda: store.delete(machine.key),
        }
        for method, call in calls.items():
            store.fail_next(method, AWAY)
            with pytest.raises(StoreUnavailable):
                call()
            call()

    def test_a_misspelt_method_is_noticed(self):
        with pytest.raises(ValueError, match="update_status"):
            made().fail_next("updatestatus", AWAY)


class TestSnapshots:
    def test_equal_stories_give_equal_snapshots(self):
        first, second = made(), made()
        told(first)
        told(second)
        assert first.snapshot() == second.snapshot()
        assert made(identifiers=SeededIdentifiers(2)).snapshot() == Snapshot()

    def test_another_store_goes_on_from_it_without_touching_the_first(self):
        store = made()
        machine = told(store)
        before = store.snapshot()
        copy = made(start=before)
        assert copy.snapshot() == before
        copy.delete(machine.key)
        assert names(copy, Secret) == []
        assert store.snapshot() == before

    def test_the_history_before_it_is_not_there(self):
        store = made()
        told(store)
        copy = made(start=store.snapshot())
        with pytest.raises(Conflict):
            copy.watch("0", timeout_s=0)
        copy.create(claim("a.gpu"))
        assert changes(copy, store.snapshot().version) == [("ADDED", "a.gpu")]


class TestVirtualTime:
    def test_a_watch_that_sees_nothing_moves_the_clock_by_its_timeout(self):
        clock = ManualClock()
        store = made(clock=clock)
        assert store.watch("0", timeout_s=30) == ()
        assert clock.monotonic_s() == pytest.approx(30)

    def test_a_watch_sees_what_happens_while_the_clock_moves(self):
        class Busy(ManualClock):
            """A world in which a VM appears after five seconds."""

            def sleep(self, duration_s: float) -> None:
                super().sleep(duration_s)
                if self.monotonic_s() > 5 and not names(store, type(vm())):
                    store.create(vm("trainer"))

        clock = Busy()
        store = made(clock=clock)
        (change,) = store.watch("0", timeout_s=30)
        assert change.resource.metadata.name == "trainer"
        assert clock.monotonic_s() == pytest.approx(5, abs=0.1)


def test_what_comes_out_cannot_be_changed_from_outside():
    store = made()
    labels = {"team": "vision"}
    store.create(vm("trainer", labels=labels))
    labels["team"] = "speech"
    assert names(store, type(vm()), labels={"team": "vision"}) == ["trainer"]


def test_an_object_that_is_not_there():
    with pytest.raises(NotFound):
        made().get(GPUClaim, "a.gpu")
