"""What happens to a VM, told as stories in virtual time."""

from __future__ import annotations

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.model.errors import HostUnreachable, HypervisorError
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost
from provisioner.model.secret import Secret
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, Phase, RunStrategy
from tests.lifecycle.world import World, vm_yaml


def test_a_vm_gets_ready_and_leaves_no_trace(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    vm = world.vm("first")
    assert world.is_ready("first")
    assert vm.status.phase is Phase.READY
    assert vm.status.host == "a"
    assert vm.status.address
    assert [gpu.name for gpu in vm.status.gpus] == ["nvidia.com/AD102GL_L40S"]
    assert vm.status.gpus[0].uuid.startswith("GPU-")
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []
    assert world.store.list(Secret).items == ()


def test_the_conditions_come_in_the_order_of_the_table(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    order = [known.type for known in world.vm("first").status.conditions if known.type != "Ready"]
    assert order == [
        "Scheduled", "ImageReady", "DisksReady", "SeedReady", "NetworkReady", "DevicesBound",
        "Defined", "Started", "AddressKnown", "Reachable", "GPUsProven", "GPUHealthy",
    ]  # fmt: skip


def test_a_vm_waits_for_the_last_gpu_and_takes_it_when_it_is_free(world: World) -> None:
    world.host("a", gpus=1).apply(vm_yaml("first")).settle()
    world.apply(vm_yaml("second")).settle()
    waiting = world.condition("second", "Scheduled")
    assert waiting is not None
    assert (waiting.status, waiting.reason, waiting.message) == ("False", "InsufficientGPUs", "1 host: 0 of 1 L40S free")
    world.delete("first").run(lambda: world.is_ready("second"))
    assert len(world.store.list(GPUClaim).items) == 1


def test_our_keys_are_gone_once_the_vm_is_handed_over(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    (secret,) = world.store.list(Secret).items
    assert set(secret.spec.data) == {"hostPublicKey", "instanceId"}
    volumes = world.ports.connector.connect("simulated://a").volumes.list("default", prefix="hikube-")
    assert not [volume.name for volume in volumes if volume.name.endswith(".iso")]


def test_halting_releases_the_gpu_and_keeps_the_disk(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    world.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("first").status.phase is Phase.STOPPED)
    assert {leak.kind for leak in world.leaks()} == {"volume"}
    assert world.store.list(GPUClaim).items == ()
    assert world.vm("first").status.host == "a"
    world.edit("first", run_strategy=RunStrategy.ALWAYS).run(lambda: world.is_ready("first"))


def test_a_restart_request_is_acted_on_once(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    booted = world.vm("first").status.boot_id
    claim = world.store.list(GPUClaim).items[0].metadata.uid
    world.annotate("first", REQUEST_ANNOTATION, "restart:1")
    world.run(lambda: world.is_ready("first") and world.vm("first").status.boot_id not in ("", booted))
    again = world.vm("first").status.boot_id
    assert world.store.list(GPUClaim).items[0].metadata.uid == claim, "a restart keeps its GPU"
    world.pass_time(600)
    assert world.vm("first").status.boot_id == again


def test_a_change_of_gpus_waits_for_a_restart(world: World) -> None:
    world.host("a", gpus=2).apply(vm_yaml("first")).settle()
    world.apply(vm_yaml("first", gpus=2)).pass_time(60)
    told = world.condition("first", "RestartRequired")
    assert told is not None and told.status == "True" and "gpus" in told.message.lower()
    assert len(world.store.list(GPUClaim).items) == 1
    world.annotate("first", REQUEST_ANNOTATION, "restart:1")
    world.run(lambda: world.is_ready("first") and len(world.vm("first").status.gpus) == 2)
    told = world.condition("first", "RestartRequired")
    world.pass_time(30)
    told = world.condition("first", "RestartRequired")
    assert told is not None and told.status == "False"


def test_a_host_that_is_away_for_ten_minutes_only_delays(world: World) -> None:
    world.host("a").apply(vm_yaml("first"))
    world.run(lambda: world.vm("first").status.phase is Phase.BOOTING)
    world.fleet.faults.stage(Fault(HostUnreachable("away"), call="*", host="a", times=300))
    world.settle()
    assert world.is_ready("first")
    assert world.vm("first").status.consecutive_failures == 0


def test_deletion_while_the_host_is_away_completes_when_it_is_back(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    world.fleet.faults.stage(Fault(HostUnreachable("away"), call="*", host="a", times=20))
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []


def test_a_guest_that_never_answers_is_tried_three_times_and_then_given_up_clean(world: World) -> None:
    world.host("a")
    world.fleet.host("a").behave(answers_ssh=False)
    world.apply(vm_yaml("first")).settle()
    vm = world.vm("first")
    assert vm.status.phase is Phase.FAILED
    assert vm.status.consecutive_failures == 3
    assert "reach took more than" in vm.status.last_failure
    assert world.leaks() == []


def test_a_guest_with_too_few_gpus_is_never_ready(world: World) -> None:
    world.host("a", gpus=2)
    world.fleet.host("a").behave(missing_gpus=1)
    world.apply(vm_yaml("first", gpus=2)).settle()
    assert world.vm("first").status.phase is Phase.FAILED
    assert world.leaks() == []


def test_a_crashed_qemu_is_started_again(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    booted = world.vm("first").status.boot_id
    world.fleet.host("a").kill_qemu(world.vm("first").status.domain)
    world.run(lambda: world.is_ready("first") and world.vm("first").status.boot_id not in ("", booted))


def test_once_runs_once(world: World) -> None:
    world.host("a").apply(vm_yaml("first", extra="  runStrategy: Once\n")).settle()
    world.ports.connector.connect("simulated://a").domains.shutdown(world.vm("first").status.domain)
    world.run(lambda: world.vm("first").status.phase is Phase.STOPPED)
    world.pass_time(3600)
    assert world.vm("first").status.phase is Phase.STOPPED


HELD_AT = {
    "images.fetch": "ImageReady",
    "volumes.create": "DisksReady",
    "volumes.upload": "SeedReady",
    "devices.bind_vfio": "DevicesBound",
    "domains.define": "Defined",
    "domains.start": "Started",
    "domains.addresses": "AddressKnown",
    "guests.report": "Reachable",
    "guests.hand_over": "Ready",
}


@pytest.mark.parametrize(("call", "condition"), HELD_AT.items())
def test_deletion_in_any_state(world: World, call: str, condition: str) -> None:
    world.host("a").settle()
    skip = 1 if call == "volumes.upload" else 0  # the base image is uploaded first
    world.fleet.faults.stage(Fault(HypervisorError("held"), call=call, skip=skip, times=10**6))
    world.apply(vm_yaml("first"))
    world.run(lambda: (found := world.condition("first", condition)) is not None and "held" in found.message)
    world.fleet.faults.clear()
    world.delete("first").run(lambda: not world.exists("first"))
    assert world.leaks() == []


def test_a_host_cannot_go_while_a_vm_lives_on_it(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    world.delete("a", GPUHost).pass_time(120)
    assert world.exists("a", GPUHost)
    world.delete("first").run(lambda: not world.exists("a", GPUHost))
