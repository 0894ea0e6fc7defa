"""The sentences of provisioner/store/protocol.py about watching, as tests that each implementation passes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from provisioner.clocks import SystemClock
from provisioner.model.errors import Conflict
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.protocol import ChangeType
from tests.contract.stores import GPU, changes, claim, current, history, resized, secret, store_bench, store_of_bench, vm  # noqa: F401

LIMIT_S = 20.0


class TestWatch:
    def test_changes_come_in_order_with_the_object_after_each(self, store):
        machine = store.create(vm("trainer", finalizers=("hikube.cloud/hold",)))
        machine = store.update(resized(machine, "u1.large"))
        machine = store.update_status(machine.with_status(host="a"))
        store.delete(machine.key)
        store.update(current(store, machine).with_metadata(finalizers=()))
        seen = history(store)
        assert [str(change.type) for change in seen] == ["ADDED", "MODIFIED", "MODIFIED", "MODIFIED", "DELETED"]
        assert [change.resource.spec.instance_type for change in seen] == ["u1.medium", *["u1.large"] * 4]
        assert [change.resource.status.host for change in seen] == ["", "", "a", "a", "a"]
        assert [change.resource.is_being_deleted for change in seen] == [False, False, False, True, True]
        assert seen[2].resource == machine

    def test_versions_of_changes_are_those_of_objects(self, bench, store):
        bench.needs("one version for all")
        machine = store.create(vm("trainer"))
        store.update(resized(machine, "u1.large"))
        seen = history(store)
        assert [change.resource.metadata.resource_version for change in seen] == [change.version for change in seen]

    def test_a_removed_object_is_shown_in_its_last_state(self, store):
        machine = store.create(vm("trainer").with_status(host="a"))
        store.delete(machine.key)
        last = history(store)[-1]
        assert last.type is ChangeType.DELETED
        assert last.resource.with_metadata(resource_version="") == machine.with_metadata(resource_version="")

    def test_all_kinds_are_watched(self, store):
        store.create(vm("trainer"))
        store.create(claim(GPU))
        assert [change.resource.kind for change in history(store)] == ["VirtualMachine", "GPUClaim"]

    def test_only_what_came_after(self, store):
        store.create(vm("before"))
        since = store.list(VirtualMachine).version
        store.create(vm("after"))
        assert changes(store, since) == [("ADDED", "after")]

    def test_nothing_happens(self, bench, store):
        since = store.list(VirtualMachine).version
        assert store.watch(since, timeout_s=0) == ()
        assert store.watch(since, timeout_s=0.05) == ()

    def test_it_returns_as_soon_as_there_is_one(self, bench):
        bench.needs("a clock of its own")
        store = bench.fresh(clock=SystemClock())
        clock = SystemClock()
        with ThreadPoolExecutor(1) as threads:
            began_s = clock.monotonic_s()
            watching = threads.submit(store.watch, "0", timeout_s=10 * LIMIT_S)
            store.create(vm("trainer"))
            (change,) = watching.result(LIMIT_S)
        assert change.resource.metadata.name == "trainer"
        assert clock.monotonic_s() - began_s < LIMIT_S

    def test_at_most_a_thousand_at_once(self, store):
        machine = store.create(claim(GPU))
        for number in range(1_200):
            machine = store.update(machine.with_metadata(labels={"number": str(number)}))
        first = store.watch("0", timeout_s=0)
        rest = store.watch(first[-1].version, timeout_s=0)
        assert (len(first), len(rest)) == (1_000, 201)
        assert rest[0].resource.metadata.labels == {"number": "999"}

    def test_a_version_older_than_the_history_is_a_conflict(self, bench):
        store = bench.fresh(history_kept=3)
        for number in range(5):
            store.create(vm(f"vm-{number}"))
        with pytest.raises(Conflict, match="not kept"):
            store.watch("1", timeout_s=0)
        assert changes(store, "2") == [("ADDED", "vm-2"), ("ADDED", "vm-3"), ("ADDED", "vm-4")]

    @pytest.mark.parametrize("since", ["9999", "-1", "", "nonsense", "٣"])
    def test_what_is_no_version_of_this_store_is_a_conflict(self, store, since):
        store.create(vm("trainer"))
        with pytest.raises(Conflict):
            store.watch(since, timeout_s=0)

    def test_secrets_are_told_without_their_values(self, store):
        created = store.create(secret("access", hostKey="private"))
        store.update(created.with_metadata(labels={"a": "b"}))
        store.delete(created.key)
        assert [change.resource.spec.data for change in history(store)] == [{"hostKey": ""}] * 3

    def test_secrets_are_read_with_their_values(self, store):
        created = store.create(secret("access", hostKey="private"))
        assert current(store, created).spec.data == {"hostKey": "private"}
