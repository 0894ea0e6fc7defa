"""Every check of GPUs and their owners hears of a world in which it must speak; in a life without trouble all are silent."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.drivers.simulated.inside import ScrubRun
from provisioner.drivers.simulated.state import DomainConfig
from provisioner.model.gpu_claim import ClaimOwner, GPUClaim, GPUClaimSpec
from provisioner.model.gpu_host import Quarantine, claim_name
from provisioner.model.metadata import Metadata
from provisioner.model.virtual_machine import REQUEST_ANNOTATION
from tests.simulation.checks.all import safety_checks
from tests.simulation.checks.control_loop import LOOKS_AT_ONE_MOMENT_MAX, WRITES_MAX
from tests.simulation.checks.ownership import CLEANING_MAX_S, UNNOTICED_MAX_S
from tests.simulation.checks.quarantine import START_MAX_S
from tests.simulation.stage import SCRUB, Stage

LONG_S = 4000.0


def test_a_life_without_trouble_is_looked_at_by_all_and_said_nothing_about(stage: Stage) -> None:
    stage.run_vm("red", external=True)
    stage.run_vm_on_disk("blue")
    stage.store.update(stage.vm("red").with_metadata(annotations={REQUEST_ANNOTATION: "restart:1"}))
    stage.live()
    for name in ("red", "green"):
        stage.delete(name) if name == "red" else stage.run_vm("green", gpus=2)
        stage.live(LONG_S)
    assert {check.name for check in safety_checks()} - stage.asked.keys() == set()
    assert {name: said for name, said in stage.heard.items() if said} == {}


def test_a_function_in_two_running_domains(stage: Stage) -> None:
    stage.run_vm()
    double(stage, "hikube-default.other")
    assert "is in two running domains" in stage.says("one-function-one-domain")


def test_a_vm_that_runs_twice(stage: Stage) -> None:
    stage.run_vm()
    with stage.host_of().peek() as state:
        record = copy.deepcopy(state.domains[stage.vm().status.domain])
    with stage.universe.fleet.host("h02").peek() as state:
        state.domains[record.config.name] = record
    assert "hikube-default.red on h01, hikube-default.red on h02" in stage.says("one-vm-one-domain")


def test_a_guest_that_is_started_with_a_barred_gpu(stage: Stage) -> None:
    stage.run_vm()
    quarantine_by_hand(stage, "h01")
    stage.look()
    stage.wait(START_MAX_S + 60.0)
    assert not stage.says("barred-gpus-go-to-no-guest"), "it had it before"
    stage.domain_of().starts += 1
    assert "which has been out of service for" in stage.says("barred-gpus-go-to-no-guest")


def test_a_host_that_is_cordoned_takes_somebody(stage: Stage) -> None:
    host = stage.gpu_host("h01")
    stage.store.update(host.model_copy(update={"spec": host.spec.model_copy(update={"cordoned": True})}))
    claim_by_hand(stage, "h01")
    assert not stage.says("cordoned-hosts-take-nobody"), "whoever chose it could not know"
    stage.strip(stage.store.list(GPUClaim).items[0])
    stage.begin_pass()
    claim_by_hand(stage, "h01")
    assert "which has been closed for" in stage.says("cordoned-hosts-take-nobody")


def test_a_domain_that_runs_without_a_claim(stage: Stage) -> None:
    stage.run_vm()
    stage.store.delete(stage.claim().key)
    assert "whose claim is of nobody" in stage.says("running-domains-are-claimed")


def test_a_domain_that_runs_with_anothers_claim(stage: Stage) -> None:
    stage.run_vm()
    stage.domain_of().live = replace(running(stage), owner_uid="another")
    assert "whose claim is of VirtualMachine default/red" in stage.says("running-domains-are-claimed")


def test_a_function_of_two_claims(stage: Stage) -> None:
    stage.run_vm("red", gpus=2)
    first, second = (claim for claim in stage.store.list(GPUClaim).items)
    stage.write(second, functions=(*second.status.functions, first.status.functions[-1]))
    assert "is a function of two claims" in stage.says("one-function-one-claim")


def test_a_claim_of_nobody(stage: Stage) -> None:
    claim_by_hand(stage, "h01")
    stage.wait(UNNOTICED_MAX_S / 2)
    assert not stage.says("claims-have-living-owners")
    stage.wait(UNNOTICED_MAX_S)
    assert "has had no owner for" in stage.says("claims-have-living-owners")


def test_a_released_gpu_that_stays_claimed(stage: Stage) -> None:
    stage.run_vm()
    stage.write(stage.claim(), released_at="2026-01-01T00:00:00Z")
    stage.wait(CLEANING_MAX_S / 2)
    assert not stage.says("released-gpus-come-free")
    stage.wait(CLEANING_MAX_S)
    assert "is not clean yet" in stage.says("released-gpus-come-free")


def test_time_in_which_a_host_does_not_answer_does_not_count(stage: Stage) -> None:
    stage.run_vm()
    stage.write(stage.claim(), released_at="2026-01-01T00:00:00Z")
    stage.host_of().set_link("down")
    stage.look()
    stage.wait(2 * CLEANING_MAX_S)
    assert not stage.says("released-gpus-come-free")


def test_a_quarantined_gpu_that_is_claimed(stage: Stage) -> None:
    quarantine_by_hand(stage, "h01")
    stage.look()
    stage.begin_pass()
    assert not stage.says("quarantined-gpus-stay-put")
    claim_by_hand(stage, "h01")
    assert "0000:41:00.0 of h01, quarantined (Operator) for" in stage.says("quarantined-gpus-stay-put")


def test_a_gpu_that_was_quarantined_while_it_was_claimed_goes_to_no_guest(stage: Stage) -> None:
    stage.begin_pass()
    quarantine_by_hand(stage, "h01")
    claim = claim_by_hand(stage, "h01")
    assert not stage.says("quarantined-gpus-stay-put"), "whoever claimed it could not know"
    stage.write(claim, given_at="2026-01-01T00:00:00Z")
    assert "is given to a guest" in stage.says("quarantined-gpus-stay-put")


def test_a_quarantined_gpu_that_is_claimed_by_whoever_was_not_told_goes_to_no_guest(stage: Stage) -> None:
    quarantine_by_hand(stage, "h01")
    stage.look()
    stage.begin_pass()
    stage.universe.gate.losses += 1
    claim = claim_by_hand(stage, "h01")
    assert not stage.says("quarantined-gpus-stay-put")
    stage.write(claim, given_at="2026-01-01T00:00:00Z")
    assert "is given to a guest" in stage.says("quarantined-gpus-stay-put")


def test_a_retired_gpu_that_is_claimed(stage: Stage) -> None:
    host = stage.gpu_host("h01")
    stage.store.update(host.model_copy(update={"spec": host.spec.model_copy(update={"retired": ("0000:41:00.0",)})}))
    stage.look()
    stage.begin_pass()
    claim_by_hand(stage, "h01")
    assert "0000:41:00.0 of h01, retired for" in stage.says("quarantined-gpus-stay-put")


def test_a_quarantine_that_ends_by_itself(stage: Stage) -> None:
    quarantine_by_hand(stage, "h01")
    stage.look()
    stage.write(stage.gpu_host("h01"), quarantined=())
    assert "left quarantine" in stage.says("quarantine-is-lifted-by-a-check")


def test_a_quarantine_that_an_operator_ends_by_hand(stage: Stage) -> None:
    quarantine_by_hand(stage, "h01")
    stage.look()
    stage.universe.seen_to["h01", "0000:41:00.0"] = stage.universe.clock.now_s()
    stage.write(stage.gpu_host("h01"), quarantined=())
    assert not stage.says("quarantine-is-lifted-by-a-check")


def test_a_quarantine_without_a_reason(stage: Stage) -> None:
    quarantine_by_hand(stage, "h01", reason="")
    assert "without reason" in stage.says("quarantine-says-why")


def test_a_gpu_that_goes_from_one_to_the_next_as_it_is(stage: Stage) -> None:
    stage.run_vm()
    stage.look()
    stage.wait(30.0)
    stage.domain_of().live = replace(running(stage), owner_uid="another", name="hikube-default.another")
    assert "without a reset" in stage.says("gpus-are-reset-between-tenants")


def test_a_claim_that_ends_before_its_gpu_is_reset(stage: Stage) -> None:
    stage.run_vm()
    stage.host_of().kill_qemu(stage.vm().status.domain)
    stage.store.delete(stage.claim().key)
    assert "was not reset since" in stage.says("freed-gpus-are-clean")
    assert "is on vfio-pci although the claim" in stage.says("freed-drivers-are-restored")
    assert "no history tells of it" in stage.says("history-tells-of-every-hand-over")
    assert "has claimed no GPU" in stage.says("ready-is-claimed")


@pytest.mark.parametrize("has_failed", [False, True])
def test_a_claim_that_ends_before_its_gpu_is_scrubbed(stage: Stage, has_failed: bool) -> None:
    stage.run_vm()
    released(stage)
    reset_now(stage)
    if has_failed:
        with stage.host_of().peek() as state:
            run = ScrubRun(stage.universe.clock.now_s(), stage.claim().spec.address, SCRUB, exit_status=3)
            state.inside.note_scrub(run)
    stage.store.delete(stage.claim().key)
    assert f"`{SCRUB}` has not ended well for it" in stage.says("freed-gpus-are-clean")


def test_a_claim_that_ends_before_anybody_has_looked(stage: Stage) -> None:
    stage.run_vm("red", gpus=2)  # on the host without a scrub command
    released(stage)
    reset_now(stage)
    stage.store.delete(stage.claim().key)
    assert "nobody looked at it after its reset" in stage.says("freed-gpus-are-clean")


def test_a_companion_that_is_forgotten(stage: Stage) -> None:
    vm = stage.run_vm()
    stage.delete()
    stage.live(LONG_S)
    assert not stage.says("freed-drivers-are-restored")
    with stage.universe.fleet.host(vm.status.host).peek() as state:
        state.functions["0000:41:00.1"].driver = "vfio-pci"
    claim = claim_by_hand(stage, vm.status.host)
    stage.look()
    stage.store.delete(claim.key)
    assert "0000:41:00.1 of" in stage.says("freed-drivers-are-restored")


def test_a_controller_that_turns_without_end(stage: Stage) -> None:
    for _ in range(LOOKS_AT_ONE_MOMENT_MAX - 100):
        stage.look()
    assert not stage.says("time-moves")
    for _ in range(200):
        stage.look()
    assert "no time has passed" in stage.says("time-moves")


def test_a_pass_that_breaks(stage: Stage) -> None:
    stage.run_vm()
    stage.universe.gate.stage(Fault(KeyError("unforeseen"), call="domains.look"))
    stage.live(60.0)
    assert "KeyError: 'unforeseen'" in stage.says("passes-do-not-break")


def test_an_object_that_is_written_again_and_again(stage: Stage) -> None:
    stage.run_vm()
    for number in range(WRITES_MAX + 1):
        stage.store.update(stage.vm().with_metadata(annotations={"n": str(number)}))
    assert f"was written {WRITES_MAX + 1} times" in stage.says("nobody-writes-without-end")


def running(stage: Stage) -> DomainConfig:
    """What the VM's domain runs with."""
    live = stage.domain_of().live
    assert live is not None
    return live


