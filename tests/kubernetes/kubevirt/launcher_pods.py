"""The launcher pod of an instance, as virt-controller renders it; names that are not permitted are refused here. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tests.kubernetes.kubevirt.fields import Document, at, items, owner_reference, uid_of
from tests.kubernetes.kubevirt.overhead import compute_resources, is_dedicated, overhead_bytes
from tests.kubernetes.kubevirt.pace import GRACE_UNSET_S
from tests.kubernetes.kubevirt.resources import ANNOTATION_GENERATION, ANNOTATION_TOPOLOGY, LABEL_CREATED_BY

IMAGE = "virt-launcher"
UNPAUSED = "kubevirt.io/virtual-machine-unpaused"
GRACE_MORE_S = 30
LABEL_MAX = 63
_DISK_RESOURCES = {
    "limits": {"cpu": "10m", "memory": "40M"},
    "requests": {"cpu": "1m", "ephemeral-storage": "50M", "memory": "1M"},
}
_LOG_RESOURCES = {"limits": {"cpu": "15m", "memory": "60M"}, "requests": {"cpu": "5m", "memory": "35M"}}


class NotPermitted(Exception):
    """A device that the KubeVirt object does not list; the text is KubeVirt's."""


def check_devices(spec: Document, permitted: Collection[str]) -> None:
    """Raises NotPermitted. Claims are not looked at, nor are names in `resources.limits`."""
    devices = at(spec, "domain", "devices", default={})
    for kind, field in (("GPU", "gpus"), ("HostDevice", "hostDevices")):
        for each in items(devices, field):
            name = each.get("deviceName")
            if name and name not in permitted:
                raise NotPermitted(f"{kind} {name} is not permitted in permittedHostDevices configuration")


def render(instance: Document, permitted: Collection[str]) -> Document:
    """The pod to be created; raises NotPermitted."""
    spec = instance["spec"]
    check_devices(spec, permitted)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(instance),
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "hostname": (spec.get("hostname") or instance["metadata"]["name"]).split(".")[0][:LABEL_MAX],
            "securityContext": {"runAsUser": 107, "runAsGroup": 107, "fsGroup": 107, "runAsNonRoot": True},
            "terminationGracePeriodSeconds": at(spec, "terminationGracePeriodSeconds", default=GRACE_UNSET_S) + GRACE_MORE_S,
            "nodeSelector": _node_selector(spec),
            "affinity": _affinity(spec.get("affinity") or {}),
            "tolerations": spec.get("tolerations") or [],
            "readinessGates": [{"conditionType": UNPAUSED}],
            "containers": [_compute(spec)],
            "initContainers": [_console_log(), *(_disk_container(each) for each in _container_disks(spec))],
            "volumes": _volumes(spec),
            **{name: spec[name] for name in ("schedulerName", "priorityClassName") if spec.get(name)},
            **({"resourceClaims": spec["resourceClaims"]} if spec.get("resourceClaims") else {}),
        },
    }


def _metadata(instance: Document) -> Document:
    name = instance["metadata"]["name"]
    labels = {
        **(instance["metadata"].get("labels") or {}),
        "kubevirt.io": "virt-launcher",
        LABEL_CREATED_BY: uid_of(instance),
        "vm.kubevirt.io/name": name[:LABEL_MAX],
        "vmi.kubevirt.io/id": name[:LABEL_MAX],
    }
    held = instance["metadata"].get("annotations") or {}
    annotations = {
        **{key: value for key, value in held.items() if "observed-api-version" not in key},
        "kubevirt.io/domain": name,
        "kubevirt.io/memory-overhead-bytes": str(overhead_bytes(instance["spec"])),
        "kubevirt.io/migrationTransportUnix": "true",
        "kubectl.kubernetes.io/default-container": "compute",
        "descheduler.alpha.kubernetes.io/request-evict-only": "",
        **{key: held[key] for key in (ANNOTATION_GENERATION, ANNOTATION_TOPOLOGY) if key in held},
    }
    return {
        "generateName": f"virt-launcher-{name}-",
        "namespace": instance["metadata"]["namespace"],
        "labels": labels,
        "annotations": annotations,
        "ownerReferences": [owner_reference(instance)],
    }


def _compute(spec: Document) -> Document:
    resources = compute_resources(spec).document()
    claimed = [
        {"name": each["claimName"], "request": each["requestName"]}
        for field in ("gpus", "hostDevices")
        for each in items(spec, "domain", "devices", field)
        if each.get("claimName")
    ]
    return {"name": "compute", "image": IMAGE, "resources": resources | ({"claims": claimed} if claimed else {})}


def _node_selector(spec: Document) -> dict[str, str]:
    machine = at(spec, "domain", "machine", "type", default="q35")
    selector = {
        "kubernetes.io/arch": spec.get("architecture") or "amd64",
        "kubevirt.io/schedulable": "true",
        f"machine-type.node.kubevirt.io/{machine}": "true",
        **(spec.get("nodeSelector") or {}),
    }
    return selector | ({"kubevirt.io/cpumanager": "true"} if is_dedicated(spec["domain"]) else {})


def _affinity(asked: Document) -> Document:
    """The template's, with one more expression in each of its required terms."""
    newer = {"key": "node-labeller.kubevirt.io/obsolete-host-model", "operator": "DoesNotExist"}
    node = dict(asked.get("nodeAffinity") or {})
    required = at(node, "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms", default=[]) or [{}]
    terms = [{**term, "matchExpressions": [*(term.get("matchExpressions") or []), newer]} for term in required]
    node["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
    return {**asked, "nodeAffinity": node}


def _container_disks(spec: Document) -> list[Document]:
    return [each for each in items(spec, "volumes") if "containerDisk" in each]


def _disk_container(volume: Document) -> Document:
    return {"name": f"volume{volume['name']}", "image": volume["containerDisk"].get("image", ""), "resources": _DISK_RESOURCES}


def _console_log() -> Document:
    return {"name": "guest-console-log", "image": IMAGE, "restartPolicy": "Always", "resources": _LOG_RESOURCES}


def _volumes(spec: Document) -> list[Document]:
    found: list[Document] = [{"name": "private", "emptyDir": {}}]
    for volume in items(spec, "volumes"):
        found.extend(_of_volume(volume))
    for credential in items(spec, "accessCredentials"):
        named = [at(way, "source", "secret", "secretName") for way in credential.values()]
        found += [{"name": f"{secret}-access-cred", "secret": {"secretName": secret}} for secret in named if secret]
    return found


def _of_volume(volume: Document) -> list[Document]:
    name = volume["name"]
    if claim := claim_of(volume):
        return [{"name": name, "persistentVolumeClaim": {"claimName": claim}}]
    if image := at(volume, "containerDisk", "image"):
        return [{"name": name, "image": {"reference": image, "pullPolicy": "IfNotPresent"}}]
    cloud_init: Any = volume.get("cloudInitNoCloud") or volume.get("cloudInitConfigDrive") or {}
    sources = {"udata": at(cloud_init, "secretRef", "name"), "ndata": at(cloud_init, "networkDataSecretRef", "name")}
    return [{"name": f"{name}-{part}", "secret": {"secretName": secret}} for part, secret in sources.items() if secret]


def claim_of(volume: Document) -> str:
    """The PersistentVolumeClaim that a volume stands on; empty where it needs none. A DataVolume's has its name."""
    return str(at(volume, "persistentVolumeClaim", "claimName") or at(volume, "dataVolume", "name") or "")
