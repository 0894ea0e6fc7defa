"""A fleet moves to another store: whoever goes on there notices nothing, and a move that dies anywhere is made good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.clocks import SeededIdentifiers
from provisioner.drivers.simulated.timing import Timing
from provisioner.model.errors import Conflict, NotAllowed, StoreUnavailable
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.secret import Secret
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.memory import MemoryStore, Snapshot
from provisioner.store.moving.moving import Report, Side, move
from provisioner.store.protocol import Store
from provisioner.store.sqlite import ControllerLock, SqliteStore
from provisioner.store.sqlite.side import SqliteSide
from tests.lifecycle.world import World, vm_yaml
from tests.moving import DyingSide, Fuse, MemorySide, changes_on_hosts, contents, generations, populate

NOW = "2026-11-22T00:00:00Z"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Made once: tests take copies of its store."""
    return populate(World(tmp_path_factory.mktemp("fleet"), timing=Timing()))


def copy_of(world: World) -> MemorySide:
    return MemorySide(_memory(world, world.store.snapshot()), name="old")


def empty(world: World) -> MemorySide:
    return MemorySide(_memory(world, None), name="new")


def _memory(world: World, start: Snapshot | None) -> MemoryStore:
    return MemoryStore(clock=world.clock, identifiers=SeededIdentifiers(7), start=start)


def moved(source: Side, target: Side, *, dry_run: bool = False) -> Report:
    return move(source, target, now=NOW, progress=lambda _done, _of: None, dry_run=dry_run)


@pytest.fixture
def files(tmp_path: Path, fleet: World) -> Iterator[SqliteSide]:
    side = SqliteSide(tmp_path / "hikube.db", clock=fleet.clock, identifiers=SeededIdentifiers(3))
    yield side
    side.close()


def test_everything_is_there_with_its_identity(fleet):
    source, target = copy_of(fleet), empty(fleet)
    report = moved(source, target)
    assert contents(target.store) == contents(source.store)
    assert {"VirtualMachine": 4, "GPUHost": 2, "VMDisk": 1}.items() <= report.objects.items()
    assert report.created == sum(report.objects.values()) and not report.changed and not report.removed
    assert source.signpost() is not None and target.signpost() is None
    assert "default" in target.prepared


def test_a_status_speaks_of_the_same_spec_as_before(fleet):
    source, target = copy_of(fleet), empty(fleet)
    before = source.store.get(VirtualMachine, "runs", namespace="default")
    changed = before.model_copy(update={"spec": before.spec.model_copy(update={"instance_type": "u1.xlarge"})})
    source.store.update(changed)
    moved(source, target)
    assert set(generations(target.store).values()) == {1}
    for name, is_current in (("runs", False), ("stopped", True)):
        vm = target.store.get(VirtualMachine, name, namespace="default")
        assert (vm.status.observed_generation == vm.metadata.generation) is is_current
        assert vm.status.observed_generation != 0


def test_a_controller_over_the_new_store_goes_on_and_touches_nothing(tmp_path):
    world = populate(World(tmp_path))
    source, target = MemorySide(world.store, name="old"), empty(world)
    moved(source, target)
    before = changes_on_hosts(world)
    world.store = target.store  # type: ignore[assignment]  # any store will do
    world.ports = replace(world.ports, store=world.store)
    world.start_controller()
    world.run(lambda: not world.exists("leaves") and len(world.store.list(GPUClaim).items) == len({"runs"}))
    gone = changes_on_hosts(world)
    world.settle().pass_time(3600)
    assert gone > before
    assert world.is_ready("runs") and world.vm("stopped").status.phase == "Stopped"
    assert changes_on_hosts(world) == gone
    assert world.fleet.calls.count("domains.start") == len({"runs", "stopped", "leaves"})
    for name in ("runs", "stopped", "waits"):
        world.delete(name)
    world.run(lambda: not world.machines())
    assert not [leak for leak in world.leaks() if leak.kind != "volume" or "data" not in leak.name]


@pytest.mark.parametrize("after_effect", [False, True], ids=["before", "after"])
def test_whoever_dies_at_any_write_and_runs_it_again_gets_the_same_end(fleet, after_effect):
    wanted = contents(fleet.store)
    for left in range(1_000):
        source, target, fuse = copy_of(fleet), empty(fleet), Fuse(left, after_effect)
        try:
            moved(DyingSide(source, fuse), DyingSide(target, fuse))
        except StoreUnavailable:
            is_whole = contents(target.store) == wanted and source.signpost() is not None
            assert target.signpost() is not None or target.store.list(VirtualMachine).items == () or is_whole
            moved(source, target)
            assert contents(target.store) == wanted
            assert source.signpost() is not None and target.signpost() is None
        else:
            assert left > sum(1 for _ in wanted)
            return
    raise AssertionError("it never ends")


def test_done_again_it_does_nothing_and_what_went_on_meanwhile_stays(fleet):
    source, target = copy_of(fleet), empty(fleet)
    moved(source, target)
    vm = target.store.get(VirtualMachine, "runs", namespace="default")
    target.store.update_status(vm.with_status(address="10.9.9.9"))
    assert moved(source, target).was_done
    assert target.store.get(VirtualMachine, "runs", namespace="default").status.address == "10.9.9.9"


