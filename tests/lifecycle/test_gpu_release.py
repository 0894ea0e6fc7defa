"""Out of quarantine only through a check: what it does, what it says, and every way to fail it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.lifecycle.quarantine import quarantine
from provisioner.model.errors import HostTimeout
from provisioner.model.gpu_check import RELEASE, GpuCheck, request_annotation
from provisioner.model.gpu_history import GPUHistory
from provisioner.model.gpu_host import GpuHealth, GPUHost, Quarantine, ResetPolicy
from tests.lifecycle.world import World, vm_yaml

FIRST, AUDIO = "0000:41:00.0", "0000:41:00.1"


def host_of(world: World) -> GPUHost:
    return world.store.get(GPUHost, "a")


def ask_release(world: World, address: str = FIRST, *, token: str = "1") -> str:
    """What `hikube gpu release` writes; returns the request."""
    host, request = host_of(world), f"{RELEASE}:{token}"
    annotations = host.metadata.annotations | {request_annotation(address): request}
    world.store.update(host.with_metadata(annotations=annotations))
    return request


def answer(world: World, address: str = FIRST) -> GpuCheck | None:
    return next((check for check in host_of(world).status.checks if check.address == address), None)


def release(world: World, address: str = FIRST, *, token: str = "1") -> GpuCheck:
    """Ask, and let time run until the answer is there."""
    request = ask_release(world, address, token=token)

    def is_answered() -> bool:
        check = answer(world, address)
        return check is not None and check.request == request and check.state != "Running"

    world.run(is_answered, timeout_s=120)
    check = answer(world, address)
    assert check is not None
    return check


def quarantined(world: World) -> dict[str, Quarantine]:
    return {entry.address: entry for entry in host_of(world).status.quarantined}


def change_spec(world: World, **fields: object) -> None:
    host = host_of(world)
    world.store.update(host.model_copy(update={"spec": host.spec.model_copy(update=fields)}))


@pytest.fixture
def sick(world: World) -> World:
    """A host whose one GPU is in quarantine."""
    world.host("a").settle()
    quarantine(world.ports, host="a", address=FIRST, reason="it made noises", cause="Operator")
    return world


def test_a_gpu_that_passes_is_handed_out_again_as_clean_as_for_a_next_tenant(sick: World) -> None:
    sick.apply(vm_yaml("first")).pass_time(60)
    assert not sick.is_ready("first")
    check = release(sick)
    assert check.state == "Passed", check
    assert [line.name for line in check.lines] == [
        *("present", "unclaimed", "config-space", "identity", "unused", "companions", "reset-method"),
        *("bind", "reset", "drivers", "verified"),
    ]
    assert {line.name: line.message for line in check.lines}["reset"] == "by flr"
    assert quarantined(sick) == {}
    assert any(event.reason == "GPUReleased" for event in sick.store.events())
    sick.run(lambda: sick.is_ready("first"), timeout_s=600)


def test_the_drivers_are_those_of_before(sick: World) -> None:
    release(sick)
    with sick.fleet.host("a").peek() as state:
        assert [state.functions[address].driver for address in (FIRST, AUDIO)] == ["nvidia", "snd_hda_intel"]
        assert len(state.functions[FIRST].resets) == 1


def test_a_card_that_a_crash_left_on_vfio_goes_home(sick: World) -> None:
    for address in (FIRST, AUDIO):
        sick.ports.connector.connect("simulated://a").devices.bind_vfio(address, timeout_s=60)
    assert release(sick).state == "Passed"
    assert sick.leaks() == []


def test_a_card_that_its_host_pins_to_vfio_stays_there(sick: World) -> None:
    with sick.fleet.host("a").peek() as state:
        for address in (FIRST, AUDIO):
            state.functions[address].driver = "vfio-pci"  # as after a boot with vfio-pci.ids=
    assert release(sick).state == "Passed"
    with sick.fleet.host("a").peek() as state:
        now = [(state.functions[address].driver, state.functions[address].driver_override) for address in (FIRST, AUDIO)]
    assert now == [("vfio-pci", "")] * 2


def test_a_host_that_keeps_its_gpus_on_vfio_keeps_them_there(sick: World) -> None:
    change_spec(sick, keep_on_vfio=True)
    assert release(sick).state == "Passed"
    with sick.fleet.host("a").peek() as state:
        assert state.functions[FIRST].driver == state.functions[AUDIO].driver == "vfio-pci"


def test_the_scrub_command_runs_for_function_0_and_is_told(sick: World) -> None:
    change_spec(sick, scrub_command="scrub --bdf {address}")
    check = release(sick)
    assert {line.name: line.message for line in check.lines}["scrub"] == "the host's command ended well after 5 s"
    with sick.fleet.host("a").peek() as state:
        assert [run.command for run in state.inside.scrubs] == [f"scrub --bdf {FIRST}"]


@pytest.mark.parametrize(
    ("befall", "name", "words"),
    [
        (lambda host: host.lose(FIRST), "present", "the host has no PCI function 0000:41:00.0"),
        (lambda host: host.die(FIRST), "config-space", "fallen off the bus"),
        (lambda host: host.hold(FIRST, by="python3 (pid 7)"), "unused", "python3 (pid 7) has"),
        (lambda host: host.lose(AUDIO), "companions", "0000:41:00.1 is not there any more"),
        (lambda host: host.die(AUDIO), "companions", "config space of 0000:41:00.1"),
        (lambda host: host.set_reset_methods(FIRST), "reset-method", "it has none"),
        (lambda host: host.block_unbind(FIRST), "bind", "did not answer"),
        (lambda host: host.fail_resets(FIRST, why="not ready 65535ms after FLR; giving up"), "reset", "not ready 65535ms"),
        (lambda host: host.forbid_examination("no shell leads there"), "config-space", "resetPolicy: BestEffort"),
    ],
)
def test_a_gpu_that_fails_stays_and_says_why(
    sick: World, befall: Callable[[SimulatedHost], None], name: str, words: str
) -> None:
    befall(sick.fleet.host("a"))
    check = release(sick)
    assert check.state == "Failed"
    assert (check.failures[0].name, words in check.failures[0].message) == (name, True), check.failures
    entry = quarantined(sick)[FIRST]
    assert entry.reason.startswith(f"check `{name}` failed: ")
    assert entry.cause == "Operator"
    sick.apply(vm_yaml("first")).pass_time(600)
    assert not sick.is_ready("first")


def test_a_scrub_that_fails_keeps_it(sick: World) -> None:
    change_spec(sick, scrub_command="scrub {address}")
    sick.fleet.host("a").end_scrubs(status=3, output="memory: mismatch at 0x40")
    check = release(sick)
    assert (check.failures[0].name, check.failures[0].message) == (
        "scrub",
        "the scrub command ended with 3: memory: mismatch at 0x40",
    )
    assert FIRST in quarantined(sick)


def test_it_can_be_released_after_the_repair(sick: World) -> None:
    sick.fleet.host("a").die(FIRST)
    assert release(sick, token="1").state == "Failed"
    sick.fleet.host("a").lose(FIRST)
    sick.fleet.host("a").bring_back(FIRST)
    assert release(sick, token="2").state == "Passed"
    sick.apply(vm_yaml("first")).run(lambda: sick.is_ready("first"), timeout_s=600)


def test_a_gpu_that_a_vm_has_is_not_touched(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    quarantine(world.ports, host="a", address=FIRST, reason="to be replaced", cause="Operator")
    check = release(world)
    assert [line.name for line in check.failures] == ["unclaimed"]
    assert "VirtualMachine default/first has it" in check.failures[0].message
    assert quarantined(world)[FIRST].reason == "to be replaced"
    assert world.is_ready("first")


def test_a_swapped_card_is_accepted_by_this_act(sick: World) -> None:
    before = next(gpu for gpu in host_of(sick).status.gpus if gpu.address == FIRST).identity
    sick.fleet.host("a").swap(FIRST)
    check = release(sick)
    now = next(gpu for gpu in host_of(sick).status.gpus if gpu.address == FIRST).identity
    assert check.state == "Passed"
    assert now is not None and now != before
    if before is not None:
        assert "another card than before, accepted" in {line.name: line.message for line in check.lines}["identity"]


def test_a_card_that_is_swapped_is_found_out_and_stays_accepted(world: World) -> None:
    world.host("a").settle()
    world.fleet.host("a").swap(FIRST)
    world.run(lambda: FIRST in quarantined(world), timeout_s=400)
    assert quarantined(world)[FIRST].cause == "Swapped"
    assert release(world).state == "Passed"
    world.pass_time(900)
    assert quarantined(world) == {}
    assert any(event.reason == "GPUReleased" and "another card" in event.message for event in world.store.events())
    world.apply(vm_yaml("first")).run(lambda: world.is_ready("first"))


def test_best_effort_does_without_what_cannot_be_shown(sick: World) -> None:
    change_spec(sick, reset_policy=ResetPolicy.BEST_EFFORT)
    sick.fleet.host("a").forbid_examination("no shell leads there")
    check = release(sick)
    assert check.state == "Passed", check
    assert "left to vfio-pci" in {line.name: line.message for line in check.lines}["reset"]


def test_a_gpu_that_is_not_in_quarantine_is_left_alone(world: World) -> None:
    world.host("a").apply(vm_yaml("first")).settle()
    check = release(world)
    assert [line.name for line in check.lines] == ["quarantined"]
    assert world.is_ready("first")


def test_a_retired_gpu_is_not_released(sick: World) -> None:
    change_spec(sick, retired=(FIRST,))
    assert [line.name for line in release(sick).failures] == ["retired"]
    assert FIRST in quarantined(sick)


def test_the_same_request_is_answered_once_also_by_a_controller_that_remembers_nothing(sick: World) -> None:
    release(sick)
    sick.start_controller()
    sick.pass_time(900)
    with sick.fleet.host("a").peek() as state:
        assert len(state.functions[FIRST].resets) == 1


def test_a_crash_in_the_middle_is_gone_over_again(sick: World) -> None:
    class Crash(BaseException):
        """The controller's process ends here."""

    sick.fleet.faults.stage(Fault(Crash(), call="devices.reset", takes_effect=True))
    with pytest.raises(Crash):
        release(sick)
    sick.start_controller()
    sick.run(lambda: (check := answer(sick)) is not None and check.state == "Passed", timeout_s=120)
    assert quarantined(sick) == {}
    assert next(gpu for gpu in host_of(sick).status.gpus if gpu.address == FIRST).health is GpuHealth.OK


