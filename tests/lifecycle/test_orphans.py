"""Domains and claims whose VM is gone: sent home by the host's sweep, GPUs restored; strangers are left alone."""

from __future__ import annotations

from dataclasses import replace

from provisioner.clocks import SeededIdentifiers
from provisioner.drivers.hypervisor import DomainState
from provisioner.drivers.simulated.faults import Fault
from provisioner.lifecycle.assembly import controller_of
from provisioner.lifecycle.orphans import STRANGERS_ANNOTATION, sweep_orphans
from provisioner.lifecycle.view import View
from provisioner.model.domain_names import system_volume
from provisioner.model.errors import DeviceBusy, HostUnreachable
from provisioner.model.gpu_claim import ClaimOwner, GPUClaim
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.metadata import Metadata
from provisioner.store.memory import MemoryStore
from tests.lifecycle.world import World, vm_yaml

SWEPT_S = 900.0


def _remove_by_force(world: World, name: str) -> str:
    """Somebody deletes the VM and strips it of its finalizer; the name of its domain."""
    vm = world.vm(name)
    world.delete(name)
    world.store.update(world.vm(name).with_metadata(finalizers=()))
    assert not world.exists(name)
    return vm.status.domain


def _domain(world: World, name: str) -> DomainState:
    found = world.ports.connector.connect("simulated://a").domains.look(name)
    return found.state if found is not None else DomainState.ABSENT


