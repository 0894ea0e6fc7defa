"""Adoption that is repeated, interrupted, or in the way of something; and what the records on domains say."""

from __future__ import annotations

import json

import pytest

from provisioner.drivers.hypervisor import DomainState
from provisioner.lifecycle.adoption import Verdict, plan_adoption
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.image import Image
from provisioner.model.metadata import Key
from provisioner.model.virtual_machine import Phase, RunStrategy
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


class TestTwice:
    def test_the_second_time_changes_nothing(self, running: World) -> None:
        adopted(running)
        before = running.store.snapshot().objects
        plan = adopted(running)
        assert [each.verdict for each in plan.adoptees] == [Verdict.UNCHANGED]
        assert running.store.snapshot().objects == before

    def test_beside_a_store_that_still_has_everything_it_changes_nothing(self, world: World) -> None:
        world.host("a", gpus=2).apply(vm_yaml("first") + "\n---" + vm_yaml("second", gpus=0)).settle()
        world.edit("second", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("second").status.phase is Phase.STOPPED)
        before = world.store.snapshot().objects
        plan = adopted(world)
        assert {each.verdict for each in plan.adoptees} == {Verdict.UNCHANGED}
        assert world.store.snapshot().objects == before

    def test_one_that_was_interrupted_is_completed(self, running: World) -> None:
        plan = plan_adoption("a", uri=URI, ports=running.ports)
        for cut in range(len(plan.adoptees[0].makes)):
            lose_store(running)
            running.store.create(plan.host)
            for resource in plan.adoptees[0].makes[:cut]:
                running.store.create(resource, keeps_identity=True)
            adopted(running)
            running.settle()
            assert running.is_ready("first")
            assert len(running.store.list(GPUClaim).items) == 1
            assert boots(running, "hikube-default.first") == 1

    def test_a_plan_alone_makes_nothing(self, running: World) -> None:
        plan_adoption("a", uri=URI, ports=running.ports)
        assert running.store.snapshot().objects == ()


class TestConflicts:
    def test_a_vm_of_the_same_name_is_left_alone_and_the_others_are_adopted(self, world: World) -> None:
        world.host("a", gpus=2).apply(vm_yaml("first") + "\n---" + vm_yaml("second")).settle()
        lose_store(world)
        world.apply(vm_yaml("first"))
        mine = world.vm("first")
        plan = adopted(world)
        verdicts = {each.key: each for each in plan.adoptees}
        refused = verdicts[Key("VirtualMachine", "default", "first")]
        assert refused.verdict is Verdict.REFUSED
        assert "VirtualMachine default/first exists, and is another one" in refused.reason
        assert verdicts[Key("VirtualMachine", "default", "second")].verdict is Verdict.ADOPTED
        assert world.vm("first").metadata.uid == mine.metadata.uid
        assert world.is_ready("second")

    def test_a_gpu_that_another_vm_has_claimed_is_named(self, running: World) -> None:
        plan = plan_adoption("a", uri=URI, ports=running.ports)
        claim = next(each for each in plan.adoptees[0].makes if isinstance(each, GPUClaim))
        owner = claim.spec.owner.model_copy(update={"uid": "another", "name": "thief"})
        running.store.create(claim.model_copy(update={"spec": claim.spec.model_copy(update={"owner": owner})}))
        (refused,) = adopted(running).adoptees
        assert refused.verdict is Verdict.REFUSED
        assert "is claimed by VirtualMachine default/thief" in refused.reason
        assert not running.exists("first")

    def test_a_disk_that_is_gone_is_named(self, running: World) -> None:
        running.ports.connector.connect(URI).volumes.delete("default", "hikube-default.first-system.qcow2")
        (refused,) = adopted(running).adoptees
        assert "volume hikube-default.first-system.qcow2 is not in pool default" in refused.reason

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "bears no record"),
            ("{", "damaged"),
            ("[]", "damaged"),
            ('{"version": 2}', "version 2"),
            ('{"version": 1}', "cannot be read"),
        ],
    )
    def test_a_record_that_cannot_be_read_is_reported_with_its_domain(self, running: World, text: str, why: str) -> None:
        running.ports.connector.connect(URI).records.write("hikube-default.first", text)
        (found,) = adopted(running).adoptees
        assert (found.verdict, found.domain.name) == (Verdict.UNRECORDED, "hikube-default.first")
        assert why in found.reason
        running.pass_time(1800)
        assert domain(running, "hikube-default.first").state is DomainState.RUNNING, "it stays a stranger"

    def test_a_record_of_another_vm_is_not_believed(self, running: World) -> None:
        records = running.ports.connector.connect(URI).records
        data = json.loads(records.read("hikube-default.first"))
        data["machine"]["uid"] = "another"
        records.write("hikube-default.first", json.dumps(data))
        (found,) = adopted(running).adoptees
        assert "of another VM" in found.reason

    def test_volumes_without_a_vm_are_listed_and_left(self, running: World) -> None:
        running.ports.connector.connect(URI).volumes.create("default", "hikube-disk-default.old.qcow2", size_bytes=1 << 20)
        plan = adopted(running)
        assert plan.left == ("hikube-disk-default.old.qcow2",)


class TestTheRecord:
    def test_it_follows_the_spec_of_a_running_vm(self, world: World) -> None:
        world.host("a").apply(vm_yaml("first")).settle()
        world.edit("first", ssh_keys=("ssh-ed25519 AAAA new",)).pass_time(60)
        assert record(world, "hikube-default.first").machine.spec["sshKeys"] == ["ssh-ed25519 AAAA new"]

    def test_a_running_vm_of_an_older_version_gets_one(self, world: World) -> None:
        world.host("a").apply(vm_yaml("first")).settle()
        world.ports.connector.connect(URI).records.write("hikube-default.first", "")
        world.store.update_status(world.vm("first").with_status(recorded_generation=0))
        world.pass_time(75)
        assert record(world, "hikube-default.first").is_handed_over
        assert boots(world, "hikube-default.first") == 1

    def test_an_image_of_ones_own_comes_back_without_the_credentials_of_its_url(self, world: World) -> None:
        builtin = world.tables.images["ubuntu-2404"].spec
        url = f"{builtin.url}?signature=canary".replace("https://", "https://user:canary@")
        spec = builtin.model_copy(update={"url": url})
        world.store.create(Image.model_validate({"metadata": {"name": "mine"}, "spec": spec.as_json()}))
        world.host("a").apply(vm_yaml("first").replace("ubuntu-2404", "mine")).settle()
        assert world.is_ready("first"), world.summary()
        lose_store(world)
        (adoptee,) = adopted(world).adoptees
        image = world.store.get(Image, "mine")
        assert image.spec.url == builtin.url
        assert image.status.sha256
        assert any("credentials" in lost for lost in adoptee.lost)
        world.settle().annotate("first", "hikube.cloud/request", "restart:1")
        world.run(lambda: world.vm("first").status.handled_request == "restart:1").settle()
        assert world.is_ready("first")

    def test_a_host_that_takes_no_record_keeps_no_vm_from_its_tenant(self, world: World) -> None:
        from provisioner.drivers.simulated.faults import Fault
        from provisioner.model.errors import HypervisorError

        world.fleet.faults.stage(Fault(HypervisorError("no metadata"), call="records.*", times=1000))
        world.host("a").apply(vm_yaml("first")).settle()
        assert world.is_ready("first")
        world.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("first").status.phase is Phase.STOPPED)
        assert any(event.reason == "NotRecorded" for event in world.store.events())