def test_the_way_back_replaces_the_old_copy(fleet):
    old, new = copy_of(fleet), empty(fleet)
    moved(old, new)
    disappears = new.store.get(VirtualMachine, "stopped", namespace="default")
    new.store.update(disappears.with_metadata(finalizers=()))
    new.store.delete(disappears.key)
    again = new.store.create(disappears.with_metadata(labels={"is": "another"}))
    new.store.update_status(new.store.get(VirtualMachine, "runs", namespace="default").with_status(address="10.9.9.9"))
    report = moved(new, old)
    assert contents(old.store) == contents(new.store)
    assert old.store.get(VirtualMachine, "stopped", namespace="default").metadata.uid == again.metadata.uid
    assert report.removed >= 1 and report.changed >= 1
    assert new.signpost() is not None and old.signpost() is None
    assert moved(old, new).changed == 0


def test_others_of_the_same_names_are_in_the_way_and_nothing_is_written(fleet):
    source, target = copy_of(fleet), empty(fleet)
    target.store.create(source.store.get(VirtualMachine, "runs", namespace="default"))
    before = contents(target.store)
    with pytest.raises(Conflict, match="other objects of the same names: VirtualMachine default/runs"):
        moved(source, target)
    assert contents(target.store) == before
    assert source.signpost() is None and target.signpost() is None


def test_objects_of_other_names_stay(fleet):
    source, target = copy_of(fleet), empty(fleet)
    other = source.store.get(VirtualMachine, "runs", namespace="default").with_metadata(name="other")
    target.store.create(other)
    moved(source, target)
    assert target.store.get(VirtualMachine, "other", namespace="default")


def test_what_is_on_its_way_from_elsewhere_is_left_alone(fleet):
    source, target = copy_of(fleet), empty(fleet)
    with pytest.raises(StoreUnavailable):
        moved(source, DyingSide(target, Fuse(5)))
    third = MemorySide(_memory(fleet, None), name="third")
    with pytest.raises(Conflict, match="on their way from old"):
        moved(third, target)
    with pytest.raises(Conflict, match="on their way from old to new"):
        moved(target, third)
    moved(source, target)
    with pytest.raises(Conflict, match="were moved to new"):
        moved(source, third)


def test_a_dry_run_says_what_would_be_and_writes_nothing(fleet):
    source, target = copy_of(fleet), empty(fleet)
    report = moved(source, target, dry_run=True)
    assert report.created == sum(report.objects.values()) > 0
    assert contents(target.store) == {} and source.signpost() is None and target.signpost() is None


def test_a_change_during_the_move_is_moved_too(fleet):
    source, target = copy_of(fleet), empty(fleet)

    def progress(done: int, of: int) -> None:
        if done == of and source.signpost() is None:
            machine = source.store.get(VirtualMachine, "waits", namespace="default")
            if not machine.metadata.labels:
                source.store.update(machine.with_metadata(labels={"late": "yes"}))

    move(source, target, now=NOW, progress=progress)
    assert target.store.get(VirtualMachine, "waits", namespace="default").metadata.labels == {"late": "yes"}


def test_a_store_that_goes_on_being_changed_is_given_up(fleet):
    source, target = copy_of(fleet), empty(fleet)

    def progress(done: int, of: int) -> None:
        machine = source.store.get(VirtualMachine, "waits", namespace="default")
        source.store.update(machine.with_metadata(labels={"count": str(int(machine.metadata.labels.get("count", 0)) + 1)}))

    with pytest.raises(Conflict):
        move(source, target, now=NOW, progress=progress)
    assert target.signpost() is not None


class TestFiles:
    def test_a_file_takes_it_with_its_secrets_and_gives_it_back(self, fleet, files):
        old = copy_of(fleet)
        moved(old, files)
        assert contents(files.store) == contents(old.store)
        assert any(secret.spec.data for secret in files.store.list(Secret).items)
        moved(files, old)
        assert old.signpost() is None

    def test_what_has_left_a_file_is_read_and_not_written_and_nobody_runs_its_loop(self, fleet, files, tmp_path):
        moved(copy_of(fleet), files)
        moved(files, empty(fleet))
        path = tmp_path / "hikube.db"
        with SqliteStore(path, clock=fleet.clock, identifiers=SeededIdentifiers(5)) as store:
            (claim, *_) = store.list(GPUClaim).items
            with pytest.raises(NotAllowed, match="were moved to new") as refused:
                store.delete(claim.key)
            assert f"rm {path}.moved" in refused.value.hint
        with pytest.raises(NotAllowed, match="were moved to new"):
            ControllerLock(path, clock=fleet.clock, command="hikube controller").try_acquire()
        files.set_signpost(None)
        assert ControllerLock(path, clock=fleet.clock, command="hikube controller").try_acquire()

    def test_nobody_runs_the_loop_of_half_a_file(self, fleet, files, tmp_path):
        with pytest.raises(StoreUnavailable):
            moved(copy_of(fleet), DyingSide(files, Fuse(6)))
        with pytest.raises(NotAllowed, match="on their way from old"):
            ControllerLock(tmp_path / "hikube.db", clock=fleet.clock, command="hikube controller").try_acquire()
        (tmp_path / "hikube.db.moved").write_text("broken")
        with pytest.raises(NotAllowed, match="a place that its signpost does not name"):
            ControllerLock(tmp_path / "hikube.db", clock=fleet.clock, command="hikube controller").try_acquire()


def test_stores_are_what_the_protocol_says() -> None:
    stores: tuple[type[Store], ...] = (MemoryStore, SqliteStore)
    assert stores and vm_yaml("any")
