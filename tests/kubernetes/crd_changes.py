"""What the API server refuses by looking at an object before and after, and what by the schema alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.kubernetes.crd_rules import Spec


@dataclass(frozen=True, slots=True)
class Change:
    """One rule about changes."""

    kind: str
    before: Spec
    bad: Spec
    good: Spec
    says: str
    status: Spec = field(default_factory=dict)

    def name(self, number: int) -> str:
        """Of the object; a claim's is its device."""
        return "rule-host.0000-41-00.0" if self.kind == "GPUClaim" else f"change-{number}"

    def __str__(self) -> str:
        return f"{self.kind}: {self.says[:60]}"


_OWNER = {"kind": "VirtualMachine", "namespace": "a", "name": "vm", "uid": "1"}
_CLAIM = {"host": "rule-host", "address": "0000:41:00.0", "gpuName": "nvidia.com/AD102GL_L40S", "owner": _OWNER}
_CARD = {"identity": {"vendor": "10de", "device": "26b9"}}
_IMAGE = {"source": {"image": {"name": "ubuntu"}}}
_HTTP = {"source": {"http": {"url": "https://example.com/a"}}}

CHANGES = (
    Change("GPUClaim", _CLAIM, _CLAIM | {"owner": _OWNER | {"uid": "2"}}, _CLAIM, "a claim is never changed: who owns what"),
    Change(
        "GPUHistory",
        _CARD,
        {"identity": _CARD["identity"] | {"serial": "1"}},
        _CARD,
        "a history is of one card and is never changed",
    ),
    Change(
        "VMDisk", _IMAGE, {"source": {"image": {"name": "debian"}}}, _IMAGE | {"storage": "9Gi"}, "source cannot be changed"
    ),
    Change("VMDisk", {}, _IMAGE, {"source": {}}, "source cannot be changed"),
    Change(
        "VMDisk",
        _HTTP,
        {"source": {"http": {"url": "https://example.com/b"}}},
        {"source": {"http": {"url": "https://example.com/a", "sha256": ""}}},
        "source cannot be changed",
    ),
    Change("VMDisk", {"optical": True}, {}, {"optical": True}, "optical cannot be changed"),
    Change(
        "VMDisk",
        {"storageClass": "local"},
        {"storageClass": "replicated"},
        {"storageClass": "local", "size": "8Gi"},
        "storageClass cannot be changed: local -> replicated",
    ),
    Change(
        "VMDisk", {"size": "10Gi"}, {"storage": "9Gi"}, {"storage": "11Gi"}, "a disk can only grow: storage is 10Gi, not 9Gi"
    ),
    Change(
        "VirtualMachine",
        {"systemDisk": {"storage": "10Gi"}},
        {"systemDisk": {"storage": "5Gi"}},
        {"systemDisk": {"size": "20Gi"}},
        "a disk can only grow: storage is 10Gi, not 5Gi",
        status={"systemVolume": "hikube-a.vm-system.qcow2"},
    ),
)

REFUSED: tuple[tuple[str, str, Spec, str], ...] = (
    ("VMDisk", "copy", {"source": {"disk": {"name": "copy"}}}, "a disk cannot be a copy of itself"),
    ("VMDisk", "a.b", {}, "metadata.name: Invalid value: a name has lower-case letters, digits and '-' only"),
    ("VMDisk", "a" * 57, {}, "metadata.name: Too long: may not be more than 56 bytes"),
    ("VirtualMachine", "a", {"gpuss": []}, 'unknown field "spec.gpuss"'),
    ("VirtualMachine", "b", {"gpus": [{"name": "L40S", "count": 2}]}, 'unknown field "spec.gpus[0].count"'),
    ("VirtualMachine", "c", {"systemDisk": {"sise": "5Gi"}}, 'unknown field "spec.systemDisk.sise"'),
    ("Kubernetes", "a", {"nodeGroups": {"a": {"gpu": 1}}}, 'unknown field "spec.nodeGroups.a.gpu"'),
    ("VMInstance", "a", {"disks": [{"name": "a", "buss": "sata"}]}, '"spec.disks[0]" must validate at least one schema'),
    ("VMInstance", "b", {"disks": ["a", True]}, "spec.disks[1]"),
    ("VMInstance", "c", {"disks": [{"name": "a", "bus": "ide"}]}, 'supported values: "", "virtio", "sata", "scsi"'),
    ("VMInstance", "d", {"networks": ["a", {"name": "b"}, {"nam": "c"}]}, '"spec.networks[2]" must validate'),
    ("Kubernetes", "b", {"nodeGroups": {"a": {"ephemeralStorage": {"sise": "5Gi"}}}}, "must validate at least one schema"),
    (
        "Kubernetes",
        "c",
        {"nodeGroups": {"b": {"ephemeralStorage": "5GB"}}},
        "spec.nodeGroups.b.ephemeralStorage in body should match",
    ),
    ("VirtualMachine", "d", {"runStrategy": "always"}, 'supported values: "Always", "Halted", "Manual"'),
    ("VirtualMachine", "e", {"external": "yes"}, "must be of type boolean"),
    ("VirtualMachine", "f", {"gpus": [{"name": "L40S"}] * 17}, "must have at most 16 items"),
    ("VirtualMachine", "g", {"externalPorts": [70000]}, "should be less than or equal to 65535"),
    ("GPUHost", "a", {}, "spec.uri: Required value"),
)
"""Kind, name, spec, and what is said by the schema, or by rules about names."""
