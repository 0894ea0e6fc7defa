"""The sentences of provisioner/store/protocol.py about deletion and owners, as tests that each implementation passes."""

from __future__ import annotations

import pytest

from provisioner.model.clock import timestamp
from provisioner.model.errors import Conflict, NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.secret import Secret
from provisioner.model.virtual_machine import Phase, VirtualMachine
from tests.contract.stores import (
    GPU,
    changes,
    claim,
    current,
    eventually,
    names,
    secret,
    store_bench,  # noqa: F401
    store_of_bench,  # noqa: F401
    vm,
)

HOLD = "hikube.cloud/hold"
BACKUP = "hikube.cloud/backup"


class TestDelete:
    def test_without_finalizers_it_is_gone_at_once(self, store):
        machine = store.create(vm("trainer"))
        store.delete(machine.key)
        with pytest.raises(NotFound):
            current(store, machine)

    def test_a_finalizer_holds_it_back(self, store):
        machine = store.create(vm("trainer", finalizers=(HOLD,)))
        store.delete(machine.key)
        assert current(store, machine).is_being_deleted

    def test_the_mark_has_the_time_and_is_no_change_of_the_spec(self, bench, store):
        bench.needs("a clock of its own")
        machine = store.create(vm("trainer", finalizers=(HOLD,)))
        bench.clock.advance(5)
        store.delete(machine.key)
        marked = current(store, machine)
        assert marked.metadata.deletion_timestamp == timestamp(bench.clock.now_s())
        assert marked.metadata.generation == 1

    def test_repeating_it_is_harmless(self, bench, store):
        machine = store.create(vm("trainer", finalizers=(HOLD,)))
        store.delete(machine.key)
        marked = current(store, machine)
        bench.clock.advance(60)
        store.delete(machine.key)
        assert current(store, machine) == marked
        assert changes(store) == [("ADDED", "trainer"), ("MODIFIED", "trainer")]

    def test_the_last_finalizer_takes_it_along(self, store):
        machine = store.create(vm("trainer", finalizers=(HOLD, BACKUP)))
        store.delete(machine.key)
        machine = store.update(current(store, machine).with_metadata(finalizers=(BACKUP,)))
        assert current(store, machine).is_being_deleted
        last = store.update(machine.with_metadata(finalizers=()))
        assert (last.metadata.name, last.metadata.finalizers) == ("trainer", ())
        with pytest.raises(NotFound):
            current(store, machine)

    def test_an_object_that_is_not_being_deleted_may_lose_its_finalizers(self, store):
        machine = store.create(vm("trainer", finalizers=(HOLD,)))
        store.update(machine.with_metadata(finalizers=()))
        assert names(store, VirtualMachine) == ["trainer"]

    def test_the_status_of_what_is_being_deleted_can_be_written(self, store):
        machine = store.create(vm("trainer", finalizers=(HOLD,)))
        store.delete(machine.key)
        assert store.update_status(current(store, machine).with_status(phase=Phase.DELETING)).is_being_deleted

    def test_what_does_not_exist_is_not_found(self, store):
        machine = store.create(vm("trainer"))
        with pytest.raises(NotFound):
            store.delete(vm("other").key)
        with pytest.raises(NotFound):
            store.delete(machine.key, uid="another")
        store.delete(machine.key, uid=machine.metadata.uid)
        with pytest.raises(NotFound):
            store.delete(machine.key)

    def test_what_was_changed_since_it_was_read_is_not_deleted_by_its_version(self, store):
        machine = store.create(vm("trainer"))
        changed = store.update_status(machine.with_status(phase=Phase.PROVISIONING))
        with pytest.raises(Conflict):
            store.delete(machine.key, version=machine.metadata.resource_version)
        assert names(store, VirtualMachine) == ["trainer"]
        store.delete(machine.key, version=changed.metadata.resource_version)
        assert names(store, VirtualMachine) == []


class TestOwners:
    def test_what_it_owns_goes_with_it(self, store):
        owner = store.create(vm("trainer"))
        store.create(secret("trainer-access", owner=owner))
        store.create(secret("unrelated"))
        store.delete(owner.key)
        assert eventually(lambda: names(store, Secret) == ["unrelated"])

    def test_what_belongs_to_no_namespace_goes_too(self, bench, store):
        bench.needs("owners in a namespace of what is in none")
        owner = store.create(vm("trainer"))
        store.create(claim(GPU, owner=owner))
        store.delete(owner.key)
        assert names(store, GPUClaim) == []

    def test_while_the_owner_is_only_marked_nothing_else_goes(self, store):
        owner = store.create(vm("trainer", finalizers=(HOLD,)))
        store.create(secret("trainer-access", owner=owner))
        store.delete(owner.key)
        assert names(store, Secret) == ["trainer-access"]
        store.update(current(store, owner).with_metadata(finalizers=()))
        assert eventually(lambda: names(store, Secret) == [])

    def test_a_finalizer_holds_back_what_is_owned(self, store):
        owner = store.create(vm("trainer"))
        held = store.create(vm("held", owner_references=(owner.owner_reference(),), finalizers=(HOLD,)))
        store.delete(owner.key)
        assert eventually(lambda: current(store, held).is_being_deleted)
        store.update(current(store, held).with_metadata(finalizers=()))
        assert eventually(lambda: names(store, VirtualMachine) == [])

    def test_grandchildren_go_too(self, store):
        parent = store.create(vm("generation-0"))
        top = parent
        for number in range(1, 40):
            child = vm(f"generation-{number}", owner_references=(parent.owner_reference(),))
            parent = store.create(child)
        store.delete(top.key)
        assert eventually(lambda: names(store, VirtualMachine) == [])

    def test_a_circle_of_owners_goes_once(self, bench, store):
        bench.needs("circles of owners")
        first = store.create(vm("first"))
        second = store.create(vm("second", owner_references=(first.owner_reference(),)))
        both = (second.owner_reference(), first.owner_reference())
        first = store.update(first.with_metadata(owner_references=both))
        store.delete(first.key)
        assert changes(store)[3:] == [("DELETED", "first"), ("DELETED", "second")]

    def test_another_object_of_the_owners_name_owns_nothing(self, bench, store):
        bench.needs("owners that are gone already")
        old = store.create(vm("trainer"))
        store.delete(old.key)
        store.create(secret("left", owner=old))
        new = store.create(vm("trainer"))
        store.delete(new.key)
        assert names(store, Secret) == ["left"]

    def test_owners_follow_their_updates(self, store):
        first, second = store.create(vm("first")), store.create(vm("second"))
        owned = store.create(secret("access", owner=first))
        store.update(owned.with_metadata(owner_references=(second.owner_reference(),)))
        store.delete(first.key)
        assert names(store, Secret) == ["access"]
        store.delete(second.key)
        assert eventually(lambda: names(store, Secret) == [])
