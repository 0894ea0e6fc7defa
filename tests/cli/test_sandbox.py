"""The sandbox as a user meets it: made, looked at, broken, mended, gone; exit code, stdout and stderr of every command."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from cli.completing import TROUBLES
from provisioner.drivers.simulated.ready_fleets import READY_FLEETS
from provisioner.drivers.simulated.troubles import GPU_TROUBLES, GUEST_TROUBLES, HOST_TROUBLES
from tests.cli.conftest import Hikube
from tests.cli.test_tree import completed

TRAIN = ("gpu", "vm", "create", "train", "--gpu", "h100-sxm:2", "--timeout", "60s")


@pytest.fixture
def sandbox(hikube: Hikube) -> Hikube:
    """The command with a sandbox of the usual preset."""
    assert hikube("sandbox", "create").code == 0
    return hikube


@pytest.fixture
def training(sandbox: Hikube) -> Hikube:
    """A VM with two GPUs runs on h100-1."""
    assert sandbox(*TRAIN).code == 0
    return sandbox


def rows(hikube: Hikube) -> dict[str, dict[str, Any]]:
    return {item["host"]: item for item in json.loads(hikube("sandbox", "show", "-o", "json").out)["items"]}


def vm_status(hikube: Hikube, name: str = "train") -> str:
    line = next(line for line in hikube("gpu", "vm", "list").out.splitlines() if line.startswith(name))
    return line.split()[1]


def boots(hikube: Hikube) -> int:
    """How often the guest of `train` has booted, by the state of its host."""
    state = json.loads((hikube.home / "data" / "sandbox" / "h100-1.json").read_text())
    return int(state["domains"]["hikube-default.train"]["boots"])


def errors_of(hikube: Hikube, host: str) -> set[str]:
    doctor = json.loads(hikube("host", "doctor", host, "-o", "json").out)
    return {finding["subject"] for finding in doctor["findings"] if finding["severity"] == "error"}


# made


def test_making_it_shows_its_hosts(hikube: Hikube, snapshot: SnapshotAssertion) -> None:
    result = hikube("sandbox", "create")
    assert result.code == 0
    assert result.out == snapshot
    assert sorted(result.err.splitlines()) == snapshot, "which host is ready first is chance"
    assert hikube("gpu", "offers").shown() == snapshot
    assert hikube("sandbox", "show").shown() == snapshot


def test_making_it_again_changes_nothing(sandbox: Hikube, snapshot: SnapshotAssertion) -> None:
    assert sandbox("sandbox", "mend", "l40s-2", "--no-wait").code == 0
    again = sandbox("sandbox", "create", "-o", "name")
    assert again.shown() == snapshot
    assert sandbox("sandbox", "create", "--error-unchanged", "-o", "name").code == 3
    assert rows(sandbox)["l40s-2"]["troubles"] == [], "what was mended stays so"


@pytest.mark.parametrize("preset", READY_FLEETS)
def test_every_preset_is_what_its_dry_run_says(hikube: Hikube, preset: str, snapshot: SnapshotAssertion) -> None:
    planned = hikube("sandbox", "create", "--preset", preset, "--dry-run")
    assert planned.shown() == snapshot
    assert not (hikube.home / "data").exists()
    names = hikube("sandbox", "create", "--preset", preset, "--dry-run", "-o", "name").out
    made = hikube("sandbox", "create", "--preset", preset, "-o", "name")
    assert (made.code, sorted(made.out.split())) == (0, sorted(names.split()))
    items = json.loads(hikube("host", "list", "-o", "json").out)["items"]
    planned_labels = json.loads(hikube("sandbox", "create", "--preset", preset, "--dry-run", "-o", "json").out)["items"]
    assert {each["metadata"]["name"]: each["metadata"]["labels"] for each in items} == {
        each["name"]: each["labels"] for each in planned_labels
    }


def test_it_is_refused_beside_real_hosts_and_beside_another_one(hikube: Hikube, snapshot: SnapshotAssertion) -> None:
    assert hikube("host", "add", "real", "qemu+ssh://root@gpu.example.org/system", "--no-probe").code == 0
    assert hikube("sandbox", "create").shown() == snapshot
    assert not (hikube.home / "data" / "sandbox").exists()
    assert hikube("host", "remove", "real").code == 0
    assert hikube("sandbox", "create", "--preset", "l40s").code == 0
    assert hikube("sandbox", "create", "--preset", "rack").shown() == snapshot
    assert hikube("sandbox", "create", "--preset", "racks").shown() == snapshot


def test_images_need_no_download_and_one_of_the_users_own_is_left_alone(hikube: Hikube) -> None:
    mine = "https://images.example.org/mine.qcow2"
    assert hikube("image", "add", "ubuntu", mine).code == 0
    assert hikube("sandbox", "create", "--preset", "l40s").code == 0
    images = {item["metadata"]["name"]: item for item in json.loads(hikube("image", "list", "-o", "json").out)["items"]}
    assert images.pop("ubuntu")["spec"]["url"] == mine
    assert images and all(item["spec"]["url"].startswith("file://") for item in images.values())
    fetched = hikube("image", "fetch", "debian-13")
    assert fetched.code == 0
    assert images["debian-13"]["spec"]["sha256"] in fetched.out
    assert hikube("sandbox", "delete", "--yes").code == 0
    assert hikube("get", "images", "-o", "name").out == "image/ubuntu\n"


# broken and mended


def test_without_a_sandbox_each_command_says_how_to_make_one(hikube: Hikube, snapshot: SnapshotAssertion) -> None:
    assert hikube("sandbox", "show").shown() == snapshot
    assert hikube("sandbox", "break", "h100-1").shown() == snapshot
    assert hikube("sandbox", "mend").code == 11
    assert hikube("sandbox", "delete").shown() == snapshot
    assert not (hikube.home / "data").exists()


def test_a_power_cut_and_the_way_back(training: Hikube, snapshot: SnapshotAssertion) -> None:
    assert rows(training)["h100-1"]["running"] == ["hikube-default.train"]
    assert training("sandbox", "break", "h100-1").shown() == snapshot
    assert rows(training)["h100-1"] == snapshot
    assert vm_status(training) == "Ready,HostAway"
    assert training("explain", "vm", "train").out.startswith("VirtualMachine default/train is Ready,HostAway\n")
    assert training("gpu", "vm", "logs", "train", "--no-events").code == 9
    mended = training("sandbox", "mend")
    assert mended.code == 0
    assert "virtualmachine/train Ready\n" in mended.err
    assert vm_status(training) == "Ready"
    assert rows(training)["h100-1"]["running"] == ["hikube-default.train"]


def test_a_broken_network_leaves_the_vm_running(training: Hikube) -> None:
    assert training("sandbox", "break", "h100-1", "network").code == 0
    assert rows(training)["h100-1"]["running"] == ["hikube-default.train"]
    assert vm_status(training) == "Ready,HostAway"
    assert training("sandbox", "mend", "h100-1").code == 0
    assert vm_status(training) == "Ready"
    assert boots(training) == 1


def test_a_vm_that_died_is_started_again_while_a_controller_runs(training: Hikube) -> None:
    controller = training.start("controller")
    try:
        assert controller.stderr is not None
        assert "runs" in controller.stderr.readline()
        assert training("sandbox", "break", "vm/train", "crash").code == 0
        mended = training("sandbox", "mend", "vm/train", "--timeout", "60s")
        assert (mended.code, mended.out) == (0, "vm/train mended\n")
        assert "watching" in mended.err and "virtualmachine/train Ready" in mended.err
        assert rows(training)["h100-1"]["running"] == ["hikube-default.train"]
        assert vm_status(training) == "Ready"
    finally:
        controller.terminate()
        controller.wait(timeout=30)
        for stream in (controller.stdout, controller.stderr):
            assert stream is not None
            stream.close()


def test_a_gpu_that_falls_off_its_bus_is_found_by_the_doctor_and_mended(sandbox: Hikube) -> None:
    assert errors_of(sandbox, "h100-1") == set()
    assert sandbox("sandbox", "break", "h100-1/41:00").out == (
        "h100-1/41:00: it has fallen off the bus: its config space reads as all ones\n"
    )
    assert errors_of(sandbox, "h100-1") == {"0000:41:00.0"}
    assert sandbox("sandbox", "mend", "h100-1/41:00").code == 0
    assert errors_of(sandbox, "h100-1") == set()


def test_a_reset_that_fails_ends_in_quarantine_which_a_person_ends(training: Hikube) -> None:
    assert training("sandbox", "break", "h100-1/41:00", "reset").code == 0
    assert training("gpu", "vm", "delete", "train", "--timeout", "60s").code == 0
    assert "h100-1:7" in training("gpu", "offers").out
    mended = training("sandbox", "mend", "h100-1/41:00")
    assert "stays in quarantine: hikube gpu release h100-1/0000:41:00.0" in mended.err
    assert training("gpu", "release", "h100-1/41:00", "--timeout", "60s").code == 0
    assert "h100-1:8" in training("gpu", "offers").out


def test_a_guest_that_never_answers_is_told_of_before_it_exists(sandbox: Hikube) -> None:
    assert sandbox("sandbox", "break", "vm/train", "silence").code == 0
    assert sandbox(*TRAIN[:-1], "3s").code == 8
    assert vm_status(sandbox) == "Booting"
    mended = sandbox("sandbox", "mend", "vm/train")
    assert "virtualmachine/train Ready\n" in mended.err, mended.err


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("h100-9", ""),
        ("h100-1", "fire"),
        ("h100-1/41:00", "power"),
        ("h100-1/99:00", "bus"),
        ("h100-1/zz", "bus"),
        ("vm/nobody", "crash"),
        ("vm/nobody", "bus"),
    ],
)
def test_what_cannot_be_broken_is_refused(sandbox: Hikube, where: str, what: str, snapshot: SnapshotAssertion) -> None:
    result = sandbox("sandbox", "break", where, *([what] if what else []))
    assert result.shown() == snapshot


def test_every_trouble_of_the_help_exists_and_every_one_that_exists_is_in_the_help(sandbox: Hikube) -> None:
    shown = sandbox("sandbox", "break", "--help").out.split("crash then.")[1].split("Arguments:")[0]
    listed = re.findall(r"^ +(?:HOST +|HOST/ADDRESS +|vm/NAME +)?([a-z]+)  ", shown, re.MULTILINE)
    assert [next(iter(each)) for each in (HOST_TROUBLES, GPU_TROUBLES, GUEST_TROUBLES)] == ["power", "bus", "crash"]
    assert listed == [*HOST_TROUBLES, *GPU_TROUBLES, *GUEST_TROUBLES]
    assert tuple(listed) == TROUBLES, "and all of them are completed"


def test_what_can_be_broken_is_completed(sandbox: Hikube, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(sandbox, monkeypatch, "hikube sandbox break l40s") == [
        *(f"l40s-{host}{gpu}" for host in (1, 2) for gpu in ("", *(f"/0000:4{number}:00.0" for number in range(1, 5)))),
    ]
    assert completed(sandbox, monkeypatch, "hikube sandbox break l40s-1 po") == ["power"]


# gone


def test_it_asks_before_it_deletes_and_says_what_would_go(training: Hikube, snapshot: SnapshotAssertion) -> None:
    assert training("sandbox", "delete").shown() == snapshot
    assert training("sandbox", "delete", "--dry-run").shown() == snapshot
    assert vm_status(training) == "Ready"


def test_deleting_it_leaves_nothing_even_of_what_is_broken(training: Hikube) -> None:
    for arguments in (
        ("disk", "create", "data", "--size", "1Gi"),
        ("gpu", "vm", "create", "waits", "--gpu", "h100-sxm:8", "--queue", "--no-wait"),
        ("sandbox", "break", "h100-1", "power"),
        ("sandbox", "break", "l40s-1", "network"),
        ("sandbox", "break", "h100-1/41:00", "reset", "--no-wait"),
    ):
        assert training(*arguments).code == 0, arguments
    gone = training("sandbox", "delete", "--yes")
    assert gone.code == 0, gone.err
    assert "the sandbox is gone" in gone.err
    assert not (training.home / "data" / "sandbox").exists()
    for kind in ("vms", "vmdisks", "gpuhosts", "claims", "secrets", "images", "gpuhistories"):
        assert training("get", kind, "-A", "-o", "name").out == "", kind
    assert training("sandbox", "delete", "--yes").err == "there is no sandbox\n"
    assert training("sandbox", "create").code == 0, "and it can be made again"


def test_hosts_that_are_not_of_the_sandbox_and_what_is_on_them_stay(training: Hikube) -> None:
    own = f"simulated://l40s?state={training.home}/own.json"
    assert training("host", "add", "own", own).code == 0
    mine = ("--gpu", "l40s", "--host-selector", "rack=mine", "--queue", "--no-wait")
    assert training("gpu", "vm", "create", "mine", *mine).code == 0
    assert training("sandbox", "delete", "--yes").code == 0
    assert training("get", "gpuhosts", "-o", "name").out == "gpuhost/own\n"
    assert training("get", "vms", "-o", "name").out == "virtualmachine/mine\n"
