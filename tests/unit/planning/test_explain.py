"""Why it is there, or why it waits: host by host, in the words of placement."""

from __future__ import annotations

from provisioner.model.quantities import GIB
from provisioner.model.sizing import GuestSize
from provisioner.model.virtual_machine import DiskReference, GpuRequest, NetworkReference
from provisioner.planning.explain import explain
from provisioner.planning.requests import request_for
from tests.unit.planning.factory import H100, L40S, TABLES, asks, claim, fleet, gpu, host, vm, vm_disk


def test_the_chosen_host_comes_first_and_every_host_has_a_line() -> None:
    hosts = (host("a", gpu(0x41), gpu(0x42)), host("b", gpu(0x41)), host("c", gpu(0x41, H100)))
    explanation = explain(asks(1), fleet(*hosts))
    assert explanation.lines() == (
        "asks for: 1 x L40S, 2 vCPUs, 4 GiB",
        "goes to: b (0000:41:00.0; NUMA node 0; 2 of 3 hosts fit)",
        "  because b is better than a: 0 GPUs stay free, not 1, so large hosts stay whole",
        "  because 0000:41:00.0 on NUMA node 0, where no other GPU stays free",
        "b  chosen  1 NUMA node, 1 PCIe bridge, leaves 0 GPUs and 250.7 GiB free",
        "a  fits  1 NUMA node, 1 PCIe bridge, leaves 1 GPU and 250.7 GiB free",
        "c  refused  has no L40S",
    )
    data = explanation.as_dict()
    assert [entry["verdict"] for entry in data["hosts"]] == ["chosen", "fits", "refused"]
    assert data["hosts"][1]["gpus"] == {"L40S": {"free": 2, "all": 2}}


def test_a_vm_that_waits_is_told_what_it_waits_for() -> None:
    explanation = explain(asks(1), fleet(host("a", gpu(0x41)), claims=(claim("a", "0000:41:00.0"),)))
    assert explanation.lines()[1:] == ("goes nowhere: 1 host: 0 of 1 L40S free", "a  refused  0 of 1 L40S free")
    assert explanation.as_dict()["outcome"]["reason"] == "InsufficientGPUs"


def test_a_vm_that_runs_sees_its_own_gpu_as_free() -> None:
    mine = (claim("a", "0000:41:00.0", owner="me"),)
    assert explain(asks(1), fleet(host("a", gpu(0x41)), claims=mine)).hosts[0].verdict == "chosen"


def test_a_request_is_read_from_a_vm() -> None:
    machine = vm(
        gpus=(),
        disks=(DiskReference(name="new"), DiskReference(name="old")),
        networks=(NetworkReference(name="lan"),),
        host_selector={"zone": "a"},
    )
    spec = machine.spec.model_copy(update={"gpus": tuple(GpuRequest(name=name) for name in (H100, "l40s", L40S))})
    disks = [vm_disk("new"), vm_disk("old", host_name="b", volume="old.qcow2")]
    request = request_for(
        machine.model_copy(update={"spec": spec}), size=GuestSize(2, 4, 8192), tables=TABLES, vm_disks=disks, firmware="efi"
    )
    assert [(need.name, need.count, need.word) for need in request.gpus] == [(H100, 1, "H100 PCIe"), (L40S, 2, "L40S")]
    assert (request.vcpus, request.memory_mib, request.storage_bytes) == (8, 8192, 30 * GIB)
    assert (request.pinned_hosts, request.networks, request.firmware) == (("b",), ("lan",), "efi")
    assert request.host_selector == {"zone": "a"}
    placed = request_for(machine.with_status(host="a"), size=GuestSize(1, 1, 1024), tables=TABLES)
    assert (placed.pinned_hosts, placed.storage_bytes) == (("a",), 0)
