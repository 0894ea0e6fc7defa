"""What the KubeVirt object of a cluster says: its version, which devices machines may ask for, which features are on.

Every authenticated user may read it.
"""

from __future__ import annotations

import re
from typing import Any

from provisioner.drivers.kubevirt import paths
from provisioner.drivers.kubevirt.api import Api
from provisioner.drivers.kubevirt.sight import Document, status
from provisioner.model.errors import Unsupported

_GATE = "GPUsWithDRA"
_ON_SINCE = (1, 9)
"""The version from which the gate is on unless it is turned off."""
_VERSION = re.compile(r"v?(\d+)\.(\d+)")


def kubevirt_of(api: Api) -> Document:
    """The KubeVirt object.

    Raises:
        Unsupported: there is none: KubeVirt is not installed, or not set up yet.
        HostUnreachable, NotAllowed, HypervisorError: as Api.request.
    """
    found = api.find(paths.CLUSTERS)  # of all namespaces; a cluster has one
    if found is None or not found.get("items"):
        why = "its API knows no kubevirt.io/v1" if found is None else "there is no object of kind KubeVirt"
        raise Unsupported(f"{api.url} has no KubeVirt", why=why, hint="install KubeVirt 1.3 or later, or name another cluster")
    kubevirt: Document = found["items"][0]
    return kubevirt


def permitted_devices(api: Api) -> tuple[tuple[str, str], ...]:
    """Resource name and `vendor:device` of each PCI device that machines may ask for, by name. Raises as `kubevirt_of`."""
    return permitted_by(kubevirt_of(api))


def permitted_by(kubevirt: Document) -> tuple[tuple[str, str], ...]:
    """The same, of an object that was read. Mediated devices (vGPU) are left out: GPUs are whole here."""
    devices = (_configuration(kubevirt).get("permittedHostDevices") or {}).get("pciHostDevices") or ()
    return tuple(sorted((str(each.get("resourceName", "")), str(each.get("pciVendorSelector", ""))) for each in devices))


def version_of(kubevirt: Document) -> str:
    """Its version; empty where it does not say."""
    told = status(kubevirt)
    return str(told.get("observedKubeVirtVersion") or told.get("targetKubeVirtVersion") or "")


def claims_are_on(kubevirt: Document) -> bool:
    """Whether machines may claim GPUs by DRA, as far as KubeVirt is concerned. A version that is not said is a recent one."""
    developer = _configuration(kubevirt).get("developerConfiguration") or {}
    if _GATE in (developer.get("disabledFeatureGates") or ()):
        return False
    if _GATE in (developer.get("featureGates") or ()):
        return True
    version = _VERSION.match(version_of(kubevirt))
    return version is None or (int(version[1]), int(version[2])) >= _ON_SINCE


def _configuration(kubevirt: Document) -> dict[str, Any]:
    found: dict[str, Any] = (kubevirt.get("spec") or {}).get("configuration") or {}
    return found
