"""Every hope for the time after trouble hears of a world in which it has not come true, and of one in which it has."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest

from provisioner.drivers.simulated.state import VolumeState
from provisioner.model.metadata import Metadata, OwnerReference
from provisioner.model.network import AddressReservation, Publication
from provisioner.model.secret import Secret
from provisioner.model.virtual_machine import Phase, RunStrategy, VirtualMachine
from tests.simulation.checks.coming_right import Hope, coming_right
from tests.simulation.checks.liveness import LOOK_AROUND_S, Ending
from tests.simulation.checks.nothing_left import DeletionEnds, HostsGo, drivers_now, nothing_left
from tests.simulation.stage import L40S, Stage
from tests.simulation.trial import Tally
from tests.simulation.violation import Violation

HOST = "h01"


def test_a_fleet_that_comes_right_and_goes(stage: Stage) -> None:
    drivers, tally = drivers_now(stage.sight), Tally()
    stage.run_vm("red", external=True)
    stage.run_vm_on_disk("blue")
    Ending(stage.universe, stage.sight, tally, drivers=drivers).run()
    assert tally.checks > 0
    assert {each.kind for each in stage.store.snapshot().objects} == {"GPUHistory", "Image"}


def test_an_ending_in_which_trouble_does_not_stop_is_a_violation(stage: Stage) -> None:
    stage.run_vm()
    host, look = stage.host_of(), stage.universe.on_event

    def look_and_break(what: str) -> None:
        host.set_link("down")
        look(what)

    stage.universe.on_event = look_and_break
    with pytest.raises(Violation, match=r"^(machines|hosts)-come-right: not so within 600 s"):
        ending(stage).run()


def test_a_fleet_that_finds_no_rest(stage: Stage) -> None:
    vm, look = stage.run_vm(), stage.universe.on_event

    def look_and_wake(what: str) -> None:
        stage.universe.processes[-1].controller.queue.add(vm.key, after_s=0.3)
        look(what)

    stage.universe.on_event = look_and_wake
    with pytest.raises(Violation, match=r"^quiet-fleets-are-quiet: \d+ passes in 330 s, for 1 VMs on 3 hosts"):
        ending(stage).run()


def test_a_vm_that_does_not_stay_ready(stage: Stage) -> None:
    vm, look = stage.run_vm(), stage.universe.on_event
    ready_until_s = stage.universe.clock.monotonic_s() + LOOK_AROUND_S + 150.0

    def look_and_fail(what: str) -> None:
        if stage.universe.clock.monotonic_s() > ready_until_s:
            stage.write(stage.vm(), phase=Phase.FAILED)
        look(what)

    assert vm.status.phase is Phase.READY
    stage.universe.on_event = look_and_fail
    with pytest.raises(Violation, match=r"^ready-machines-stay-ready: VirtualMachine default/red was Ready"):
        ending(stage).run()


def test_a_vm_that_does_not_come_up(stage: Stage) -> None:
    stage.write(stage.run_vm(), phase=Phase.FAILED)
    assert "default/red is Failed" in not_yet(stage, coming_right(), "machines-come-right")


def test_a_vm_that_is_stopped_as_it_shall_be(stage: Stage) -> None:
    vm = stage.run_vm()
    stage.store.update(vm.model_copy(update={"spec": vm.spec.model_copy(update={"run_strategy": RunStrategy.HALTED})}))
    stage.look()
    assert not_yet(stage, coming_right(), "machines-come-right")
    stage.live()
    assert not not_yet(stage, coming_right(), "machines-come-right")


def test_a_vm_that_waits_for_what_is_there(stage: Stage) -> None:
    vm = stage.run_vm()
    stage.say(vm, "Scheduled", "False", reason="InsufficientGPUs", message="1 host: 0 of 1 L40S free")
    stage.say(stage.vm(), "Ready", "False")
    stage.write(stage.vm(), phase=Phase.PENDING)
    assert "would take it" in not_yet(stage, coming_right(), "waiting-machines-say-the-truth")


def test_a_vm_that_waits_for_what_is_not_there(stage: Stage) -> None:
    for number in range(7):
        stage.store.create(machine(f"vm{number}"))
    stage.live(900.0)
    assert sum(vm.status.phase == "Pending" for vm in stage.store.list(VirtualMachine).items) == 1
    for name in ("machines-come-right", "waiting-machines-say-the-truth"):
        assert not not_yet(stage, coming_right(), name)


def test_a_vm_that_waits_and_does_not_say_for_what(stage: Stage) -> None:
    vm = stage.run_vm()
    stage.write(vm, conditions=(), phase=Phase.PENDING)
    assert "does not say for what" in not_yet(stage, coming_right(), "waiting-machines-say-the-truth")


def test_a_claim_that_is_not_home(stage: Stage) -> None:
    stage.run_vm()
    stage.write(stage.claim(), released_at="2026-01-01T00:00:00Z")
    assert "GPUClaim h01.0000-41-00.0" in not_yet(stage, coming_right(), "claims-get-home")


def test_a_domain_and_a_publication_of_nobody(stage: Stage) -> None:
    stage.run_vm()
    with stage.host_of().peek() as state:
        record = copy.deepcopy(state.domains[stage.vm().status.domain])
        record.config.name, record.config.owner_uid = "hikube-default.other", "gone"
        state.domains["hikube-default.other"] = record
        publication = Publication(name="hikube-default.third", guest_address="", subnet="", bridge="")
        state.wires.publications[publication.table] = publication
    assert "domain hikube-default.other of gone" in not_yet(stage, coming_right(), "orphan-domains-get-home")
    assert "hikube-default.third" in not_yet(stage, coming_right(), "stray-publications-get-home")


def test_a_gpu_that_is_not_home(stage: Stage) -> None:
    with stage.universe.fleet.host(HOST).peek() as state:
        state.functions["0000:41:00.0"].driver = "vfio-pci"
    assert "0000:41:00.0 of h01 is on vfio-pci" in not_yet(stage, coming_right(), "stray-gpus-get-home")


def test_a_host_that_is_not_ready(stage: Stage) -> None:
    stage.say(stage.gpu_host(HOST), "Ready", "False")
    assert "GPUHost h01 is not Ready" in not_yet(stage, coming_right(), "hosts-come-right")


def test_a_disk_that_does_not_go(stage: Stage) -> None:
    disk = stage.run_vm_on_disk()
    stage.strip(next(vm for vm in stage.sight.machines()))
    stage.write(stage.disk(), used_by="")
    stage.store.delete(disk.key)
    assert "VMDisk default/data is to be deleted" in not_yet(stage, coming_right(), "disks-come-right")


def test_a_deletion_that_does_not_end(stage: Stage) -> None:
    stage.run_vm()
    assert "VirtualMachine default/red is still there" in not_yet(stage, (DeletionEnds(),), "deletion-ends")


def test_a_host_with_something_of_everything_left(stage: Stage) -> None:
    stage.run_vm()
    domain = stage.vm().status.domain
    with stage.host_of().peek() as state:
        state.pools["default"].volumes["hikube-x"] = VolumeState(
            name="hikube-x", path="/hikube-x", capacity_bytes=1, allocation_bytes=1
        )
        state.wires.filters["hikube-y"] = ""
        state.wires.reservations["default"] = (AddressReservation(mac_address="52:54:00:00:00:01", address="192.168.122.7"),)
    said = not_yet(stage, nothing_left({}), "nothing-is-left")
    for what in (domain, "hikube-x", "filter hikube-y", "192.168.122.7 for"):
        assert what in said


def test_a_secret_of_nobody(stage: Stage) -> None:
    owner = OwnerReference(kind="VirtualMachine", name="red", uid="gone")
    stage.store.create(Secret(metadata=Metadata(name="red-access", namespace="default", owner_references=(owner,))))
    assert "Secret default/red-access" in not_yet(stage, nothing_left({}), "secrets-go-with-their-vms")


def test_a_driver_that_is_another_one(stage: Stage) -> None:
    drivers = drivers_now(stage.sight)
    assert not not_yet(stage, nothing_left(drivers), "drivers-are-as-at-first")
    stage.run_vm()
    said = not_yet(stage, nothing_left(drivers), "drivers-are-as-at-first")
    assert "0000:41:00.1 of h01 is on vfio-pci, and was on snd_hda_intel" in said


def test_a_host_that_does_not_go(stage: Stage) -> None:
    assert "GPUHost h01 has no users and does not go" in not_yet(stage, (HostsGo(),), "hosts-can-be-removed")


def not_yet(stage: Stage, hopes: Sequence[Hope], name: str) -> str:
    """What that hope says of the fleet as it is."""
    stage.look()
    (hope,) = [hope for hope in hopes if hope.name == name]
    return "\n".join(hope.wrong(stage.sight))


def machine(name: str) -> VirtualMachine:
    """One with an L40S; there are six."""
    return VirtualMachine.model_validate(
        {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "instanceType": "u1.large",
                "gpus": [{"name": L40S}],
                "systemDisk": {"image": "ubuntu-2404", "storage": "10Gi"},
            },
        }
    )


def ending(stage: Stage) -> Ending:
    """One that does not wait for long."""
    return Ending(stage.universe, stage.sight, Tally(), drivers={}, bound_s=600.0)
