"""The sentences of provisioner/store/protocol.py about events, as tests that each implementation passes."""

from __future__ import annotations

from provisioner.model.clock import timestamp
from provisioner.model.metadata import Key
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.protocol import Event
from tests.contract.stores import store_bench, store_of_bench, vm  # noqa: F401

TRAINER = Key("VirtualMachine", "default", "trainer")


def told(store, about: Key = TRAINER) -> list[str]:
    return [event.message for event in store.events(about)]


def test_an_event_is_counted_and_stamped_by_the_store(bench, store):
    bench.needs("a clock of its own")
    first = timestamp(bench.clock.now_s())
    store.record(Event(TRAINER, "Normal", "Started", "on host a", count=7, first_timestamp="x", last_timestamp="y"))
    assert store.events() == (Event(TRAINER, "Normal", "Started", "on host a", 1, first, first),)


def test_equal_ones_are_counted_not_repeated(bench, store):
    bench.needs("a clock of its own")
    first = timestamp(bench.clock.now_s())
    for _ in range(3):
        store.record(Event(TRAINER, "Warning", "NoGpu", "0 of 1 free"))
        bench.clock.advance(10)
    (event,) = store.events()
    assert (event.count, event.first_timestamp) == (3, first)
    assert event.last_timestamp == timestamp(bench.clock.now_s() - 10)


def test_what_was_told_twice_is_counted(store):
    for _ in range(3):
        store.record(Event(TRAINER, "Warning", "NoGpu", "0 of 1 free", count=7, first_timestamp="x", last_timestamp="y"))
    (event,) = store.events()
    assert (event.about, event.reason, event.message, event.count) == (TRAINER, "NoGpu", "0 of 1 free", 3)
    assert event.first_timestamp <= event.last_timestamp != "y"


def test_another_reason_message_or_object_is_another_event(store):
    other = Key("VirtualMachine", "default", "other")
    for event in (
        Event(TRAINER, "Normal", "Started", "on host a"),
        Event(TRAINER, "Normal", "Started", "on host b"),
        Event(TRAINER, "Normal", "Moved", "on host a"),
        Event(other, "Normal", "Started", "on host a"),
    ):
        store.record(event)
    assert [event.count for event in store.events()] == [1, 1, 1, 1]


def test_the_order_is_that_of_the_last_time(bench, store):
    for message in ("first", "second", "first"):
        bench.clock.advance(1)
        store.record(Event(TRAINER, "Normal", "Told", message))
    assert told(store) == ["second", "first"]


def test_events_of_the_same_moment_keep_the_order_of_recording(store):
    for message in ("b", "a", "c", "b"):
        store.record(Event(TRAINER, "Normal", "Told", message))
    assert told(store) == ["a", "c", "b"]


def test_of_one_object_of_a_namespace_or_all(store):
    elsewhere = Key("VirtualMachine", "elsewhere", "trainer")
    host = Key("GPUHost", "", "a")
    for about in (TRAINER, elsewhere, host):
        store.record(Event(about, "Normal", "Told", str(about)))
    assert [event.about for event in store.events()] == [TRAINER, elsewhere, host]
    assert [event.about for event in store.events(elsewhere)] == [elsewhere]
    assert [event.about for event in store.events(namespace="default")] == [TRAINER]
    assert [event.about for event in store.events(namespace="")] == [host]
    assert store.events(TRAINER, namespace="elsewhere") == ()


def test_the_oldest_of_an_objects_events_go_after_a_hundred(bench, store):
    bench.needs("bounds on events")
    store.create(vm("trainer"))
    for number in range(103):
        bench.clock.advance(1)
        store.record(Event(TRAINER, "Normal", "Told", str(number)))
    assert told(store) == [str(number) for number in range(3, 103)]


def test_events_outlive_their_object(store):
    machine = store.create(vm("trainer"))
    store.record(Event(machine.key, "Normal", "Deleted", "on request"))
    store.delete(machine.key)
    assert told(store) == ["on request"]


def test_of_all_removed_objects_a_thousand_events_are_kept_and_the_others_stay(bench, store):
    bench.needs("bounds on events")
    staying = store.create(vm("staying"))
    store.record(Event(staying.key, "Normal", "Told", "the oldest of all"))
    machines = [store.create(vm(f"vm-{number}")) for number in range(11)]
    for machine in machines:
        for number in range(100):
            store.record(Event(machine.key, "Normal", "Told", str(number)))
        bench.clock.advance(1)
    assert len(store.events()) == 1_101
    for machine in machines:
        store.delete(machine.key)
    assert len(store.events()) == 1_001
    assert told(store, machines[0].key) == []
    assert told(store, staying.key) == ["the oldest of all"]


def test_an_object_that_comes_back_keeps_its_events(bench, store):
    bench.needs("bounds on events")
    machine = store.create(vm("trainer"))
    store.record(Event(machine.key, "Normal", "Told", "in its first life"))
    store.delete(machine.key)
    store.create(vm("trainer"))
    for number in range(1_001):
        store.record(Event(Key("VirtualMachine", "default", f"gone-{number}"), "Normal", "Told", "too late"))
    assert told(store) == ["in its first life"]
    assert told(store, Key("VirtualMachine", "default", "gone-0")) == []


def test_recording_is_no_change_to_watch_for(store):
    store.create(vm("trainer"))
    since = store.list(VirtualMachine).version
    store.record(Event(TRAINER, "Normal", "Told", "something"))
    assert store.watch(since, timeout_s=0) == ()
    assert store.list(VirtualMachine).version == since