def double(stage: Stage, name: str, *, owner_uid: str = "") -> None:
    """Another domain runs beside the VM's, with everything that it has."""
    with stage.host_of().peek() as state:
        record = copy.deepcopy(state.domains[stage.vm().status.domain])
        for config in filter(None, (record.config, record.live)):
            config.name, config.uuid = name, "another"
            config.owner_uid = owner_uid or config.owner_uid
        state.domains[name] = record


def claim_by_hand(stage: Stage, host: str) -> GPUClaim:
    """Of a VM that is not there."""
    owner = ClaimOwner(kind="VirtualMachine", namespace="default", name="nobody", uid="nobody")
    spec = GPUClaimSpec(host=host, address="0000:41:00.0", gpu_name="l40s", owner=owner)
    return stage.store.create(GPUClaim(metadata=Metadata(name=claim_name(host, spec.address)), spec=spec))


def quarantine_by_hand(stage: Stage, host: str, *, reason: str = "to be looked at") -> None:
    entry = Quarantine(address="0000:41:00.0", reason=reason, since="2026-01-01T00:00:00Z", cause="Operator")
    stage.write(stage.gpu_host(host), quarantined=(entry,))


def released(stage: Stage) -> None:
    """The VM has let go of its GPU, its domain has gone, and the checks have seen both."""
    stage.host_of().kill_qemu(stage.vm().status.domain)
    stage.write(stage.claim(), released_at="2026-01-01T00:00:00Z")
    stage.look()


def reset_now(stage: Stage) -> None:
    with stage.host_of().peek() as state:
        state.functions[stage.claim().spec.address].note_reset(stage.universe.clock.now_s())
