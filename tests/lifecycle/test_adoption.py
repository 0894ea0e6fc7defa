"""The store file is lost; what the domains bear makes it again, and VMs that run notice nothing."""

from __future__ import annotations

import pytest

from provisioner.drivers.hypervisor import DomainState
from provisioner.lifecycle.adoption import Verdict, plan_adoption
from provisioner.lifecycle.orphans import STRANGERS_ANNOTATION
from provisioner.lifecycle.virtual_machine import access
from provisioner.model.errors import HostUnreachable, InvalidInput, NotFound
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.secret import Secret
from provisioner.model.virtual_machine import Phase, RunStrategy, VirtualMachine, VMInstance
from provisioner.model.vm_disk import VMDisk
from tests.lifecycle.lost_stores import (  # noqa: F401
    INSTANCE,
    URI,
    adopted,
    boots,
    domain,
    lose_store,
    record,
    world_that_lost_its_store,
)
from tests.lifecycle.world import World, vm_yaml


class TestARunningVM:
    def test_it_is_there_again_ready_and_was_not_touched(self, world: World) -> None:
        world.host("a", gpus=2).apply(vm_yaml("first", extra="  sshKeys: []\n  cloudInit: '#cloud-config'")).settle()
        before = lose_store(world).get(VirtualMachine, "first", namespace="default")
        plan = adopted(world)
        assert [(each.key, each.verdict) for each in plan.adoptees] == [(before.key, Verdict.ADOPTED)]
        world.settle()
        after = world.vm("first")
        assert after.metadata.uid == before.metadata.uid
        assert after.metadata.creation_timestamp == before.metadata.creation_timestamp
        assert after.spec == before.spec.model_copy(update={"cloud_init": ""})
        same = {"host", "gpus", "domain", "domain_uuid", "mac_address", "address", "first_ready", "running_spec", "phase"}
        assert {name: getattr(after.status, name) for name in same} == {name: getattr(before.status, name) for name in same}
        assert boots(world, before.status.domain) == 1
        assert world.is_ready("first")
        assert any("cloudInit" in lost for lost in plan.adoptees[0].lost)

    def test_its_claims_know_the_drivers_to_restore(self, world: World) -> None:
        world.host("a", gpus=2).apply(vm_yaml("first")).settle()
        (before,) = lose_store(world).list(GPUClaim).items
        adopted(world)
        (after,) = world.store.list(GPUClaim).items
        assert (after.metadata.name, after.spec) == (before.metadata.name, before.spec)
        assert [each.previous_driver for each in after.status.functions] == [
            each.previous_driver for each in before.status.functions
        ]
        assert after.status.identity == before.status.identity
        assert after.was_given

    def test_its_gpu_goes_to_nobody_else(self, running: World) -> None:
        adopted(running)
        running.apply(vm_yaml("second", gpus=2)).settle()
        waiting = running.condition("second", "Scheduled")
        assert waiting is not None and waiting.reason == "InsufficientGPUs"

    def test_its_guest_is_known_by_its_pinned_key(self, world: World) -> None:
        world.host("a").apply(vm_yaml("first")).settle()
        name = access.secret_name("first")
        before = lose_store(world).get(Secret, name, namespace="default").spec.data
        adopted(world)
        assert world.store.get(Secret, name, namespace="default").spec.data == before

    def test_deleted_it_leaves_nothing(self, running: World) -> None:
        adopted(running)
        running.settle().delete("first").run(lambda: not running.exists("first"))
        running.run(lambda: not running.store.list(GPUClaim).items, timeout_s=3600)
        running.pass_time(600)
        assert running.leaks() == []

    def test_it_is_stopped_and_started_as_any_other(self, running: World) -> None:
        adopted(running)
        running.settle().edit("first", run_strategy=RunStrategy.HALTED)
        running.run(lambda: running.vm("first").status.phase is Phase.STOPPED)
        running.edit("first", run_strategy=RunStrategy.ALWAYS).settle()
        assert running.is_ready("first")
        assert boots(running, running.vm("first").status.domain) == 1, "a stopped VM has another domain than before"

    def test_a_restart_keeps_its_identity(self, running: World) -> None:
        adopted(running)
        running.settle().annotate("first", "hikube.cloud/request", "restart:1")
        running.run(lambda: running.vm("first").status.handled_request == "restart:1").settle()
        assert running.is_ready("first")

    def test_a_guest_that_had_ended_meanwhile_is_started_again(self, running: World) -> None:
        name = "hikube-default.first"
        running.fleet.host("a").kill_qemu(name)
        adopted(running)
        running.run(lambda: running.is_ready("first") and domain(running, name).state is DomainState.RUNNING)