def test_a_vm_that_was_removed_by_force_is_taken_home(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    domain = _remove_by_force(world, "first")
    assert len(world.store.list(GPUClaim).items) == 1, "the claim outlives its owner while the domain has the GPU"
    world.run(lambda: not world.store.list(GPUClaim).items, timeout_s=SWEPT_S)
    assert _domain(world, domain) is DomainState.ABSENT
    assert {leak.kind for leak in world.leaks()} == {"volume"}, "data is nobody's to delete"
    told = {event.reason for event in world.store.events()}
    assert {"OrphanRemoved", "OrphanReleased"} <= told


def test_what_an_orphan_printed_goes_with_it_and_its_disk_stays(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    domain = _remove_by_force(world, "first")
    world.run(lambda: not world.store.list(GPUClaim).items, timeout_s=SWEPT_S)
    volumes = world.ports.connector.connect("simulated://a").volumes.list("default", prefix="hikube-")
    assert [volume.name for volume in volumes if not volume.name.startswith("hikube-base-")] == [system_volume(domain)]


def test_an_orphan_whose_pool_is_away_is_taken_home_all_the_same(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    domain = _remove_by_force(world, "first")
    with world.fleet.host("a").peek() as state:
        state.pools["default"].is_active = False
    world.run(lambda: not world.store.list(GPUClaim).items, timeout_s=SWEPT_S)
    assert _domain(world, domain) is DomainState.ABSENT
    assert "OrphanRemoved" in {event.reason for event in world.store.events()}


def test_a_gpu_that_is_busy_for_a_moment_when_its_orphan_goes_is_not_quarantined(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    _remove_by_force(world, "first")
    world.fleet.faults.stage(Fault(DeviceBusy("held"), call="devices.restore", times=2))
    world.run(lambda: not world.store.list(GPUClaim).items, timeout_s=SWEPT_S)
    assert world.store.get(GPUHost, "a").status.quarantined == ()
    assert {leak.kind for leak in world.leaks()} == {"volume"}


def test_an_orphan_without_a_claim_gives_its_gpu_back(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    domain = _remove_by_force(world, "first")
    (claim,) = world.store.list(GPUClaim).items
    world.store.delete(claim.key)
    world.pass_time(SWEPT_S)
    assert _domain(world, domain) is DomainState.ABSENT
    assert {leak.kind for leak in world.leaks()} == {"volume"}
    (entry,) = world.histories()[0].status.entries
    assert (entry.owner.name, entry.cleaning.reset) == (domain, "done by flr"), "cleaned as after any other tenant"


def test_a_claim_made_while_an_orphan_has_the_gpu_gives_way_to_its_cleaning(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    domain = _remove_by_force(world, "first")
    (before,) = world.store.list(GPUClaim).items
    other = ClaimOwner(kind="VirtualMachine", namespace="default", name="second", uid="second-uid")
    world.store.delete(before.key)
    world.store.create(
        GPUClaim(metadata=Metadata(name=before.metadata.name), spec=before.spec.model_copy(update={"owner": other}))
    )
    hypervisor = world.ports.connector.connect("simulated://a")
    for _ in range(2):
        sweep_orphans(View(world.store.get(GPUHost, "a"), world.ports), hypervisor)
    (claim,) = world.store.list(GPUClaim).items
    assert claim.is_released and claim.was_given and claim.spec.owner.name == domain
    assert world.leaks() == [leak for leak in world.leaks() if leak.kind == "volume"]
    assert world.histories()[0].status.entries[-1].cleaning.reset == "done by flr"


def test_the_gpu_of_an_orphan_goes_to_nobody_before_it_is_home(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    _remove_by_force(world, "first")
    world.apply(vm_yaml("second")).pass_time(10)
    waiting = world.condition("second", "Scheduled")
    assert waiting is not None and waiting.reason == "GPUsBeingCleaned"
    world.run(lambda: world.is_ready("second"), timeout_s=SWEPT_S)


def test_a_vm_of_the_name_of_one_that_was_removed_by_force_gets_its_address_under_that_name(world: World) -> None:
    world.host("a").apply(vm_yaml("first", gpus=0)).settle()
    _remove_by_force(world, "first")
    world.fleet.host("a").kill_qemu("hikube-default.first")
    world.ports.connector.connect("simulated://a").domains.undefine("hikube-default.first")
    world.apply(vm_yaml("first", gpus=0)).run(lambda: world.is_ready("first"), timeout_s=300)
    assert world.vm("first").status.consecutive_failures == 0


def test_domains_that_were_there_before_this_store_are_left_alone(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    domain = world.vm("first").status.domain
    store = MemoryStore(clock=world.clock, identifiers=SeededIdentifiers(9))
    store.create(GPUHost(metadata=Metadata(name="a"), spec=GPUHostSpec(uri="simulated://a")))
    controller_of(replace(world.ports, store=store), workers=0).run_until(lambda: False, timeout_s=2 * SWEPT_S)
    assert _domain(world, domain) is DomainState.RUNNING
    assert store.get(GPUHost, "a").metadata.annotations[STRANGERS_ANNOTATION]
    assert any(event.reason == "StrangeDomain" for event in store.events())


def test_they_are_left_alone_also_if_the_first_looks_at_them_failed(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    domain = world.vm("first").status.domain
    store = MemoryStore(clock=world.clock, identifiers=SeededIdentifiers(9))
    store.create(GPUHost(metadata=Metadata(name="a"), spec=GPUHostSpec(uri="simulated://a")))
    world.fleet.faults.stage(Fault(HostUnreachable("away"), call="domains.owned", times=3))
    controller_of(replace(world.ports, store=store), workers=0).run_until(lambda: False, timeout_s=2 * SWEPT_S)
    assert _domain(world, domain) is DomainState.RUNNING


def test_a_host_takes_no_orphan_of_this_store_with_it(world: World) -> None:
    world.host("a").apply(vm_yaml("first", gpus=0)).settle()
    domain = _remove_by_force(world, "first")
    world.delete("a", GPUHost).run(lambda: not world.exists("a", GPUHost), timeout_s=SWEPT_S)
    assert _domain(world, domain) is DomainState.ABSENT


def test_a_dead_host_without_users_can_be_removed(world: World) -> None:
    world.host("a").settle()
    world.fleet.host("a").set_link("down")
    world.delete("a", GPUHost).run(lambda: not world.exists("a", GPUHost), timeout_s=SWEPT_S)


def test_a_host_that_is_being_removed_is_still_swept(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    _remove_by_force(world, "first")
    world.delete("a", GPUHost).run(lambda: not world.exists("a", GPUHost), timeout_s=2 * SWEPT_S)
    assert world.store.list(GPUClaim).items == ()
