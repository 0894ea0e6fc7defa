"""Single GPUs from the command line: what they are, in and out of service; exit code, stdout and stderr as snapshots."""

from __future__ import annotations

import json

import pytest
from syrupy.assertion import SnapshotAssertion

from provisioner.clocks import SystemClock
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.host import SimulatedHost
from tests.cli.conftest import Hikube
from tests.cli.test_stories import TRAIN, fleet
from tests.cli.test_tree import completed

__all__ = ["fleet"]

GPU = "sim/0000:41:00.0"
ADDRESS, AUDIO = "0000:41:00.0", "0000:41:00.1"
BY_HAND = ("gpu", "quarantine", GPU, "--reason", "the fans are loud")


@pytest.fixture
def machine(fleet: Hikube) -> SimulatedHost:
    """The host itself, as the world may treat it."""
    return SimulatedFleet(SystemClock()).at(f"simulated://l40s?state={fleet.home}/sim.json")


@pytest.fixture
def board(hikube: Hikube) -> Hikube:
    """A host with eight GPUs."""
    assert hikube("host", "add", "board", f"simulated://h100?state={hikube.home}/board.json").code == 0
    return hikube


def test_gpus_are_listed_and_shown(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet(*TRAIN).code == 0
    assert fleet("gpu", "list").shown() == snapshot
    assert fleet("gpu", "list", "-o", "wide").shown() == snapshot
    assert fleet("gpu", "list", "-o", "name").out == f"{GPU}\n"
    assert fleet("gpu", "show", GPU).shown() == snapshot
    assert fleet("gpu", "show", "sim", "-o", "name").out == f"{GPU}\n"
    (row,) = json.loads(fleet("gpu", "list", "-o", "json").out)["items"]
    shown = json.loads(fleet("gpu", "show", GPU, "-o", "json").out)
    assert shown == {**row, "history": []}
    assert (row["state"], row["owner"], row["quarantine"]) == ("Claimed", "VirtualMachine default/train", None)


def test_no_gpus_at_all(hikube: Hikube, snapshot: SnapshotAssertion) -> None:
    assert hikube("gpu", "list").shown() == snapshot
    assert hikube("gpu", "list", "--host", "nowhere").code == 11
    assert hikube("host", "add", "later", f"simulated://l40s?state={hikube.home}/later.json", "--no-probe").code == 0
    assert hikube("gpu", "list").shown() == snapshot
    assert hikube("gpu", "list", "--host", "later").err == hikube("gpu", "offers").err == hikube("gpu", "list").err
    assert hikube("wait", "host/later", "--for=condition=Ready").code == 0, "as it says"
    assert len(hikube("gpu", "list", "-o", "name").out.splitlines()) == 1


@pytest.mark.parametrize("word", ["board/0000:41:00.0", "board/41:00.0", "board/41:00", "board/00000000:41:00.0"])
def test_a_gpu_has_short_names(board: Hikube, word: str) -> None:
    assert board("gpu", "show", word, "-o", "name").out == "board/0000:41:00.0\n"


@pytest.mark.parametrize("word", ["boar/41:00.0", "board", "board/49:00.0", "board/first"])
def test_a_gpu_that_is_not_there_is_guessed(board: Hikube, word: str, snapshot: SnapshotAssertion) -> None:
    assert board("gpu", "show", word).shown() == snapshot


def test_a_companion_is_no_gpu_and_its_gpu_is_named(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet("gpu", "show", f"sim/{AUDIO}").shown() == snapshot


def test_gpus_are_completed(fleet: Hikube, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(fleet, monkeypatch, "hikube gpu release s") == [GPU]


def test_into_quarantine_and_out_through_the_check(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet(*BY_HAND).shown() == snapshot
    assert fleet(*BY_HAND).shown() == snapshot
    assert fleet(*BY_HAND, "--error-unchanged").code == 3
    assert fleet("gpu", "list").shown() == snapshot
    assert fleet("gpu", "offers", "--gpu", "l40s").code == 6
    assert fleet("gpu", "release", GPU, "--dry-run").shown() == snapshot
    assert fleet("gpu", "offers", "--gpu", "l40s").code == 6, "a dry run releases nothing"
    assert fleet("gpu", "release", GPU).shown() == snapshot
    assert fleet("gpu", "offers", "--gpu", "l40s").code == 0
    assert fleet("gpu", "release", GPU).shown() == snapshot
    assert fleet("gpu", "release", GPU, "--error-unchanged").code == 3
    assert fleet("gpu", "history", GPU).shown() == snapshot


def test_a_quarantine_needs_a_reason(fleet: Hikube) -> None:
    assert fleet("gpu", "quarantine", GPU).code == 2
    assert fleet("gpu", "quarantine", GPU, "--reason", " ").code == 2


def test_a_check_that_fails_says_which_and_keeps_the_gpu(
    fleet: Hikube, machine: SimulatedHost, snapshot: SnapshotAssertion
) -> None:
    assert fleet(*BY_HAND).code == 0
    machine.fail_resets(ADDRESS, why="not ready 65535ms after FLR; giving up")
    assert fleet("gpu", "release", GPU).shown() == snapshot
    why = "0000:41:00.0 cannot be reset: not ready 65535ms after FLR; giving up"
    shown = fleet("gpu", "show", GPU).out
    assert f"Quarantine:  Operator: check `reset` failed: {why}\n" in shown
    assert f"Last check:  failed: reset: {why}\n" in shown
    failed = fleet("gpu", "release", GPU, "-o", "json")
    assert (failed.code, failed.out) == (9, "")
    error = json.loads(failed.err.splitlines()[-1])["error"]
    assert [line["name"] for line in error["context"]["checks"] if not line["passed"]] == ["reset"]
    machine.fail_resets(ADDRESS, why="")
    passed = json.loads(fleet("gpu", "release", GPU, "-o", "json").out)
    assert passed["outcome"] == "released"
    assert all(line["passed"] for line in passed["checks"])


def test_a_dry_run_that_fails_has_the_exit_code_of_the_real_one(
    fleet: Hikube, machine: SimulatedHost, snapshot: SnapshotAssertion
) -> None:
    assert fleet(*BY_HAND).code == 0
    machine.hold(ADDRESS, by="python3 (pid 4711)")
    assert fleet("gpu", "release", GPU, "--dry-run").shown() == snapshot
    with machine.peek() as state:
        assert state.functions[ADDRESS].resets == []


def test_without_waiting_a_check_is_only_asked_for(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet(*BY_HAND).code == 0
    assert fleet("gpu", "release", GPU, "--no-wait").shown() == snapshot
    assert fleet("gpu", "release", GPU, "--timeout", "0s").code == 8
    assert fleet("gpu", "release", GPU).code == 0


def test_a_gpu_in_use_is_kept_by_its_vm_and_not_released(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet(*TRAIN).code == 0
    assert fleet(*BY_HAND).shown() == snapshot
    assert fleet("gpu", "release", GPU).shown() == snapshot
    assert fleet("gpu", "vm", "list", "-o", "json").out.count('"phase": "Ready"') == 1


def test_retired_and_taken_back(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet("gpu", "retire", GPU, "--reason", "RMA 4711").shown() == snapshot
    assert fleet("gpu", "retire", GPU, "--error-unchanged").code == 3
    assert fleet("gpu", "list").shown() == snapshot
    assert "Retired:     RMA 4711" in fleet("gpu", "show", GPU).out
    assert fleet("gpu", "offers", "--gpu", "l40s").code == 6
    assert fleet("gpu", "release", GPU).shown() == snapshot
    assert fleet("gpu", "retire", GPU, "--undo").shown() == snapshot
    assert fleet("gpu", "retire", GPU, "--undo", "--error-unchanged").code == 3
    assert fleet("gpu", "offers", "--gpu", "l40s").code == 0


def test_a_retired_gpu_that_fails_its_check_goes_into_quarantine(fleet: Hikube, machine: SimulatedHost) -> None:
    assert fleet("gpu", "retire", GPU).code == 0
    machine.die(ADDRESS)
    assert fleet("gpu", "retire", GPU, "--undo").code == 9
    (row,) = json.loads(fleet("gpu", "list", "-o", "json").out)["items"]
    assert (row["state"], row["retired"], row["quarantine"]["cause"]) == ("Quarantined", False, "Retired")
    assert "config-space" in row["quarantine"]["reason"]


def test_the_history_names_the_tenants_in_turn(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    for name in ("first", "second"):
        create = ("gpu", "vm", "create", name, "--gpu", "l40s", "--image", "tiny", "--disk-size", "4Gi", "--timeout", "60s")
        assert fleet(*create, "--queue").code == 0
        assert fleet("gpu", "vm", "delete", name).code == 0
    assert fleet("gpu", "vm", "create", "third", *create[4:], "--queue").code == 0
    assert fleet("gpu", "history", GPU).shown() == snapshot
    items = json.loads(fleet("gpu", "history", GPU, "-o", "json").out)["items"]
    assert [item["owner"]["name"] for item in items] == ["first", "second"]
    serial = json.loads(fleet("gpu", "show", GPU, "-o", "json").out)["identity"]["serial"]
    assert fleet("gpu", "history", serial).out == fleet("gpu", "history", GPU).out
    reported = items[0]["guest"]["serial"]
    assert fleet("gpu", "history", reported).out == fleet("gpu", "history", GPU).out


def test_a_history_of_nothing(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet("gpu", "history", "sim").shown() == snapshot
    assert fleet("gpu", "history", "00-11-22").shown() == snapshot
    serial = json.loads(fleet("gpu", "show", GPU, "-o", "json").out)["identity"]["serial"]
    assert fleet("gpu", "history", serial).err == f"nobody has had {serial} yet\n", "it is a card, whoever has had it"


def test_programs_are_told_in_one_form_what_became_of_a_gpu(fleet: Hikube) -> None:
    def outcome(*words: str) -> tuple[str, str]:
        data = json.loads(fleet("gpu", *words, "-o", "json").out)
        return f"{data['host']}/{data['address']}", data["outcome"]

    assert outcome("quarantine", GPU, "--reason", "the fans are loud") == (GPU, "quarantined")
    assert outcome("quarantine", GPU, "--reason", "the fans are loud") == (GPU, "unchanged")
    assert outcome("release", GPU, "--no-wait") == (GPU, "requested")
    assert outcome("release", GPU) == (GPU, "released")
    assert outcome("retire", GPU) == (GPU, "retired")
    assert outcome("retire", GPU) == (GPU, "unchanged")
    assert outcome("retire", GPU, "--undo") == (GPU, "released")
    assert outcome("retire", GPU, "--undo") == (GPU, "unchanged")
    assert fleet("gpu", "quarantine", GPU, "--reason", "again", "-o", "name").out == f"{GPU}\n"


def test_a_vm_that_lost_its_gpu_shows_it_and_runs_on(
    fleet: Hikube, machine: SimulatedHost, snapshot: SnapshotAssertion
) -> None:
    assert fleet(*TRAIN).code == 0
    machine.lose(ADDRESS)
    assert fleet("host", "cordon", "sim").code == 0  # a change of the host, and so a look at it, ahead of its period
    assert fleet("wait", "vm", "train", "--for", "condition=GPUHealthy=False", "--timeout", "30s").code == 0
    assert fleet("gpu", "vm", "list").out.splitlines()[1].split()[:2] == ["train", "Ready,GPULost"]
    shown = fleet("gpu", "vm", "show", "train").out
    assert "Status:     Ready,GPULost" in shown
    assert f"Missing   GPU {ADDRESS} of sim: it fell off the bus: the host does not show it any more" in shown
    assert fleet("gpu", "list").shown() == snapshot
    assert "GPUDied" in fleet("describe", "vm", "train").out


def test_of_several_gpus_each_line_of_their_cleaning_names_one(fleet: Hikube) -> None:
    assert fleet("host", "add", "board", f"simulated://h100?state={fleet.home}/board.json").code == 0
    create = ("gpu", "vm", "create", "two", "--gpu", "h100-sxm:2", "--image", "tiny", "--disk-size", "4Gi", "--timeout", "60s")
    assert fleet(*create).code == 0
    deleted = fleet("gpu", "vm", "delete", "two")
    assert deleted.code == 0
    told = [line.split()[0] for line in deleted.err.splitlines() if " reset " in line]
    assert sorted(told) == ["board.0000-41-00.0", "board.0000-42-00.0"]


def test_what_a_vm_waits_for_is_told_in_the_order_of_its_life(fleet: Hikube) -> None:
    assert fleet(*BY_HAND).code == 0
    assert fleet(*TRAIN, "--queue", "--timeout", "1s").code == 8
    pending = [line for line in fleet("explain", "vm", "train").out.splitlines() if line.startswith("pending: ")]
    assert [line.split(": ")[1] for line in pending] == ["Scheduled", "Ready"]