class TestAStoppedVM:
    def test_it_is_there_again_stopped_and_starts_from_its_disk(self, world: World) -> None:
        world.host("a").apply(vm_yaml("first")).settle()
        world.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("first").status.phase is Phase.STOPPED)
        before = lose_store(world).get(VirtualMachine, "first", namespace="default")
        adopted(world)
        world.pass_time(600)
        after = world.vm("first")
        assert (after.status.phase, after.status.first_ready) == (Phase.STOPPED, before.status.first_ready)
        assert world.store.list(GPUClaim).items == ()
        world.edit("first", run_strategy=RunStrategy.ALWAYS).settle()
        assert world.vm("first").status.first_ready == before.status.first_ready
        world.delete("first").run(lambda: not world.exists("first")).pass_time(900)
        assert world.leaks() == []

    def test_a_parked_domain_has_no_devices_and_goes_with_the_vm(self, world: World) -> None:
        world.host("a").apply(vm_yaml("first")).settle()
        world.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("first").status.phase is Phase.STOPPED)
        parked = domain(world, "hikube-default.first")
        assert (parked.state, parked.functions) == (DomainState.OFF, ())
        assert record(world, parked.name).is_parked
        world.delete("first").run(lambda: not world.exists("first"))
        assert domain(world, parked.name) is None

    def test_one_that_was_stopped_by_request_stays_so(self, world: World) -> None:
        world.host("a").apply(vm_yaml("first", extra="  runStrategy: Manual")).annotate(
            "first", "hikube.cloud/request", "start:1"
        )
        world.run(lambda: world.is_ready("first"))
        world.annotate("first", "hikube.cloud/request", "stop:2").run(lambda: world.vm("first").status.phase is Phase.STOPPED)
        lose_store(world)
        adopted(world)
        world.pass_time(600)
        assert world.vm("first").status.phase is Phase.STOPPED

    def test_one_that_was_started_by_request_goes_on(self, world: World) -> None:
        world.host("a").apply(vm_yaml("first", extra="  runStrategy: Manual")).annotate(
            "first", "hikube.cloud/request", "start:1"
        )
        world.run(lambda: world.is_ready("first"))
        lose_store(world)
        adopted(world)
        world.pass_time(600)
        assert world.is_ready("first")
        assert boots(world, "hikube-default.first") == 1


def test_a_vm_on_its_way_up_is_proven_after_a_new_start(world: World) -> None:
    world.host("a").apply(vm_yaml("first"))
    world.run(lambda: world.exists("first") and world.vm("first").status.phase is Phase.BOOTING)
    lose_store(world)
    plan = adopted(world)
    assert any("controller's key" in lost for lost in plan.adoptees[0].lost)
    world.settle()
    assert world.is_ready("first")


def test_a_vminstance_comes_with_its_disks(world: World) -> None:
    world.host("a").apply(INSTANCE).run(lambda: world.vm("inst", VMInstance).status.phase is Phase.READY)
    before = lose_store(world).get(VMDisk, "root", namespace="default")
    adopted(world)
    world.run(lambda: world.vm("inst", VMInstance).status.phase is Phase.READY).pass_time(400)
    after = world.disk("root")
    assert (after.metadata.uid, after.status.volume) == (before.metadata.uid, before.status.volume)
    assert (after.status.phase, after.status.used_by) == ("Ready", "inst")
    world.delete("inst", VMInstance).run(lambda: not world.exists("inst", VMInstance))
    world.delete("root", VMDisk).run(lambda: not world.exists("root", VMDisk)).pass_time(900)
    assert world.leaks() == []


class TestTheHost:
    def test_it_is_as_its_operator_had_set_it_up(self, world: World) -> None:
        world.host("a", gpus=1)
        host = world.store.get(GPUHost, "a")
        spec = host.spec.model_copy(update={"reserved_memory_mib": 4096, "keep_on_vfio": False})
        world.store.update(host.model_copy(update={"spec": spec}).with_metadata(labels={"zone": "z1"}))
        world.apply(vm_yaml("first")).settle()
        lose_store(world)
        adopted(world)
        found = world.store.get(GPUHost, "a")
        assert (found.spec, found.metadata.labels) == (spec, {"zone": "z1"})

    def test_under_another_name_everything_goes_with_it(self, running: World) -> None:
        adopted(running, name="b")
        running.settle()
        assert running.vm("first").status.host == "b"
        assert [claim.spec.host for claim in running.store.list(GPUClaim).items] == ["b"]
        assert running.is_ready("first")

    def test_without_a_uri_or_with_another_one_or_dead_nothing_is_made(self, running: World) -> None:
        with pytest.raises(NotFound, match="no host is called"):
            plan_adoption("a", uri="", ports=running.ports)
        running.fleet.host("a").set_link("down")
        with pytest.raises(HostUnreachable):
            plan_adoption("a", uri=URI, ports=running.ports)
        running.fleet.host("a").set_link("up")
        adopted(running)
        with pytest.raises(InvalidInput, match="another URI"):
            plan_adoption("a", uri="simulated://b", ports=running.ports)
        assert plan_adoption("a", uri="", ports=running.ports).adoptees

    def test_an_empty_host_is_only_a_host(self, world: World) -> None:
        world.host("a").settle()
        lose_store(world)
        plan = adopted(world)
        assert (plan.adoptees, plan.is_new_host) == ((), True)
        world.settle()
        assert world.store.get(GPUHost, "a").status.reachable

    def test_adopted_domains_are_no_strangers_any_more(self, running: World) -> None:
        running.store.create(GPUHost.model_validate({"metadata": {"name": "a"}, "spec": {"uri": URI}}))
        running.settle()
        host = running.store.get(GPUHost, "a")
        assert host.metadata.annotations[STRANGERS_ANNOTATION]
        adopted(running, uri="")
        assert running.store.get(GPUHost, "a").metadata.annotations[STRANGERS_ANNOTATION] == ""
        running.settle().delete("first").run(lambda: not running.exists("first"))
