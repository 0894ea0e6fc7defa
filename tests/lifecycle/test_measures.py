"""What the controller tells whoever measures it; and that it does the same whether or not anybody does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from provisioner.clocks import ManualClock
from provisioner.lifecycle.assembly import controller_of
from provisioner.lifecycle.controller import CONFLICTS_IN_A_ROW, Controller
from provisioner.lifecycle.measures import Measures, Outcome, Unmeasured
from provisioner.lifecycle.progress import Observer, Several
from provisioner.lifecycle.queue import QueueState, WorkQueue
from provisioner.model.errors import AlreadyExists, Conflict, NotFound, StoreUnavailable
from provisioner.model.metadata import Key, Resource
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.counted import BROKEN, CountedStore
from provisioner.store.protocol import Change
from tests.lifecycle.world import World, vm_yaml


class Notebook:
    """Writes down all that it is told."""

    def __init__(self) -> None:
        self.passes: Counter[tuple[str, Outcome]] = Counter()
        self.under_way = 0
        self.turns: list[bool] = []
        self.listings = 0

    def pass_begins(self) -> float:
        self.under_way += 1
        return 42.0

    def pass_ends(self, key: Key, outcome: Outcome, began: float) -> None:
        assert began == 42.0
        self.under_way -= 1
        self.passes[(key.kind, outcome)] += 1

    def turned(self, *, heard: bool) -> None:
        self.turns.append(heard)

    def listed(self) -> None:
        self.listings += 1


@pytest.fixture
def told(world: World) -> Notebook:
    notebook = Notebook()
    measures: Measures = notebook
    world.controller = controller_of(world.ports, workers=0, measures=measures)
    return notebook


def test_every_pass_and_turn_is_told(world: World, told: Notebook) -> None:
    world.host("a").apply(vm_yaml("train")).settle()
    assert told.passes[("VirtualMachine", Outcome.AGAIN)] > 0
    assert sum(told.passes.values()) == world.controller.passes
    assert told.under_way == 0
    assert told.listings == 1 and all(told.turns)
    world.delete("train").run(lambda: not world.exists("train"))
    assert told.passes[("VirtualMachine", Outcome.DONE)] >= 1, "one that is gone is done"


class Scripted:
    """A reconciler whose passes end as they are told to."""

    kinds: tuple[type[Resource], ...] = (VirtualMachine,)

    def __init__(self, *ends: Exception | float | None) -> None:
        self._ends = list(ends)

    def reconcile(self, key: Key) -> float | None:
        end = self._ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    def concerns(self, change: Change) -> tuple[Key, ...]:
        return ()

    def group_of(self, key: Key) -> str:
        return ""


def test_how_a_pass_ends_is_told_by_its_word(world: World) -> None:
    key = Key("VirtualMachine", "default", "a")
    gone = NotFound("gone", context={"key": str(key)})
    conflicts = [Conflict("somebody was faster")] * (CONFLICTS_IN_A_ROW + 1)
    ends = (None, 5.0, gone, NotFound("its disk is gone"), StoreUnavailable("away"), ZeroDivisionError(), None, *conflicts)
    notebook, words = Notebook(), []
    controller = Controller(world.ports, (Scripted(*ends),), workers=0, measures=notebook)
    for _ in ends:
        before = Counter(notebook.passes)
        controller.queue.add(key)
        assert controller.queue.take() == key
        controller.process(key)
        ((_, outcome),) = notebook.passes - before
        words.append(outcome.value)
    several = ["conflict"] * CONFLICTS_IN_A_ROW
    assert words == ["done", "again", "done", "failed", "failed", "failed", "done", *several, "failed"]
    assert notebook.under_way == 0


def test_a_store_that_does_not_answer_is_told_with_the_turn(world: World, told: Notebook) -> None:
    world.host("a")
    world.store.fail_next("list", StoreUnavailable("away"))
    world.controller.turn()
    assert (told.turns, told.listings) == ([False], 0)
    world.store.fail_next("watch", StoreUnavailable("away"))
    world.controller.turn()
    assert (told.turns, told.listings) == ([False, False], 1), "it was listed, and then nothing was heard"
    world.controller.turn()
    assert told.turns[2:] == [True]


def test_nothing_is_different_when_somebody_measures(tmp_path: Path) -> None:
    def ends_as(measures: Measures | None) -> object:
        world = World(tmp_path)
        world.controller = controller_of(world.ports, workers=0, measures=measures)
        world.host("a", gpus=2).apply(vm_yaml("first")).apply(vm_yaml("second")).settle()
        world.delete("first").run(lambda: not world.exists("first"))
        versions = [(each.key, each.metadata.resource_version) for each in world.store.snapshot().objects]
        return versions, world.store.events(), world.controller.passes, world.clock.now_s()

    assert ends_as(None) == ends_as(Unmeasured()) == ends_as(Notebook())


def test_what_the_controller_knows_is_what_there_is(world: World) -> None:
    world.host("a").apply(vm_yaml("train")).settle()
    kinds = Counter(each.kind for each in world.controller.known().objects)
    assert (kinds["GPUHost"], kinds["VirtualMachine"], kinds["GPUClaim"]) == (1, 1, 1)
    assert [load.name for load in world.controller.known().fleet.loads] == ["a"]
    world.delete("train").run(lambda: not world.exists("train"))
    assert Counter(each.kind for each in world.controller.known().objects)["VirtualMachine"] == 0


def test_the_state_of_the_queue() -> None:
    clock = ManualClock()
    queue = WorkQueue(clock)
    assert queue.state() == QueueState(due=0, later=0, in_flight=0, oldest_due_s=0.0)
    first, second, third = (Key("VirtualMachine", "default", name) for name in "abc")
    queue.add(first)
    queue.add(second, after_s=10)
    queue.add(third, after_s=100)
    clock.advance(15)
    assert queue.state() == QueueState(due=2, later=1, in_flight=0, oldest_due_s=15.0)
    assert queue.take() == first
    assert queue.state() == QueueState(due=1, later=1, in_flight=1, oldest_due_s=5.0)


def test_keys_of_a_busy_host_are_due_all_the_same() -> None:
    clock = ManualClock()
    queue = WorkQueue(clock, group_of=lambda _: "slow", group_limit=1)
    for name in "ab":
        queue.add(Key("VirtualMachine", "default", name))
    assert queue.take() is not None and queue.take() is None
    clock.advance(60)
    assert queue.state() == QueueState(due=1, later=0, in_flight=1, oldest_due_s=60.0)


def test_several_observers_hear_the_same_in_order() -> None:
    heard: list[tuple[str, str, tuple[object, ...]]] = []

    class Ear:
        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, method: str) -> object:
            return lambda *arguments: heard.append((self._name, method, arguments))

    key = Key("VirtualMachine", "default", "a")
    left, right = Ear("left"), Ear("right")
    both: Observer = Several(left, right)  # type: ignore[arg-type]
    both.step_started(key, "bind")
    both.step_waiting(key, "bind", "busy")
    both.step_finished(key, "bind", 1.5, "ok")
    both.step_undone(key, "bind")
    both.failed(key, "bind", "broken")
    expected = [
        ("step_started", (key, "bind")),
        ("step_waiting", (key, "bind", "busy")),
        ("step_finished", (key, "bind", 1.5, "ok")),
        ("step_undone", (key, "bind")),
        ("failed", (key, "bind", "broken")),
    ]
    assert heard == [(ear, *told) for told in expected for ear in ("left", "right")]


def test_calls_of_a_counted_store_are_told_with_how_they_ended(world: World) -> None:
    calls: list[tuple[str, str, str]] = []

    def tell(verb: str, kind: str, *, code: str, duration_s: float) -> None:
        assert duration_s >= 0
        calls.append((verb, kind, code))

    store = CountedStore(world.store, tell)
    (vm,) = world.apply(vm_yaml("train")).store.list(VirtualMachine).items
    assert store.get(VirtualMachine, "train", namespace="default") == vm
    with pytest.raises(NotFound):
        store.get(VirtualMachine, "nobody", namespace="default")
    with pytest.raises(AlreadyExists):
        store.create(vm)
    assert store.list(VirtualMachine).items == (vm,)
    store.watch(store.list(VirtualMachine).version, timeout_s=0.0)
    store.delete(vm.key)
    assert calls == [
        ("get", "VirtualMachine", "ok"),
        ("get", "VirtualMachine", "HK-NOTFOUND-001"),
        ("create", "VirtualMachine", "HK-CONFLICT-002"),
        ("list", "VirtualMachine", "ok"),
        ("list", "VirtualMachine", "ok"),
        ("watch", "", "ok"),
        ("delete", "VirtualMachine", "ok"),
    ]


def test_a_store_that_breaks_is_told_too() -> None:
    codes: list[str] = []

    class Broken:
        def list(self, *_: object, **__: object) -> object:
            raise ZeroDivisionError("a bug")

    store = CountedStore(Broken(), lambda *_, code, duration_s: codes.append(code))  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        store.list(VirtualMachine)
    assert codes == [BROKEN]
