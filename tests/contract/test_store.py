"""The sentences of provisioner/store/protocol.py about reading and writing, as tests that each implementation passes.

Deletion, watching and events have files of their own beside this one.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from provisioner.model.clock import timestamp
from provisioner.model.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.metadata import Condition
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from tests.contract.stores import GPU, changes, claim, current, history, names, resized, secret, store_bench, store_of_bench, vm  # noqa: F401


class TestGet:
    def test_what_was_created_comes_back(self, store):
        created = store.create(vm("trainer", labels={"team": "vision"}))
        assert store.get(VirtualMachine, "trainer", namespace="default") == created

    def test_an_absent_object_is_not_found_and_named(self, store):
        with pytest.raises(NotFound, match="VirtualMachine default/trainer"):
            store.get(VirtualMachine, "trainer", namespace="default")

    def test_kind_and_namespace_are_part_of_the_name(self, store):
        store.create(vm("trainer"))
        for kind, namespace in ((VirtualMachine, "other"), (VirtualMachine, ""), (VMInstance, "default")):
            with pytest.raises(NotFound):
                store.get(kind, "trainer", namespace=namespace)

    def test_cluster_scoped_objects_have_no_namespace(self, store):
        created = store.create(claim(GPU))
        assert store.get(GPUClaim, GPU) == created


class TestList:
    def test_an_empty_store(self, store):
        listing = store.list(VirtualMachine)
        assert (listing.items, store.watch(listing.version, timeout_s=0)) == ((), ())

    def test_order_is_by_namespace_then_name(self, store):
        for namespace, name in (("b", "a"), ("a", "z"), ("a", "b")):
            store.create(vm(name, namespace=namespace))
        assert names(store, VirtualMachine) == ["b", "z", "a"]

    def test_order_is_that_of_code_points(self, bench, store):
        bench.needs("names of any spelling")
        for name in ("z", "é", "b", "B"):
            store.create(vm(name))
        assert names(store, VirtualMachine) == ["B", "b", "z", "é"]

    def test_one_namespace_or_all(self, store):
        for namespace in ("a", "b"):
            store.create(vm(f"in-{namespace}", namespace=namespace))
        assert names(store, VirtualMachine, namespace="b") == ["in-b"]
        assert names(store, VirtualMachine, namespace=None) == ["in-a", "in-b"]
        assert names(store, VirtualMachine, namespace="") == []

    def test_other_kinds_are_not_listed(self, store):
        store.create(vm("trainer"))
        assert (names(store, VMInstance), names(store, GPUClaim)) == ([], [])

    def test_every_label_asked_for_must_match(self, store):
        store.create(vm("both", labels={"team": "vision", "tier": "prod"}))
        store.create(vm("one", labels={"team": "vision"}))
        store.create(vm("none"))
        assert names(store, VirtualMachine, labels={"team": "vision"}) == ["both", "one"]
        assert names(store, VirtualMachine, labels={"team": "vision", "tier": "prod"}) == ["both"]
        assert names(store, VirtualMachine, labels={"team": "visio"}) == []
        assert names(store, VirtualMachine, labels={}) == ["both", "none", "one"]

    def test_labels_follow_their_updates(self, store):
        machine = store.create(vm("trainer", labels={"team": "vision"}))
        machine = store.update_status(machine.with_status(host="a"))
        assert names(store, VirtualMachine, labels={"team": "vision"}) == ["trainer"]
        store.update(machine.with_metadata(labels={"team": "speech"}))
        assert names(store, VirtualMachine, labels={"team": "vision"}) == []
        assert names(store, VirtualMachine, labels={"team": "speech"}) == ["trainer"]

    def test_labels_of_any_spelling(self, bench, store):
        bench.needs("labels of any spelling")
        odd = {"hikube.cloud/pool": 'a"b', "dots.and $ signs": "'; DROP TABLE objects; --", "": ""}
        store.create(vm("odd", labels=odd))
        store.create(vm("plain", labels={"hikube.cloud/pool": "a"}))
        for label, value in odd.items():
            assert names(store, VirtualMachine, labels={label: value}) == ["odd"]

    def test_the_version_of_a_list_is_where_watching_goes_on(self, store):
        store.create(vm("before"))
        listing = store.list(VirtualMachine)
        store.create(vm("after"))
        assert changes(store, listing.version) == [("ADDED", "after")]


class TestCreate:
    def test_what_exists_outside_already_keeps_its_identity(self, bench, store):
        known = vm("trainer", uid="uid-of-its-domain", creation_timestamp="2020-01-01T00:00:00Z", generation=7)
        created = store.create(known, keeps_identity=True)
        assert created.metadata.uid == current(store, known).metadata.uid == "uid-of-its-domain"
        assert created.metadata.generation == 1
        assert store.create(vm("other"), keeps_identity=True).metadata.uid not in ("", "uid-of-its-domain")
        with pytest.raises(AlreadyExists):
            store.create(known, keeps_identity=True)

    def test_what_exists_outside_already_keeps_its_age(self, bench, store):
        bench.needs("creation times")
        created = store.create(vm("trainer", creation_timestamp="2020-01-01T00:00:00Z"), keeps_identity=True)
        assert created.metadata.creation_timestamp == "2020-01-01T00:00:00Z"

    def test_the_store_sets_what_is_its_own(self, bench, store):
        created = store.create(vm("trainer", uid="mine", resource_version="7", generation=7, creation_timestamp="never"))
        assert created.metadata.uid not in ("", "mine")
        assert created.metadata.generation == 1
        assert created.metadata.creation_timestamp != "never"
        assert created.metadata.resource_version == current(store, created).metadata.resource_version != "7"

    def test_times_are_those_of_the_clock(self, bench, store):
        bench.needs("a clock of its own")
        assert store.create(vm("trainer")).metadata.creation_timestamp == timestamp(bench.clock.now_s())

    def test_an_object_is_not_born_deleted(self, store):
        created = store.create(vm("trainer", deletion_timestamp="now", finalizers=("hikube.cloud/hold",)))
        assert not created.is_being_deleted

    def test_status_is_stored_as_given(self, store):
        store.create(vm("trainer").with_status(host="a", address="10.0.0.5"))
        assert current(store, vm("trainer")).status.address == "10.0.0.5"

    def test_a_taken_name_is_refused_and_the_first_stays(self, store):
        first = store.create(claim(GPU, by="first"))
        with pytest.raises(AlreadyExists, match=f"GPUClaim {GPU}"):
            store.create(claim(GPU, by="second"))
        assert current(store, first) == first

    def test_a_name_is_free_again_after_removal_for_another_object(self, store):
        first = store.create(claim(GPU))
        store.delete(first.key)
        assert store.create(claim(GPU)).metadata.uid != first.metadata.uid

    def test_of_many_threads_one_succeeds(self, store):
        def attempt(number: int) -> bool:
            try:
                store.create(claim(GPU, by=f"vm-{number}"))
            except AlreadyExists:
                return False
            return True

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(attempt, range(32))) == 1

    def test_text_survives_byte_for_byte(self, store):
        text = "#cloud-config\r\n\tname: 'é ☃ \U0001f600'\n\0end  \n"
        spec = vm().spec.model_copy(update={"cloud_init": text})
        store.create(vm("trainer", spec=spec))
        assert current(store, vm("trainer")).spec.cloud_init == text

    def test_what_is_no_text_is_refused_and_leaves_nothing(self, store):
        spec = vm().spec.model_copy(update={"cloud_init": "half a pair: \ud800"})
        with pytest.raises(InvalidInput):
            store.create(vm("trainer", spec=spec))
        assert (names(store, VirtualMachine), changes(store)) == ([], [])


class TestUpdate:
    def test_a_new_spec_is_a_new_generation(self, store):
        machine = store.create(vm("trainer"))
        updated = store.update(resized(machine, "u1.large"))
        assert updated.metadata.generation == 2
        assert current(store, machine) == updated
        assert updated.spec.instance_type == "u1.large"

    def test_metadata_alone_is_the_same_generation(self, store):
        machine = store.create(vm("trainer"))
        changed = {"labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ("hikube.cloud/hold",)}
        updated = store.update(machine.with_metadata(**changed))
        assert updated.metadata.generation == 1
        assert updated.metadata.resource_version != machine.metadata.resource_version
        assert (updated.metadata.labels, updated.metadata.annotations, updated.metadata.finalizers) == tuple(changed.values())

    def test_status_is_never_touched(self, store):
        machine = store.create(vm("trainer").with_status(host="a"))
        updated = store.update(resized(machine.with_status(host="b"), "u1.large"))
        assert (updated.status.host, current(store, machine).status.host) == ("a", "a")

    def test_what_the_store_sets_cannot_be_changed(self, store):
        machine = store.create(vm("trainer", finalizers=("hikube.cloud/hold",)))
        own = {"creation_timestamp": "never", "generation": 9, "deletion_timestamp": "now"}
        updated = store.update(machine.with_metadata(**own, labels={"a": "b"}))
        assert updated.metadata.creation_timestamp == machine.metadata.creation_timestamp
        assert (updated.metadata.generation, updated.is_being_deleted) == (1, False)

    def test_equal_content_changes_nothing(self, store):
        machine = store.create(vm("trainer", labels={"a": "b"}))
        assert store.update(machine) == machine
        assert changes(store) == [("ADDED", "trainer")]

    def test_a_write_that_came_first_wins(self, store):
        machine = store.create(vm("trainer"))
        first = store.update(resized(machine, "u1.large"))
        with pytest.raises(Conflict) as refused:
            store.update(resized(machine, "u1.xlarge"))
        assert not isinstance(refused.value, AlreadyExists)
        assert current(store, machine) == first

    @pytest.mark.parametrize("version", ["", "0", "999", "nonsense"])
    def test_any_other_version_is_a_conflict(self, store, version):
        machine = store.create(vm("trainer"))
        with pytest.raises(Conflict):
            store.update(machine.with_metadata(resource_version=version))

    def test_a_status_write_counts_as_a_write(self, store):
        machine = store.create(vm("trainer"))
        store.update_status(machine.with_status(host="a"))
        with pytest.raises(Conflict):
            store.update(resized(machine, "u1.large"))

    def test_an_absent_object_is_not_found(self, store):
        machine = store.create(vm("trainer"))
        store.delete(machine.key)
        with pytest.raises(NotFound):
            store.update(machine)

    def test_another_object_of_that_name_is_not_found(self, store):
        old = store.create(vm("trainer"))
        store.delete(old.key)
        new = store.create(vm("trainer"))
        with pytest.raises(NotFound):
            store.update(resized(new.with_metadata(uid=old.metadata.uid), "u1.large"))
        assert current(store, new) == new

    def test_of_many_threads_that_read_the_same_one_succeeds(self, store):
        machine = store.create(vm("trainer"))

        def attempt(number: int) -> bool:
            try:
                store.update(resized(machine, f"u1.{number}"))
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(attempt, range(16))) == 1


class TestUpdateStatus:
    def test_status_alone_changes(self, store):
        machine = store.create(vm("trainer", labels={"a": "b"}))
        updated = store.update_status(resized(machine.with_metadata(labels={}), "u1.large").with_status(host="a"))
        assert updated.status.host == "a"
        assert (updated.spec, updated.metadata.labels, updated.metadata.generation) == (machine.spec, {"a": "b"}, 1)
        assert current(store, machine) == updated

    def test_equal_content_changes_nothing(self, store):
        condition = Condition(type="Ready", status="False", reason="Waiting")
        machine = store.create(vm("trainer").with_status(conditions=(condition,)))
        so_far = changes(store)
        assert store.update_status(machine.with_status(conditions=(condition.model_copy(),))) == machine
        assert changes(store) == so_far

    def test_it_raises_as_update(self, store):
        machine = store.create(vm("trainer"))
        store.update(resized(machine, "u1.large"))
        with pytest.raises(Conflict):
            store.update_status(machine.with_status(host="a"))
        with pytest.raises(Conflict):
            store.update_status(machine)
        with pytest.raises(NotFound):
            store.update_status(machine.with_metadata(uid="another"))
        store.delete(machine.key)
        with pytest.raises(NotFound):
            store.update_status(machine)
