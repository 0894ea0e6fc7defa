"""Admission of instances: what their mutator fills in, and what their validators refuse. Pure but for the clock."""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy

from tests.kubernetes.kubevirt.fields import Document, at, finalizers_of, items, stamp
from tests.kubernetes.kubevirt.gpu_rules import gpu_causes
from tests.kubernetes.kubevirt.overhead import guest_bytes
from tests.kubernetes.kubevirt.quantities import memory
from tests.kubernetes.kubevirt.refusals import Cause, Denial, denial_of
from tests.kubernetes.kubevirt.resources import FINALIZER_FOREGROUND, INSTALLED_IN

OWN_USERS = f"system:serviceaccount:{INSTALLED_IN}:"
GUEST_FACTOR = 4
NO_MEMORY = (
    "no memory requested, at least one of 'spec.domain.memory.guest', 'spec.domain.memory.hugepages.pageSize' "
    "or 'spec.domain.resources.requests.memory' must be set"
)
RESTRICTED = "update of VMI object is restricted"
RESERVED = "modification of the following reserved kubevirt.io/ labels on a VMI object is prohibited"


def with_defaults(instance: Document) -> Document:
    """As it is stored when it is created."""
    new = deepcopy(instance)
    metadata, spec = new["metadata"], new["spec"]
    if FINALIZER_FOREGROUND not in finalizers_of(new):
        metadata["finalizers"] = [*finalizers_of(new), FINALIZER_FOREGROUND]
    domain = spec["domain"]
    domain.setdefault("cpu", {}).setdefault("model", "host-model")
    domain.setdefault("features", {}).setdefault("acpi", {})["enabled"] = True
    domain.setdefault("machine", {}).setdefault("type", "q35")
    if at(domain, "memory", "guest"):
        domain["memory"].setdefault("maxGuest", memory(GUEST_FACTOR * guest_bytes(domain)))
    spec.setdefault("evictionStrategy", "None")
    for volume in items(spec, "volumes"):
        if "containerDisk" in volume:
            volume["containerDisk"].setdefault("imagePullPolicy", "IfNotPresent")
    _put_network(spec)
    status = new.setdefault("status", {})
    status["phase"] = "Pending"
    status["phaseTransitionTimestamps"] = [{"phase": "Pending", "phaseTransitionTimestamp": stamp()}]
    status["runtimeUser"] = 107
    return new


def refuse_new(instance: Document, gates: Collection[str]) -> Denial | None:
    """`virtualmachineinstances-create-validator.kubevirt.io`."""
    domain = instance["spec"]["domain"]
    causes = list(gpu_causes(instance["spec"], gates))
    if not guest_bytes(domain) and not at(domain, "memory", "hugepages", "pageSize"):
        causes.insert(0, Cause(NO_MEMORY, "spec.domain.memory"))
    return denial_of(causes)


def refuse_change(before: Document, after: Document, user: str) -> Denial | None:
    """`virtualmachineinstances-update-validator.kubevirt.io`: others than KubeVirt may set labels of their own."""
    if user.startswith(OWN_USERS):
        return None
    if before["spec"] != after["spec"]:
        return denial_of([Cause(RESTRICTED, "spec")])
    if _reserved(before) != _reserved(after):
        return denial_of([Cause(RESERVED, "metadata.labels")])
    return None


def _put_network(spec: Document) -> None:
    """The pod's network, for a VM that says nothing about networks."""
    devices = spec["domain"].setdefault("devices", {})
    if spec.get("networks") or devices.get("interfaces") or devices.get("autoattachPodInterface") is False:
        return
    spec["networks"] = [{"name": "default", "pod": {}}]
    devices["interfaces"] = [{"name": "default", "bridge": {}}]


def _reserved(instance: Document) -> Document:
    labels = instance["metadata"].get("labels") or {}
    return {key: value for key, value in labels.items() if key.split("/")[0].endswith("kubevirt.io") and "/" in key}
