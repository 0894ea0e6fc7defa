"""keepOnVfio: free GPUs live on vfio-pci, are put there again after a boot of the host, and one that clings is taken out."""

from __future__ import annotations

from provisioner.drivers.simulated.faults import Fault
from provisioner.model.errors import DeviceBusy, HostTimeout
from provisioner.model.gpu_host import GPUHost
from tests.lifecycle.world import World, vm_yaml

FIRST, SECOND = "0000:41:00.0", "0000:42:00.0"
AUDIO = ("0000:41:00.1", "0000:42:00.1")


def _kept_host(world: World, **changes: object) -> World:
    world.host("a", gpus=2)
    host = world.store.get(GPUHost, "a")
    spec = host.spec.model_copy(update={"keep_on_vfio": True} | changes)
    world.store.update(host.model_copy(update={"spec": spec}))
    return world


def _drivers(world: World, *addresses: str) -> set[str]:
    with world.fleet.host("a").peek() as state:
        return {state.functions[address].driver for address in addresses}


def _codes(world: World) -> set[str]:
    return {finding.code for finding in world.store.get(GPUHost, "a").status.findings}


def _all_kept(world: World) -> bool:
    return _drivers(world, FIRST, SECOND, *AUDIO) == {"vfio-pci"}


def test_free_gpus_are_put_on_vfio_with_all_that_travels_with_them(world: World) -> None:
    _kept_host(world).run(lambda: _all_kept(world))
    world.run(lambda: "HK-DOC-208" not in _codes(world), timeout_s=120)
    assert world.store.get(GPUHost, "a").status.gpus[0].function.driver == "vfio-pci"


def test_they_are_put_there_again_after_the_host_was_booted(world: World) -> None:
    _kept_host(world).run(lambda: _all_kept(world))
    world.fleet.host("a").reboot()
    assert not _all_kept(world)
    world.run(lambda: _all_kept(world), timeout_s=600)


def test_a_host_without_that_wish_is_left_alone(world: World) -> None:
    world.host("a", gpus=2).settle().pass_time(600)
    assert _drivers(world, FIRST, SECOND) == {"nvidia"}


def test_quarantined_retired_and_held_gpus_are_left_alone(world: World) -> None:
    _kept_host(world, retired=(SECOND,))
    world.fleet.host("a").hold(FIRST, by="python3 (pid 7)")
    world.settle().pass_time(600)
    assert _drivers(world, FIRST, SECOND) == {"nvidia"}
    assert world.store.get(GPUHost, "a").status.quarantined == ()


def test_nothing_of_another_card_is_taken_from_the_host_also_before_anybody_could_look_inside(world: World) -> None:
    world.fleet.faults.stage(Fault(HostTimeout("hangs"), call="inventory.examine", times=10**6))
    _kept_host(world)
    with world.fleet.host("a").peek() as state:
        for address in (FIRST, SECOND, *AUDIO):
            state.functions[address].iommu_group = 20
    world.pass_time(600)
    assert world.fleet.calls.count("devices.bind_vfio") == 0


def test_one_that_does_not_let_go_is_quarantined_and_the_other_is_bound(world: World) -> None:
    _kept_host(world)
    world.fleet.host("a").block_unbind(FIRST)
    world.run(lambda: _drivers(world, SECOND) == {"vfio-pci"}, timeout_s=600)
    (entry,) = world.store.get(GPUHost, "a").status.quarantined
    assert (entry.address, entry.cause) == (FIRST, "Hangs")


def test_one_that_is_refused_is_told_and_tried_again(world: World) -> None:
    world.fleet.faults.stage(Fault(DeviceBusy("held for a moment"), call="devices.bind_vfio", subject=FIRST))
    _kept_host(world).run(lambda: _all_kept(world), timeout_s=900)
    assert [event.message for event in world.store.events() if event.reason == "NotKeptOnVfio"] == [
        f"{FIRST}: held for a moment"
    ]


def test_a_vm_takes_a_gpu_that_is_kept(world: World) -> None:
    _kept_host(world).run(lambda: _all_kept(world))
    world.apply(vm_yaml("first")).run(lambda: world.is_ready("first"))
