"""What a user does, command after command, on a simulated host: exit code, stdout and stderr of every step as snapshots."""

from __future__ import annotations

import json
import struct

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cli.conftest import Hikube

TRAIN = ("gpu", "vm", "create", "train", "--gpu", "l40s", "--image", "tiny", "--disk-size", "4Gi", "--timeout", "60s")


def qcow2(virtual_size_bytes: int) -> bytes:
    """The smallest file that is a qcow2 image: its header, and clusters of zeros."""
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, virtual_size_bytes, 0, 1, 0x30000, 0x10000, 1, 0, 0, 0, 0, 0, 4, 104
    )
    return header.ljust(0x40000, b"\0")


def in_one_order(text: str) -> str:
    """The claim's first step, which another worker does, behind the VM's last, which lets go of the claim before it is told."""
    first, last = "  ok   quiesce", "  undo reserve"
    lines = text.splitlines(keepends=True)
    quiesced = [line for line in lines if line.startswith(first)]
    others = [line for line in lines if not line.startswith(first)]
    at = next((number for number, line in enumerate(others) if line.startswith(last)), len(others) - 1) + 1
    return "".join([*others[:at], *quiesced, *others[at:]])


@pytest.fixture
def fleet(hikube: Hikube) -> Hikube:
    """The command with one simulated host that has one L40S, and a tiny image."""
    (hikube.home / "tiny.qcow2").write_bytes(qcow2(1 << 30))
    assert hikube("host", "add", "sim", f"simulated://l40s?state={hikube.home}/sim.json").code == 0
    assert hikube("image", "add", "tiny", f"file://{hikube.home}/tiny.qcow2", "--min-storage", "1Gi").code == 0
    return hikube


def test_adding_a_host_shows_its_gpus(hikube: Hikube, snapshot: SnapshotAssertion) -> None:
    uri = f"simulated://l40s?state={hikube.home}/sim.json"
    assert hikube("host", "add", "sim", uri).shown() == snapshot
    assert hikube("host", "list").shown() == snapshot
    assert hikube("host", "show", "sim").shown() == snapshot
    assert hikube("gpu", "offers").shown() == snapshot
    assert hikube("host", "add", "sim", uri, "-o", "name").shown() == snapshot
    assert hikube("host", "add", "sim", uri, "--error-unchanged", "-o", "name").code == 3
    assert hikube("host", "add", "sim", uri, "--allow-emulation").shown() == snapshot


