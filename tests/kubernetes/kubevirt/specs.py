"""VirtualMachines as tests write them."""

from __future__ import annotations

from typing import Any

from tests.kubernetes.kubevirt.fields import Document

H100 = "nvidia.com/GH100_H100_NVL"
H200 = "nvidia.com/GH100_H200_SXM_141GB"


def gpu_spec(*devices: str, **more: Any) -> Document:
    """The template's spec of a VM with 4 cores, 16Gi and these devices; `more` is merged over it, `domain` deeply."""
    domain: Document = {
        "cpu": {"cores": 4},
        "memory": {"guest": "16Gi"},
        "devices": {
            "disks": [{"name": "root", "disk": {"bus": "virtio"}}],
            "gpus": [{"name": f"gpu{number}", "deviceName": name} for number, name in enumerate(devices)],
        },
    }
    spec: Document = {"domain": domain, "volumes": [{"name": "root", "containerDisk": {"image": "ubuntu:24.04"}}]}
    return merged(spec, more)


def machine(name: str, namespace: str, spec: Document, *, strategy: str | None = "Always", **more: Any) -> Document:
    """The whole object; `more` is merged over its spec."""
    asked: Document = {"template": {"spec": spec}} | ({"runStrategy": strategy} if strategy else {})
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": metadata, "spec": merged(asked, more)}


def merged(base: Document, more: Document) -> Document:
    """As a merge patch does it."""
    new = dict(base)
    for key, value in more.items():
        if value is None:
            new.pop(key, None)
        elif isinstance(value, dict) and isinstance(new.get(key), dict):
            new[key] = merged(new[key], value)
        else:
            new[key] = value
    return new
