"""The objects that hikube writes into a KubeVirt cluster."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from provisioner.planning.machine_spec import ContainerDisk, ImportedDisk, MachineSpec, cpu_needed_milli, memory_needed_mib
from templates.kubevirt import CURRENT, GPUS, OWNER, seed_secret, virtual_machine

SPEC = MachineSpec(
    namespace="tenant-a",
    name="g1",
    owner_uid="the-owner",
    is_to_run=True,
    vcpus=4,
    memory_mib=16_384,
    gpus=("nvidia.com/GH100_H100_NVL", "nvidia.com/GH100_H100_NVL"),
    disk=ContainerDisk("registry/ubuntu@sha256:1"),
    user_data="#cloud-config\n# ü\n",
)


def template_of(spec: MachineSpec, **arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = virtual_machine(spec, **arguments)["spec"]["template"]
    return found


def current(spec: MachineSpec) -> str:
    return str(template_of(spec)["metadata"]["annotations"][CURRENT])


def test_a_whole_machine() -> None:
    made = virtual_machine(replace(SPEC, mac_address="52:54:00:00:00:01", node_labels=(("zone", "a"),), firmware="efi"))
    assert made["metadata"] == {
        "name": "g1",
        "namespace": "tenant-a",
        "labels": {OWNER: "the-owner", "app.kubernetes.io/managed-by": "hikube"},
    }
    template = made["spec"]["template"]
    assert template["metadata"]["labels"] == made["metadata"]["labels"], "they reach instance and pod from here only"
    assert json.loads(template["metadata"]["annotations"][GPUS]) == list(SPEC.gpus)
    assert template["spec"] == {
        "domain": {
            "cpu": {"cores": 4},
            "memory": {"guest": "16384Mi"},
            "firmware": {"bootloader": {"efi": {"secureBoot": False}}},
            "devices": {
                "disks": [
                    {"name": "root", "bootOrder": 1, "disk": {"bus": "virtio"}},
                    {"name": "seed", "disk": {"bus": "virtio"}},
                ],
                "interfaces": [{"name": "default", "masquerade": {}, "macAddress": "52:54:00:00:00:01"}],
                "rng": {},
                "gpus": [
                    {"name": "gpu0", "deviceName": "nvidia.com/GH100_H100_NVL"},
                    {"name": "gpu1", "deviceName": "nvidia.com/GH100_H100_NVL"},
                ],
            },
        },
        "networks": [{"name": "default", "pod": {}}],
        "volumes": [
            {"name": "root", "containerDisk": {"image": "registry/ubuntu@sha256:1"}},
            {"name": "seed", "cloudInitNoCloud": {"secretRef": {"name": "g1-seed"}}},
        ],
        "evictionStrategy": "External",
        "terminationGracePeriodSeconds": 180,
        "nodeSelector": {"zone": "a"},
    }


@pytest.mark.parametrize(
    ("is_to_run", "is_restarted", "strategy"),
    [(True, False, "Once"), (True, True, "Always"), (False, False, "Halted"), (False, True, "Halted")],
)
def test_run_strategy(is_to_run: bool, is_restarted: bool, strategy: str) -> None:
    made = virtual_machine(replace(SPEC, is_to_run=is_to_run, is_restarted=is_restarted))
    assert made["spec"]["runStrategy"] == strategy


def test_an_imported_disk_is_a_volume_of_its_own() -> None:
    disk = ImportedDisk("https://images/ubuntu.img", size_bytes=10 << 30, storage_class="fast")
    made = virtual_machine(replace(SPEC, disk=disk))
    (volume,) = made["spec"]["dataVolumeTemplates"]
    assert volume["metadata"]["name"] == "g1-root"
    assert volume["spec"] == {
        "source": {"http": {"url": "https://images/ubuntu.img"}},
        "storage": {"resources": {"requests": {"storage": str(10 << 30)}}, "storageClassName": "fast"},
    }
    assert made["spec"]["template"]["spec"]["volumes"][0] == {"name": "root", "dataVolume": {"name": "g1-root"}}
    registry = virtual_machine(replace(SPEC, disk=ImportedDisk("docker://registry/disk:1", size_bytes=1)))
    assert registry["spec"]["dataVolumeTemplates"][0]["spec"]["source"] == {"registry": {"url": "docker://registry/disk:1"}}


def test_claimed_gpus_name_a_request_each() -> None:
    spec = template_of(replace(SPEC, claim_template="two"), claim_requests=("r1", "r2"))["spec"]
    assert spec["resourceClaims"] == [{"name": "gpus", "resourceClaimTemplateName": "two"}]
    assert spec["domain"]["devices"]["gpus"] == [
        {"name": "gpu0", "claimName": "gpus", "requestName": "r1"},
        {"name": "gpu1", "claimName": "gpus", "requestName": "r2"},
    ]


def test_without_gpus_there_is_no_list_of_them() -> None:
    assert "gpus" not in template_of(replace(SPEC, gpus=()))["spec"]["domain"]["devices"]


@pytest.mark.parametrize(
    "changes",
    [
        {"gpus": SPEC.gpus[:1]},
        {"vcpus": 8},
        {"memory_mib": 1024},
        {"disk": ContainerDisk("other")},
        {"mac_address": "52:54:00:00:00:01"},
        {"firmware": "bios"},
        {"shutdown_timeout_s": 5},
        {"network_data": "version: 2\n"},
    ],
)
def test_what_only_a_restart_changes_is_in_the_digest(changes: dict[str, Any]) -> None:
    assert current(replace(SPEC, **changes)) != current(SPEC)


@pytest.mark.parametrize(
    "changes",
    [{"user_data": "other"}, {"is_to_run": False}, {"is_restarted": True}, {"node_labels": (("zone", "a"),)}],
)
def test_what_takes_effect_without_or_is_a_secret_is_not(changes: dict[str, Any]) -> None:
    assert current(replace(SPEC, **changes)) == current(SPEC)


def test_the_seed_goes_with_its_machine() -> None:
    made = seed_secret(replace(SPEC, network_data="version: 2\n"), machine_uid="u-1")
    assert made["metadata"]["name"] == "g1-seed"
    assert made["metadata"]["labels"][OWNER] == "the-owner"
    owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "g1", "uid": "u-1"}
    assert made["metadata"]["ownerReferences"] == [owner]
    assert {name: base64.b64decode(text).decode() for name, text in made["data"].items()} == {
        "userdata": SPEC.user_data,
        "networkdata": "version: 2\n",
    }
    assert "ownerReferences" not in seed_secret(SPEC)["metadata"]


def test_seeds_are_not_printed() -> None:
    assert "cloud-config" not in repr(SPEC)


@pytest.mark.parametrize(
    ("memory_mib", "vcpus", "gpus", "pod_mib", "cpu_milli"),
    [
        (16_384, 4, 0, 16_696, 400),
        (16_384, 4, 8, 17_720, 400),
        (4_096, 4, 1, 5_432, 400),
        (1_024_000, 4, 1, 1_025_336, 400),
        (16_384, 16, 1, 17_816, 1_600),
        (16_384, 128, 1, 18_712, 12_800),
        (16_384, 1, 1, 17_696, 100),
    ],
)
def test_what_it_asks_of_a_node(memory_mib: int, vcpus: int, gpus: int, pod_mib: int, cpu_milli: int) -> None:
    """The launcher pods' requests as they were seen, and the sidecar that keeps the console: 35M, 5m."""
    spec = replace(SPEC, memory_mib=memory_mib, vcpus=vcpus, gpus=("nvidia.com/x",) * gpus)
    assert memory_needed_mib(spec) == pod_mib + 34
    assert cpu_needed_milli(spec) == cpu_milli + 5