def test_a_vm_from_nothing_to_ready_and_back(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet(*TRAIN).shown() == snapshot
    assert fleet("gpu", "vm", "list").shown() == snapshot
    assert fleet("gpu", "vm", "list", "-o", "wide").shown() == snapshot
    assert fleet("gpu", "vm", "show", "train").shown() == snapshot
    assert fleet("explain", "vm", "train").shown() == snapshot
    assert fleet("get", "claims").shown() == snapshot
    assert fleet("events").shown() == snapshot
    assert fleet("gpu", "vm", "logs", "train", "--no-events").code == 0
    assert fleet("host", "remove", "sim").shown() == snapshot
    assert in_one_order(fleet("gpu", "vm", "delete", "train").shown()) == snapshot
    for kind in ("vms", "claims", "secrets"):
        assert fleet("get", kind, "-o", "name").out == ""
    assert fleet("host", "remove", "sim").shown() == snapshot


def test_the_same_vm_again_is_unchanged_and_another_spec_is_a_conflict(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet(*TRAIN).code == 0
    assert fleet(*TRAIN).shown() == snapshot
    assert fleet(*TRAIN, "--error-unchanged").code == 3
    assert fleet(*TRAIN, "--memory", "32Gi").shown() == snapshot


def test_no_capacity_says_why_and_stores_nothing(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet(*TRAIN).code == 0
    second = ("gpu", "vm", "create", "second", "--gpu", "l40s", "--image", "tiny", "--disk-size", "4Gi")
    assert fleet(*second).shown() == snapshot
    assert fleet(*second, "--dry-run").shown() == snapshot
    assert fleet("gpu", "vm", "show", "second").code == 11
    assert fleet("gpu", "offers", "--gpu", "l40s", "--explain").shown() == snapshot
    error = json.loads(fleet(*second, "-o", "json").err.splitlines()[-1])
    assert error["exitCode"] == 6
    assert error["error"]["context"]["counts"] == {"InsufficientGPUs": 1}
    assert error["error"]["context"]["nearest"] == {"host": "sim", "lacks": "1 free L40S"}


def test_a_queued_vm_gets_the_gpu_when_it_is_free(fleet: Hikube) -> None:
    assert fleet(*TRAIN).code == 0
    queued = ("gpu", "vm", "create", "second", "--gpu", "l40s", "--image", "tiny", "--disk-size", "4Gi", "--queue")
    pending = fleet(*queued, "--timeout", "1s")
    assert pending.code == 8
    assert "0 of 1 L40S free" in pending.err
    assert "hikube wait virtualmachine/second --for=condition=Ready" in pending.err
    assert fleet("gpu", "vm", "delete", "train").code == 0
    assert fleet("wait", "vm/second", "--timeout", "60s").code == 0
    assert fleet("gpu", "vm", "list", "-o", "json").out.count('"phase": "Ready"') == 1


def test_stop_start_and_restart(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    assert fleet(*TRAIN).code == 0
    assert fleet("gpu", "vm", "stop", "train").shown() == snapshot
    assert fleet("gpu", "vm", "stop", "train", "--error-unchanged").code == 3
    assert fleet("gpu", "vm", "restart", "train").shown() == snapshot
    assert fleet("get", "claims", "-o", "name").out == ""
    assert fleet("gpu", "vm", "start", "train").code == 0
    assert fleet("gpu", "vm", "restart", "train").code == 0
    assert fleet("wait", "vm", "train", "--for", "phase=Ready").code == 0


def test_a_dry_run_prints_plan_domain_and_seed_and_changes_nothing(fleet: Hikube) -> None:
    result = fleet(*TRAIN, "--dry-run")
    assert result.code == 0
    for part in (
        "Plan  train on sim (0000:41:00.0",
        "steps: reserve -> image",
        "--- domain XML",
        "<domain",
        "--- seed: user-data",
    ):
        assert part in result.out
    data = json.loads(fleet(*TRAIN, "--dry-run", "-o", "json").out)["items"][0]
    assert data["fits"] is True
    assert data["placement"]["host"] == "sim"
    assert fleet("gpu", "vm", "list", "-o", "name").out == ""


YAML = """
apiVersion: apps.cozystack.io/v1alpha1
kind: VirtualMachine
metadata: {name: demo}
spec:
  gpus: [{name: l40s}]
  instanceType: u1.xlarge
  systemDisk: {image: tiny, storage: 4Gi}
"""


def test_apply_creates_leaves_unchanged_changes_and_deletes(fleet: Hikube, snapshot: SnapshotAssertion) -> None:
    path = fleet.file("vm.yaml", YAML)
    key = str(fleet.home / ".ssh" / "id_ed25519.pub")
    assert fleet("apply", "-f", path, "--dry-run").code == 0
    assert fleet("apply", "-f", path, "--wait", "--ssh-key", key).shown() == snapshot
    assert fleet("apply", "-f", path, "--ssh-key", key).shown() == snapshot
    assert fleet("apply", "-f", path, "--ssh-key", key, "--error-unchanged").code == 3
    path = fleet.file("vm.yaml", YAML.replace("u1.xlarge", "u1.2xlarge"))
    assert fleet("apply", "-f", path, "--ssh-key", key, "--dry-run").out.count("would change") == 1
    assert fleet("apply", "-f", path, "--ssh-key", key, "--wait").shown() == snapshot
    assert fleet("describe", "vm/demo").code == 0
    assert fleet("delete", "-f", path).shown() == snapshot


def test_apply_refuses_node_groups_plainly(hikube: Hikube, snapshot: SnapshotAssertion) -> None:
    path = "examples/kubernetes-gpu-nodegroups.yaml"
    assert hikube("validate", "-f", path).code == 0
    assert hikube("apply", "-f", path).shown() == snapshot


def test_a_vm_that_fails_for_good_ends_the_wait_early(fleet: Hikube) -> None:
    path = fleet.file("vm.yaml", YAML.replace("image: tiny", "image: nobody-has-it"))
    result = fleet("apply", "-f", path, "--wait", "--timeout", "60s")
    assert result.code == 9
    assert "no image is called `nobody-has-it`" in result.err
    assert fleet("get", "claims", "-o", "name").out == ""


def test_a_host_that_does_not_answer_is_not_stored(hikube: Hikube) -> None:
    result = hikube("host", "add", "away", "qemu+tcp://127.0.0.1:9/system")
    assert result.code == 9
    assert "--no-probe" in result.err
    assert hikube("get", "hosts", "-o", "name").out == ""
    assert hikube("host", "add", "away", "qemu+tcp://127.0.0.1:9/system", "--no-probe").code == 0
    assert hikube("host", "cordon", "away").out == "gpuhost/away cordoned\n"
    assert hikube("host", "cordon", "away").out == "gpuhost/away unchanged\n"
    assert hikube("host", "uncordon", "away").out == "gpuhost/away uncordoned\n"
    assert hikube("host", "remove", "away").code == 0


def test_a_host_that_is_away_says_why(hikube: Hikube) -> None:
    assert hikube("host", "add", "away", "qemu+tcp://127.0.0.1:9/system", "--no-probe").code == 0
    assert "Status:     Unknown" in hikube("host", "show", "away").out
    assert hikube("wait", "host/away", "--timeout", "3s").code == 8
    listed = hikube("host", "list")
    assert listed.out.splitlines()[1].split()[:2] == ["away", "Unreachable"]
    assert listed.err.startswith("away is Unreachable: ")
    assert "127.0.0.1:9" in listed.err
    shown = hikube("host", "show", "away").out
    assert "Status:     Unreachable" in shown
    assert "HostUnreachable" in shown.split("Conditions:")[1]
    assert hikube("get", "host").out.splitlines()[1].split()[:2] == ["away", "Unreachable"]


def test_offers_are_explained_for_every_model(fleet: Hikube) -> None:
    assert fleet(*TRAIN).code == 0
    result = fleet("gpu", "offers", "--explain")
    assert (result.code, result.out) == (0, "l40s:\n  sim  refused  0 of 1 L40S free\n")
    assert json.loads(fleet("gpu", "offers", "--explain", "-o", "json").out)["items"][0]["gpu"] == "l40s"


def test_an_image_is_removed(fleet: Hikube) -> None:
    assert fleet("image", "remove", "tiny").out == "image/tiny deleted\n"
    assert fleet("image", "remove", "tiny").code == 11
    assert fleet("image", "remove", "tiny", "--ignore-not-found").code == 0
    built_in = fleet("image", "remove", "ubuntu")
    assert built_in.code == 2
    assert "built in" in built_in.err


def test_an_image_file_that_is_not_there_is_remarked_on(fleet: Hikube) -> None:
    result = fleet("image", "add", "later", "file:///nowhere/later.qcow2")
    assert result.code == 0
    assert "there is no file /nowhere/later.qcow2 yet" in result.err
    again = fleet("image", "add", "later", "file:///nowhere/other.qcow2")
    assert again.code == 5
    assert "`hikube delete image/later` removes it" in again.err


def test_a_dry_run_of_what_is_there_already_says_so(fleet: Hikube) -> None:
    assert fleet(*TRAIN).code == 0
    assert fleet(*TRAIN, "--dry-run").out.startswith("virtualmachine/train: unchanged (dry run)\n")


def test_secrets_are_never_printed(fleet: Hikube) -> None:
    assert fleet(*TRAIN).code == 0
    for command in (["get", "secrets", "-o", "json"], ["get", "secrets", "-o", "yaml"], ["describe", "secret/train-access"]):
        result = fleet(*command)
        assert result.code == 0
        assert "<hidden>" in result.out
        assert "ssh-ed25519" not in result.out
