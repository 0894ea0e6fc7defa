"""Every check of VMs, their disks and their addresses hears of a world in which it must speak."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.drivers.simulated.state import DomainRecord, VolumeState
from provisioner.model import domain_names
from provisioner.model.metadata import Metadata, OwnerReference
from provisioner.model.network import Publication
from provisioner.model.secret import Secret, SecretSpec
from provisioner.model.virtual_machine import RunStrategy
from tests.simulation.checks.overdue import ORPHANED_MAX_S
from tests.simulation.checks.readiness import DEATH_UNNOTICED_MAX_S, UNNOTICED_MAX_S
from tests.simulation.stage import Stage


def test_a_vm_whose_domain_has_gone(stage: Stage) -> None:
    stage.run_vm()
    stage.host_of().kill_qemu(stage.vm().status.domain)
    stage.look()
    stage.wait(UNNOTICED_MAX_S / 2)
    assert not stage.says("ready-runs")
    stage.wait(UNNOTICED_MAX_S)
    assert "has not run on" in stage.says("ready-runs")


def test_a_vm_that_has_claimed_more_than_it_shows(stage: Stage) -> None:
    vm = stage.run_vm("red", gpus=2)
    stage.write(vm, gpus=vm.status.gpus[:1])
    stage.look()
    stage.wait(UNNOTICED_MAX_S / 2)
    assert not stage.says("ready-is-claimed")
    stage.wait(UNNOTICED_MAX_S)
    assert "has claimed GPUs that it does not show" in stage.says("ready-is-claimed")


def test_a_vm_whose_domain_comes_back(stage: Stage) -> None:
    stage.run_vm()
    stage.host_of().kill_qemu(stage.vm().status.domain)
    stage.live()
    stage.wait(2 * UNNOTICED_MAX_S)
    assert not stage.says("ready-runs")


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ({"missing_gpus": 1}, "do not show up in the guest"),
        ({"cloud_init": "hangs"}, "cloud-init is not done"),
        ({"nvidia_driver": ""}, "no driver is loaded"),
    ],
)
def test_a_proof_that_the_guest_would_not_give(stage: Stage, behaviour: dict[str, Any], why: str) -> None:
    stage.run_vm()
    unproven(stage)
    stage.host_of().behave(**behaviour)
    proven(stage)
    assert why in stage.says("proof-is-true")


def test_a_proof_of_another_boot(stage: Stage) -> None:
    stage.run_vm()
    unproven(stage)
    stage.write(stage.vm(), boot_id="another")
    proven(stage)
    assert "its boot is" in stage.says("proof-is-true")


def test_a_proof_of_a_domain_that_does_not_run(stage: Stage) -> None:
    stage.run_vm()
    unproven(stage)
    stage.host_of().kill_qemu(stage.vm().status.domain)
    proven(stage)
    assert "its domain does not run" in stage.says("proof-is-true")


def test_a_vm_that_is_ready_with_its_seed_beside_it(stage: Stage) -> None:
    vm = stage.run_vm()
    stage.say(vm, "Ready", "False")
    stage.look()
    with stage.host_of().peek() as state:
        name = domain_names.seed_volume(vm.status.domain)
        state.pools["default"].volumes[name] = VolumeState(name=name, path=f"/{name}", capacity_bytes=1, allocation_bytes=1)
    stage.say(stage.vm(), "Ready", "True")
    assert "its seed" in stage.says("ready-is-handed-over")


def test_a_vm_that_is_ready_and_opens_to_the_controller(stage: Stage) -> None:
    vm = stage.run_vm()
    stage.say(vm, "Ready", "False")
    stage.look()
    system_disk(stage).guest.controller_keys = ("ssh-ed25519 AAAA",)  # type: ignore[union-attr]
    stage.say(stage.vm(), "Ready", "True")
    assert "the controller's key still opens it" in stage.says("ready-is-handed-over")


def test_a_vm_that_says_nothing_of_its_dead_gpu(stage: Stage) -> None:
    stage.run_vm()
    stage.host_of().die(stage.claim().spec.address)
    stage.look()
    stage.wait(DEATH_UNNOTICED_MAX_S / 2)
    assert not stage.says("dead-gpus-are-told")
    stage.wait(DEATH_UNNOTICED_MAX_S)
    assert "says nothing of its GPU" in stage.says("dead-gpus-are-told")


def test_a_vm_that_tells_of_its_dead_gpu(stage: Stage) -> None:
    stage.run_vm()
    stage.host_of().die(stage.claim().spec.address)
    stage.look()
    stage.live(DEATH_UNNOTICED_MAX_S + 400.0)
    assert not stage.says("dead-gpus-are-told")


def test_memory_that_is_promised_twice(stage: Stage) -> None:
    vm = stage.run_vm()
    running = vm.status.running_spec
    assert running is not None
    stage.write(vm, running_spec=running.model_copy(update={"memory_mib": 2**30}))
    assert "has promised 1073741824 MiB" in stage.says("memory-is-promised-once")


def test_cpus_that_are_promised_twice(stage: Stage) -> None:
    vm = stage.run_vm()
    running = vm.status.running_spec
    assert running is not None
    stage.write(vm, running_spec=running.model_copy(update={"vcpus": 1000}))
    assert "has promised 1000 vCPUs" in stage.says("memory-is-promised-once")


def test_an_external_address_of_two(stage: Stage) -> None:
    address = stage.run_vm("red", external=True).status.external_address
    assert address
    stage.write(stage.run_vm("blue"), external_address=address)
    assert f"{address} is the address of VirtualMachine default/blue and of" in stage.says("addresses-are-given-once")


def test_an_address_that_leads_to_two_guests(stage: Stage) -> None:
    for host in ("h01", "h02"):
        publication = Publication(
            name=f"hikube-default.{host}", guest_address="", subnet="", bridge="", external_address="203.0.113.30"
        )
        with stage.universe.fleet.host(host).peek() as state:
            state.wires.publications[publication.table] = publication
    stage.look()
    stage.wait(2 * ORPHANED_MAX_S)
    assert "203.0.113.30 leads to 2 guests" in stage.says("one-address-one-guest")
    assert "publication hikube-" in stage.says("orphans-go-home")


@pytest.mark.parametrize("is_made_anew", [False, True])
def test_a_disk_that_is_not_what_it_was(stage: Stage, is_made_anew: bool) -> None:
    vm = stage.run_vm()
    stage.look()
    with stage.host_of().peek() as state:
        volumes = state.pools[vm.status.system_pool].volumes
        disk = volumes.pop(vm.status.system_volume)
        if is_made_anew:
            volumes[disk.name] = copy.deepcopy(disk)
    said = stage.says("disks-stay-what-they-are")
    assert ("is another one than it was" if is_made_anew else "is not there any more") in said


def test_a_vm_disk_that_is_not_there(stage: Stage) -> None:
    disk = stage.run_vm_on_disk()
    stage.look()
    with stage.universe.fleet.host(disk.status.host).peek() as state:
        del state.pools[disk.status.pool].volumes[disk.status.volume]
    assert "with the data of VMDisk default/data, is not there any more" in stage.says("disks-stay-what-they-are")


def test_a_volume_of_two_guests(stage: Stage) -> None:
    stage.run_vm()
    double(stage, owner_uid=stage.vm().metadata.uid)
    assert "is written to by two guests" in stage.says("one-volume-one-guest")


def test_a_controller_that_stops_what_shall_run(stage: Stage) -> None:
    vm = stage.run_vm()
    stage.universe.stops.append((vm.status.host, "domains.destroy", vm.status.domain))
    assert "although VirtualMachine default/red is Ready and shall be up" in stage.says("nobody-stops-what-shall-run")


def test_a_controller_that_stops_what_shall_not_run(stage: Stage) -> None:
    vm = stage.run_vm()
    stage.store.update(vm.model_copy(update={"spec": vm.spec.model_copy(update={"run_strategy": RunStrategy.HALTED})}))
    stage.live()
    assert stage.vm().status.phase == "Stopped"
    assert not stage.says("nobody-stops-what-shall-run")


@pytest.mark.parametrize("is_undefined", [False, True])
def test_a_controller_that_touches_a_stranger(stage: Stage, is_undefined: bool) -> None:
    vm = stage.run_vm()
    record = double(stage, owner_uid="somebody elsewhere")
    stage.universe.strangers.add(record.config.uuid)
    assert not stage.says("strangers-are-left-alone")
    if is_undefined:
        with stage.host_of().peek() as state:
            del state.domains[record.config.name]
    else:
        stage.universe.stops.append((vm.status.host, "domains.shutdown", record.config.name))
    assert ("is gone" if is_undefined else "which was there before") in stage.says("strangers-are-left-alone")


def test_a_private_key_that_is_kept(stage: Stage) -> None:
    vm = stage.run_vm()
    secret = stage.store.get(Secret, f"{vm.metadata.name}-access", namespace="default")
    data = {**secret.spec.data, "controllerPrivateKey": "…"}
    stage.store.update(secret.model_copy(update={"spec": SecretSpec(data=data)}))
    assert "its Secret still has controllerPrivateKey" in stage.says("keys-are-forgotten")


def test_a_vm_that_goes_and_leaves_all(stage: Stage) -> None:
    vm = stage.run_vm("red", external=True)
    stage.strip(vm)
    said = stage.says("deleted-vms-leave-nothing")
    for what in (f"domain {vm.status.domain}", vm.status.system_volume, "the reservation of", "what was published for"):
        assert what in said
    assert "is still its own" in said


def test_a_vm_that_is_removed_by_force(stage: Stage) -> None:
    vm = stage.run_vm()
    stage.universe.removed_by_force.add(vm.metadata.uid)
    stage.strip(vm)
    assert not stage.says("deleted-vms-leave-nothing")


def test_a_disk_that_goes_and_leaves_its_volume(stage: Stage) -> None:
    disk = stage.run_vm_on_disk()
    stage.strip(disk)
    assert f"{disk.status.volume} is still in pool" in stage.says("deleted-disks-leave-nothing")


def test_a_secret_of_nobody(stage: Stage) -> None:
    owner = OwnerReference(kind="VirtualMachine", name="red", uid="gone")
    stage.store.create(Secret(metadata=Metadata(name="red-access", namespace="default", owner_references=(owner,))))
    assert "was written for VirtualMachine red (gone), who is gone" in stage.says("secrets-go-with-their-vms")


def test_a_domain_of_nobody(stage: Stage) -> None:
    stage.run_vm()
    double(stage, owner_uid="gone")
    stage.look()
    stage.wait(ORPHANED_MAX_S / 2)
    assert not stage.says("orphans-go-home")
    stage.wait(ORPHANED_MAX_S)
    assert "domain hikube-default.other (another) on" in stage.says("orphans-go-home")


def unproven(stage: Stage) -> None:
    stage.say(stage.vm(), "GPUsProven", "False")
    stage.look()


def proven(stage: Stage) -> None:
    """As seen after a pass: what the world itself does may have come after the report."""
    stage.say(stage.vm(), "GPUsProven", "True")
    stage.universe.touched.add(stage.vm().status.host)
    stage.begin_pass()
    stage.universe.on_event("pass")


def double(stage: Stage, *, owner_uid: str) -> DomainRecord:
    """Another domain runs beside the VM's, with everything that it has."""
    with stage.host_of().peek() as state:
        record = copy.deepcopy(state.domains[stage.vm().status.domain])
        for config in filter(None, (record.config, record.live)):
            config.name, config.uuid, config.owner_uid = "hikube-default.other", "another", owner_uid
        state.domains[record.config.name] = record
    return record


def system_disk(stage: Stage) -> VolumeState:
    vm, host = stage.vm(), stage.host_of()
    assert isinstance(host, SimulatedHost)
    with host.peek() as state:
        return state.pools[vm.status.system_pool].volumes[vm.status.system_volume]
