"""KubeVirt's objects as they were seen (docs/reference/kubevirt.md), with as much in them as a test varies."""

from __future__ import annotations

from typing import Any

from provisioner.drivers.kubevirt.sight import Sight
from templates.kubevirt import CURRENT, OWNER

Document = dict[str, Any]
LABELS = {OWNER: "the-owner"}
GOING = "2026-11-22T02:00:00Z"


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Document:
    """A condition; reason and message are absent where they are empty, as KubeVirt has it."""
    told = {"type": kind, "status": status, "lastTransitionTime": "2026-11-22T01:00:00Z"}
    return told | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


def machine(strategy: str = "Always", *, going: bool = False, status: Document | None = None, digest: str = "a") -> Document:
    """A VirtualMachine."""
    metadata: Document = {"name": "g1", "namespace": "e", "labels": LABELS, "uid": "vm-1", "generation": 1}
    template = {"metadata": {"annotations": {CURRENT: digest}}}
    return {
        "metadata": metadata | ({"deletionTimestamp": GOING} if going else {}),
        "spec": {"runStrategy": strategy, "template": template},
        "status": status or {},
    }


def instance(
    phase: str, *conditions: Document, going: bool = False, digest: str = "a", gpus: int = 1, **status: Any
) -> Document:
    """A VirtualMachineInstance."""
    metadata = {"name": "g1", "namespace": "e", "labels": LABELS, "uid": "vmi-1", "annotations": {CURRENT: digest}}
    devices = {"gpus": [{"name": f"gpu{index}", "deviceName": "nvidia.com/GH100_H100_NVL"} for index in range(gpus)]}
    return {
        "metadata": metadata | ({"deletionTimestamp": GOING} if going else {}),
        "spec": {"domain": {"devices": devices}},
        "status": {"phase": phase, "conditions": list(conditions)} | status,
    }


def pod(*conditions: Document, node: str = "", phase: str = "Pending", **status: Any) -> Document:
    """A launcher pod."""
    return {
        "metadata": {"name": "virt-launcher-g1-jfzp9", "namespace": "e", "uid": "pod-1"},
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": list(conditions)} | status,
    }


def node(ready: str) -> Document:
    """A node; `Unknown` is what the cluster says of one that does not answer."""
    return {"metadata": {"name": "gpu-2"}, "status": {"conditions": [condition("Ready", ready, "NodeStatusUnknown")]}}


def event(reason: str, message: str, *, kind: str = "Warning", at: str = "2026-11-22T01:00:00Z") -> Document:
    """An event of the pod."""
    return {"type": kind, "reason": reason, "message": message, "lastTimestamp": at}


READY = condition("Ready", "True")
NOT_RUNNING = condition("Ready", "False", "GuestNotRunning", "Guest VM is not reported as running")
TERMINATING = condition("Ready", "False", "PodTerminating", "virt-launcher pod is terminating")
SILENT = condition("Ready", "False")
"""Empty reason and message: the early sign of a lost node."""


def sight(vm: Document | None, vmi: Document | None = None, **parts: Any) -> Sight:
    """What was read."""
    return Sight(vm, vmi, **parts)
