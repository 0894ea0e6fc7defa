"""A MachineSpec as KubeVirt's objects. Nothing is decided here, and nothing is written that the spec does not say.

    Secret <name>-seed            user-data and network-config, of any size; inline they could have 2,048 bytes
    VirtualMachine <name>         template ──> every VirtualMachineInstance and launcher pod of it bears our labels too
      └ DataVolume <name>-root    where the root disk is imported

What KubeVirt's admission adds to what we send (machine type, firmware's uuid, …) is never written here and never compared.
Whether a running instance is of this spec is told by the annotation CURRENT, which it takes along when it is made: a digest of
what only a restart can change. The seed is no part of it, and so no secret is either.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from provisioner.planning.machine_spec import ContainerDisk, ImportedDisk, MachineSpec

OWNER = "hikube.cloud/owner-uid"
"""Label: the uid of the resource that it is made for. Whatever bears it is ours."""
CURRENT = "hikube.cloud/current"
GPUS = "hikube.cloud/gpus"
"""Annotation: resource names of the GPUs, as JSON; where they are claimed by DRA nothing else names them."""
SEED = "userdata"
NETWORK = "networkdata"
_MANAGED_BY = {"app.kubernetes.io/managed-by": "hikube"}
_GPU_CLAIM = "gpus"
_ROOT = "root"
_SEED_DISK = "seed"
_NETWORK = "default"
_DIGEST_CHARS = 32

Document = dict[str, Any]


def seed_name(name: str) -> str:
    """Name of the Secret of a machine."""
    return f"{name}-seed"


def data_volume_name(name: str) -> str:
    """Name of the DataVolume, and its claim, that a machine's root disk is imported into."""
    return f"{name}-root"


def seed_secret(spec: MachineSpec, *, machine_uid: str = "") -> Document:
    """The Secret of its seed; with the uid of the VirtualMachine it goes when that goes."""
    metadata: Document = {"name": seed_name(spec.name), "namespace": spec.namespace, "labels": _labels(spec)}
    if machine_uid:
        owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": spec.name, "uid": machine_uid}
        metadata["ownerReferences"] = [owner]
    data = {SEED: _base64(spec.user_data)} | ({NETWORK: _base64(spec.network_data)} if spec.network_data else {})
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


def virtual_machine(spec: MachineSpec, *, claim_requests: Sequence[str] = (), uid: str = "") -> Document:
    """The VirtualMachine.

    Args:
        spec: what it shall be.
        claim_requests: of its claim template, one for each GPU, where it has one.
        uid: of the one that is meant, if there is one; another one of that name is then a conflict.
    """
    strategy = ("Always" if spec.is_restarted else "Once") if spec.is_to_run else "Halted"
    metadata: Document = {"name": spec.name, "namespace": spec.namespace, "labels": _labels(spec)}
    if uid:
        metadata["uid"] = uid
    body: Document = {"runStrategy": strategy, "template": _template(spec, claim_requests)}
    if isinstance(spec.disk, ImportedDisk):
        body["dataVolumeTemplates"] = [_data_volume(spec, spec.disk)]
    return {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": metadata, "spec": body}


def _template(spec: MachineSpec, claim_requests: Sequence[str]) -> Document:
    made: Document = {
        "domain": _domain(spec, claim_requests),
        "networks": [{"name": _NETWORK, "pod": {}}],
        "volumes": [_root(spec), _seed(spec)],
        "evictionStrategy": "External",
        "terminationGracePeriodSeconds": spec.shutdown_timeout_s,
    }
    if claim_requests:
        made["resourceClaims"] = [{"name": _GPU_CLAIM, "resourceClaimTemplateName": spec.claim_template}]
    annotations = {CURRENT: _digest(made), GPUS: json.dumps(sorted(spec.gpus))}
    if spec.node_labels:
        made["nodeSelector"] = dict(spec.node_labels)
    return {"metadata": {"labels": _labels(spec), "annotations": annotations}, "spec": made}


def _domain(spec: MachineSpec, claim_requests: Sequence[str]) -> Document:
    interface = {"name": _NETWORK, "masquerade": {}} | ({"macAddress": spec.mac_address} if spec.mac_address else {})
    devices: Document = {
        "disks": [
            {"name": _ROOT, "bootOrder": 1, "disk": {"bus": "virtio"}},
            {"name": _SEED_DISK, "disk": {"bus": "virtio"}},
        ],
        "interfaces": [interface],
        "rng": {},
    }
    if spec.gpus:
        devices["gpus"] = _gpus(spec, claim_requests)
    domain: Document = {
        "cpu": {"cores": spec.vcpus},
        "memory": {"guest": f"{spec.memory_mib}Mi"},
        "devices": devices,
    }
    if spec.firmware:
        domain["firmware"] = {"bootloader": {"efi": {"secureBoot": False}} if spec.firmware == "efi" else {"bios": {}}}
    return domain


def _gpus(spec: MachineSpec, claim_requests: Sequence[str]) -> list[Document]:
    if claim_requests:
        claimed = enumerate(claim_requests)
        return [{"name": f"gpu{index}", "claimName": _GPU_CLAIM, "requestName": request} for index, request in claimed]
    return [{"name": f"gpu{index}", "deviceName": name} for index, name in enumerate(spec.gpus)]


def _root(spec: MachineSpec) -> Document:
    if isinstance(spec.disk, ContainerDisk):
        return {"name": _ROOT, "containerDisk": {"image": spec.disk.image}}
    return {"name": _ROOT, "dataVolume": {"name": data_volume_name(spec.name)}}


def _seed(spec: MachineSpec) -> Document:
    reference = {"name": seed_name(spec.name)}
    source = {"secretRef": reference} | ({"networkDataSecretRef": reference} if spec.network_data else {})
    return {"name": _SEED_DISK, "cloudInitNoCloud": source}


def _data_volume(spec: MachineSpec, disk: ImportedDisk) -> Document:
    kind = "registry" if disk.url.startswith("docker://") else "http"
    storage: Document = {"resources": {"requests": {"storage": str(disk.size_bytes)}}}
    if disk.storage_class:
        storage["storageClassName"] = disk.storage_class
    metadata = {"name": data_volume_name(spec.name), "labels": _labels(spec)}
    return {"metadata": metadata, "spec": {"source": {kind: {"url": disk.url}}, "storage": storage}}


def _labels(spec: MachineSpec) -> dict[str, str]:
    return {OWNER: spec.owner_uid, **_MANAGED_BY}


def _digest(made: Document) -> str:
    """Of what only a restart can change."""
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:_DIGEST_CHARS]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
