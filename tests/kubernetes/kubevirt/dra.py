"""Devices by dynamic resource allocation: the real scheduler allocates, the real controller makes the claims.

What the node side would report in `status.deviceStatus` of the instance is dropped by the API server: KubeVirt's definitions
of this version have no such field. The claim's own status says which device it has.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.kubernetes.kubevirt.api import Api
from tests.kubernetes.kubevirt.resources import CLAIM_TEMPLATES, DEVICE_CLASSES, SLICES

PCI_ADDRESS = "resource.kubernetes.io/pciBusID"
_VERSION = "resource.k8s.io/v1"


def offer(api: Api, *, node: str, driver: str, devices: Mapping[str, str]) -> None:
    """A slice of one node and the class that picks any device of the driver."""
    expression = f'device.driver == "{driver}"'
    chosen = {"selectors": [{"cel": {"expression": expression}}]}
    api.ensure(DEVICE_CLASSES, {"apiVersion": _VERSION, "kind": "DeviceClass", "metadata": {"name": driver}, "spec": chosen})
    listed = [{"name": name, "attributes": {PCI_ADDRESS: {"string": address}}} for name, address in devices.items()]
    spec = {
        "driver": driver,
        "nodeName": node,
        "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
        "devices": listed,
    }
    body = {"apiVersion": _VERSION, "kind": "ResourceSlice", "metadata": {"name": f"{node}-{driver}"}, "spec": spec}
    api.create(SLICES, body)


def put_template(api: Api, *, namespace: str, name: str, device_class: str, request: str) -> None:
    """A template whose claims ask for one device."""
    asked = {"name": request, "exactly": {"deviceClassName": device_class, "count": 1}}
    spec = {"spec": {"devices": {"requests": [asked]}}}
    metadata = {"name": name, "namespace": namespace}
    body = {"apiVersion": _VERSION, "kind": "ResourceClaimTemplate", "metadata": metadata, "spec": spec}
    api.create(CLAIM_TEMPLATES, body)