def test_a_host_that_is_away_is_waited_for(sick: World) -> None:
    sick.fleet.host("a").set_link("down")
    ask_release(sick)
    sick.pass_time(300)
    assert answer(sick) is None or answer(sick).state == "Running"  # type: ignore[union-attr]
    sick.fleet.host("a").set_link("up")
    sick.run(lambda: quarantined(sick) == {}, timeout_s=600)


def test_a_look_that_does_not_return_is_an_answer_and_no_fault_of_the_gpu(sick: World) -> None:
    sick.fleet.faults.stage(Fault(HostTimeout("the probe hangs"), call="inventory.examine"))
    check = release(sick)
    assert [(line.name, "the probe hangs" in line.message) for line in check.failures] == [("answer", True)]
    assert quarantined(sick)[FIRST].reason == "it made noises"
    assert release(sick, token="2").state == "Passed"


def test_the_history_of_the_card_tells_of_every_check(sick: World) -> None:
    sick.fleet.host("a").fail_resets(FIRST, why="not ready after FLR")
    release(sick, token="1")
    sick.fleet.host("a").fail_resets(FIRST, why="")
    release(sick, token="2")
    (history,) = sick.store.list(GPUHistory).items
    assert [note.what for note in history.status.notes] == ["CheckFailed", "Released"]
    assert "not ready after FLR" in history.status.notes[0].message
    assert "reset: by flr" in history.status.notes[1].message
