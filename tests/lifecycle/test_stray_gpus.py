"""GPUs on vfio-pci whose claim was lost: those that we put there go home clean; an operator's choice is told of only."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.clocks import SeededIdentifiers
from provisioner.lifecycle.assembly import controller_of
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.metadata import Metadata
from provisioner.store.memory import MemoryStore
from tests.lifecycle.world import World, vm_yaml

FIRST, AUDIO = "0000:41:00.0", "0000:41:00.1"
REFRESH_S = 400.0


def _drivers(world: World) -> list[tuple[str, str]]:
    with world.fleet.host("a").peek() as state:
        return [(state.functions[each].driver, state.functions[each].driver_override) for each in (FIRST, AUDIO)]


def _put_on_vfio(world: World) -> None:
    for address in (FIRST, AUDIO):
        world.ports.connector.connect("simulated://a").devices.bind_vfio(address, timeout_s=1)


def _codes(world: World) -> set[str]:
    return {finding.code for finding in world.store.get(GPUHost, "a").status.findings}


def test_a_gpu_that_nobody_has_claimed_is_cleaned_and_goes_home(world: World) -> None:
    world.host("a").settle()
    before = _drivers(world)
    _put_on_vfio(world)
    world.run(lambda: bool(world.store.list(GPUClaim).items), timeout_s=REFRESH_S)
    (claim,) = world.store.list(GPUClaim).items
    assert claim.is_released
    world.run(lambda: not world.store.list(GPUClaim).items, timeout_s=60)
    assert _drivers(world) == before
    ((entry,),) = [history.status.entries for history in world.histories()]
    assert (entry.owner.name, entry.cleaning.reset, entry.outcome) == ("nobody-known", "done by flr", "Free")
    assert [event.reason for event in world.store.events() if event.reason == "StrayGPU"] == ["StrayGPU"]
    world.run(lambda: not _codes(world), timeout_s=REFRESH_S)


def test_nobody_gets_it_before_it_is_clean(world: World) -> None:
    world.host("a").settle()
    _put_on_vfio(world)
    world.run(lambda: bool(world.store.list(GPUClaim).items), timeout_s=REFRESH_S)
    world.apply(vm_yaml("next")).run(lambda: world.is_ready("next"))
    (entry,) = world.histories()[0].status.entries
    assert entry.owner.name == "nobody-known" and entry.cleaning.reset == "done by flr"


def test_a_vm_that_was_removed_by_hand_with_domain_and_claim_leaves_no_gpu_behind(world: World) -> None:
    world.host("a").settle()
    before = _drivers(world)
    world.apply(vm_yaml("first")).settle()
    domain = world.vm("first").status.domain
    world.delete("first")
    world.store.update(world.vm("first").with_metadata(finalizers=()))
    world.fleet.host("a").kill_qemu(domain)
    world.ports.connector.connect("simulated://a").domains.undefine(domain)
    world.store.delete(world.store.list(GPUClaim).items[0].key)
    assert _drivers(world) != before
    world.run(lambda: any(claim.is_released for claim in world.store.list(GPUClaim).items), timeout_s=2 * REFRESH_S)
    world.run(lambda: not world.store.list(GPUClaim).items, timeout_s=60)
    assert _drivers(world) == before


def test_one_that_hangs_on_its_way_to_whichever_driver_is_not_free(world: World) -> None:
    world.host("a").settle()
    _put_on_vfio(world)
    world.run(lambda: bool(world.store.list(GPUClaim).items), timeout_s=REFRESH_S)
    world.fleet.host("a").block_unbind(FIRST)
    world.run(lambda: not world.store.list(GPUClaim).items, timeout_s=900)
    (entry,) = world.store.get(GPUHost, "a").status.quarantined
    assert (entry.address, entry.cause) == (FIRST, "NotRestored")


@pytest.mark.parametrize("is_rebooted", [False, True], ids=["before this store knew the host", "by a boot of the host"])
def test_what_may_be_an_operators_choice_is_told_and_left_alone(world: World, is_rebooted: bool) -> None:
    world.host("a")
    if is_rebooted:
        world.settle()
        world.fleet.host("a").reboot()
    _put_on_vfio(world)
    world.run(lambda: _codes(world) == {"HK-DOC-223"}, timeout_s=2 * REFRESH_S).pass_time(2 * REFRESH_S)
    assert world.store.list(GPUClaim).items == () and _drivers(world) == [("vfio-pci", "vfio-pci")] * 2


def test_a_running_domain_that_is_a_strangers_keeps_its_gpu(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    store = MemoryStore(clock=world.clock, identifiers=SeededIdentifiers(9))
    store.create(GPUHost(metadata=Metadata(name="a"), spec=GPUHostSpec(uri="simulated://a")))
    controller_of(replace(world.ports, store=store), workers=0).run_until(lambda: False, timeout_s=2 * REFRESH_S)
    assert store.list(GPUClaim).items == () and world.is_ready("first")
    assert _drivers(world) == [("vfio-pci", "vfio-pci")] * 2


def test_a_host_that_no_longer_keeps_its_gpus_on_vfio_gives_them_back(world: World) -> None:
    world.host("a").settle()
    before = _drivers(world)
    world.configure("a", keep_on_vfio=True).run(lambda: _drivers(world) == [("vfio-pci", "vfio-pci")] * 2)
    world.pass_time(2 * REFRESH_S)
    assert "HK-DOC-223" not in _codes(world) and world.store.list(GPUClaim).items == ()
    world.configure("a", keep_on_vfio=False).run(lambda: _drivers(world) == before, timeout_s=2 * REFRESH_S)
