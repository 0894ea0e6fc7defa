"""`hikube explain vm NAME --hardware` on a simulated host with two NUMA nodes: of a VM without a host, and of one that runs."""

from __future__ import annotations

import json

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cli.conftest import Hikube
from tests.cli.test_stories import qcow2

PAIR = (
    "gpu",
    "vm",
    "create",
    "pair",
    "--gpu",
    "l40s",
    "--gpu",
    "l40s",
    "--image",
    "tiny",
    "--disk-size",
    "4Gi",
    "--timeout",
    "60s",
)
HALTED = """
apiVersion: apps.cozystack.io/v1alpha1
kind: VirtualMachine
metadata: {name: later}
spec:
  runStrategy: Halted
  firmware: efi
  gpus: [{name: l40s}, {name: l40s}, {name: l40s}]
  resources: {cpu: 12, memory: 24Gi}
  systemDisk: {image: tiny, storage: 4Gi}
"""


@pytest.fixture
def two_nodes(hikube: Hikube) -> Hikube:
    """The command with one simulated host that has two L40S on each of two nodes, and a tiny image."""
    (hikube.home / "tiny.qcow2").write_bytes(qcow2(1 << 30))
    assert hikube("host", "add", "sim", f"simulated://two-nodes?state={hikube.home}/sim.json").code == 0
    assert hikube("image", "add", "tiny", f"file://{hikube.home}/tiny.qcow2", "--min-storage", "1Gi").code == 0
    return hikube


def test_a_vm_without_a_host_is_shown_as_it_would_be(two_nodes: Hikube, snapshot: SnapshotAssertion) -> None:
    assert two_nodes("apply", "-f", two_nodes.file("later.yaml", HALTED)).code == 0
    assert two_nodes("explain", "vm", "later", "--hardware").shown() == snapshot
    data = json.loads(two_nodes("explain", "vm", "later", "--hardware", "-o", "json").out)
    assert (data["host"], data["actual"], data["nowhere"]) == ("sim", False, None)
    assert [cell["hostNode"] for cell in data["hardware"]["cells"]] == [0, 1]
    assert {each["numaNode"] for each in data["hardware"]["functions"]} == {0, 1}


def test_a_vm_that_runs_has_the_hardware_that_is_explained(two_nodes: Hikube, snapshot: SnapshotAssertion) -> None:
    assert two_nodes(*PAIR).code == 0
    assert two_nodes("explain", "vm", "pair", "--hardware").shown() == snapshot
    explained = json.loads(two_nodes("explain", "vm", "pair", "--hardware", "-o", "json").out)
    assert explained["actual"] is True
    planned = {each["hostAddress"]: each["guestAddress"] for each in explained["hardware"]["functions"]}
    status = json.loads(two_nodes("get", "vm", "pair", "-o", "json").out)["status"]
    assert len(status["gpus"]) == 2
    assert all(planned[gpu["address"]] == gpu["guestAddress"] for gpu in status["gpus"])
    proven = next(each for each in status["conditions"] if each["type"] == "GPUsProven")
    assert "on the guest's NUMA node 0 as planned" in proven["message"]


def test_a_vm_that_fits_nowhere_says_so(two_nodes: Hikube) -> None:
    text = HALTED.replace("{cpu: 12, memory: 24Gi}", "{cpu: 12, memory: 4000Gi}")
    assert two_nodes("apply", "-f", two_nodes.file("later.yaml", text)).code == 0
    assert "default/later goes nowhere: 1 host: " in two_nodes("explain", "vm", "later", "--hardware").out
    data = json.loads(two_nodes("explain", "vm", "later", "--hardware", "-o", "json").out)
    assert (data["hardware"], data["nowhere"]["reason"]) == (None, "InsufficientMemory")


def test_a_dry_run_shows_the_same(two_nodes: Hikube) -> None:
    result = two_nodes(*PAIR, "--dry-run")
    assert "--- hardware, and why" in result.out
    assert "NUMA host node 0: all GPUs are on it; the guest sees it as its node 0" in result.out
