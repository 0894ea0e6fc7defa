"""Every check of what objects say of themselves hears of a world in which it must speak."""

from __future__ import annotations

from provisioner.model.clock import timestamp
from provisioner.model.gpu_history import GPUHistory, GPUHistoryEntry
from provisioner.model.metadata import StepRecord
from provisioner.model.virtual_machine import VirtualMachine
from tests.simulation.checks.conditions import STATUS_CHARACTERS_MAX, STEPS_MAX, TAKEN_IN_MAX_S, TRIES_BEFORE_MEASURED
from tests.simulation.stage import Stage


def test_a_condition_of_a_generation_that_is_yet_to_come(stage: Stage) -> None:
    stage.say(stage.run_vm(), "Ready", "True", observed_generation=7)
    assert "is of generation 1, and Ready is of a later one" in stage.says("conditions-know-their-generation")


def test_a_status_that_goes_back(stage: Stage) -> None:
    stage.run_vm()
    stage.look()
    stage.write(stage.vm(), observed_generation=0)
    assert "was of generation 1, and is of 0 again" in stage.says("conditions-know-their-generation")


def test_a_condition_with_two_entries(stage: Stage) -> None:
    vm = stage.run_vm()
    stage.look()
    stage.write(vm, conditions=(*vm.status.conditions, vm.status.conditions[0]))
    assert "has a condition twice" in stage.says("transitions-are-dated")


def test_a_time_that_changes_alone(stage: Stage) -> None:
    vm = stage.run_vm()
    stage.look()
    stage.say(vm, "Ready", "True", last_transition_time="2026-01-01T00:00:00.000000Z")
    assert "Ready is True as before, and its time is another one" in stage.says("transitions-are-dated")


def test_a_step_that_ends_before_it_begins(stage: Stage) -> None:
    vm = stage.run_vm()
    step = StepRecord(name="reserve", started=timestamp(2000.0), finished=timestamp(1000.0))
    stage.write(vm, steps=(step,))
    assert "step reserve began at" in stage.says("steps-are-dated")


def test_a_change_that_nobody_takes_in(stage: Stage) -> None:
    vm = changed(stage)
    stage.look()
    stage.wait(TAKEN_IN_MAX_S / 2)
    assert not stage.says("changes-are-taken-in")
    stage.wait(TAKEN_IN_MAX_S)
    assert f"{vm.key} is of generation 2, and its status of 1" in stage.says("changes-are-taken-in")


def test_a_change_that_is_taken_in(stage: Stage) -> None:
    changed(stage)
    stage.live(60.0)
    stage.wait(2 * TAKEN_IN_MAX_S)
    assert not stage.says("changes-are-taken-in")


def test_a_status_with_too_many_steps(stage: Stage) -> None:
    vm = stage.run_vm()
    stage.write(vm, steps=tuple(StepRecord(name=f"s{n}", started=timestamp(0.0)) for n in range(STEPS_MAX + 1)))
    assert f"{STEPS_MAX + 1} records of steps" in stage.says("status-stays-small")


def test_a_status_that_grows(stage: Stage) -> None:
    stage.run_vm()
    for number in range(TRIES_BEFORE_MEASURED + 1):
        stage.write(stage.vm(), last_failure=f"{number} " + "x" * STATUS_CHARACTERS_MAX)
    assert "characters of status and metadata" in stage.says("status-stays-small")


def test_a_claim_of_another_name(stage: Stage) -> None:
    stage.run_vm()
    claim = stage.claim()
    stage.strip(claim)
    stage.look()
    stage.store.create(claim.with_metadata(name="h99.0000-41-00-0", labels={}, resource_version=""))
    said = stage.says("claims-are-well-formed")
    assert "its name is not that of 0000:41:00.0" in said
    assert "its label says None" in said


def test_a_claim_that_is_bound_to_nothing(stage: Stage) -> None:
    stage.run_vm()
    stage.write(stage.claim(), functions=())
    assert "it is bound and does not say what" in stage.says("claims-are-well-formed")


def test_a_claim_without_its_own_function(stage: Stage) -> None:
    stage.run_vm()
    claim = stage.claim()
    stage.write(claim, functions=claim.status.functions[1:])
    assert "its functions are ['0000:41:00.1']" in stage.says("claims-are-well-formed")


def test_what_is_on_a_host_and_nobody_holds(stage: Stage) -> None:
    for resource in (stage.run_vm(), stage.run_vm_on_disk("blue"), stage.gpu_host("h02")):
        stage.store.update(resource.with_metadata(finalizers=()))
    said = stage.says("finalizers-hold-what-is-there")
    for what in ("VirtualMachine default/red is on", "VMDisk default/data has a volume on", "GPUHost h02 was reached"):
        assert what in said


def test_a_gpu_on_another_host(stage: Stage) -> None:
    vm = stage.run_vm()
    gpu = vm.status.gpus[0]
    stage.write(vm, gpus=(gpu, gpu.model_copy(update={"host": "h99"})))
    said = stage.says("assignments-are-well-formed")
    assert "has a GPU twice" in said
    assert "h99/0000:41:00.0" in said


def test_a_history_that_is_rewritten(stage: Stage) -> None:
    history, entry = told(stage)
    stage.write(history, entries=(entry.model_copy(update={"given": "2026-01-01T00:00:00Z"}),))
    assert "what was written there was changed or is gone" in stage.says("history-is-written-once")


def test_a_history_that_tells_twice(stage: Stage) -> None:
    history, entry = told(stage)
    stage.write(history, entries=(entry, entry))
    said = stage.says("history-is-written-once")
    assert "tells of one claim twice" in said
    assert "had the card from" in said, "at the same time, too"


def test_a_history_whose_times_are_not_in_order(stage: Stage) -> None:
    history, entry = told(stage)
    stage.write(history, entries=(entry, entry.model_copy(update={"claim_uid": "another", "since": entry.ended})))
    assert "are not in order" in stage.says("history-is-written-once")


def test_a_history_is_not_judged_by_clocks_that_disagree(stage: Stage) -> None:
    history, entry = told(stage)
    stage.universe.processes[0].clock.skew_s = 60.0
    stage.look()
    stage.write(history, entries=(entry, entry.model_copy(update={"claim_uid": "another", "since": entry.ended})))
    assert not stage.says("history-is-written-once")


def told(stage: Stage) -> tuple[GPUHistory, GPUHistoryEntry]:
    """A history with one entry."""
    stage.run_vm()
    stage.delete()
    stage.live(300.0)
    stage.look()
    (history,) = stage.store.list(GPUHistory).items
    (entry,) = history.status.entries
    return history, entry


def changed(stage: Stage) -> VirtualMachine:
    vm = stage.run_vm()
    return stage.store.update(vm.model_copy(update={"spec": vm.spec.model_copy(update={"cloud_init_seed": "2"})}))
