"""Which PCI devices a pod was given by DRA: its claims say which devices, and the driver's slices say where these are.

Read where KubeVirt itself does not tell (`status.deviceStatus` of the instance). Drivers that publish no PCI address, and
accounts that may not read claims or slices, yield nothing: the guest's report is the other way to know.
"""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.drivers.kubevirt import paths
from provisioner.drivers.kubevirt.api import Api
from provisioner.drivers.kubevirt.sight import Document, metadata, status
from provisioner.model.errors import NotAllowed, NotFound
from provisioner.model.pci import PciAddress

_ADDRESS = "resource.kubernetes.io/pciBusID"
_Device = tuple[str, str, str]
"""Driver, pool, name: what a claim and a slice have in common."""


def allocated_addresses(api: Api, pod: Document | None) -> tuple[PciAddress, ...]:
    """PCI addresses on its node, in order; empty where they cannot be known. Raises as Api.request, but for missing rights."""
    claimed = status(pod).get("resourceClaimStatuses") or ()
    names = [str(each["resourceClaimName"]) for each in claimed if each.get("resourceClaimName")]
    if not names:
        return ()
    namespace = str(metadata(pod)["namespace"])
    try:
        claims = [api.find(paths.claim(namespace, name)) for name in names]
        devices = {device for claim in claims for device in allocated(claim)}
        slices, _ = api.items(f"{paths.CLAIMS}/resourceslices", query=_on_node(pod)) if devices else ([], "")
    except (NotAllowed, NotFound):
        return ()
    where = {device: address for each in slices for device, address in published(each)}
    return tuple(sorted(where[device] for device in devices if device in where))


def allocated(claim: Document | None) -> Iterator[_Device]:
    """The devices that a ResourceClaim was given."""
    devices = (status(claim).get("allocation") or {}).get("devices") or {}
    for result in devices.get("results") or ():
        yield str(result.get("driver")), str(result.get("pool")), str(result.get("device"))


def published(resource_slice: Document) -> Iterator[tuple[_Device, PciAddress]]:
    """The devices of a ResourceSlice that have a PCI address, with it."""
    spec = resource_slice.get("spec") or {}
    driver, pool = str(spec.get("driver")), str((spec.get("pool") or {}).get("name"))
    for device in spec.get("devices") or ():
        address = ((device.get("attributes") or {}).get(_ADDRESS) or {}).get("string")
        if address:
            yield (driver, pool, str(device.get("name"))), str(address).lower()


def _on_node(pod: Document | None) -> dict[str, str]:
    return {"fieldSelector": f"spec.nodeName={(pod or {}).get('spec', {}).get('nodeName', '')}"}
