"""Where objects are on an API server."""

from __future__ import annotations

from urllib.parse import quote

from provisioner.drivers.kubevirt.sight import Document, metadata
from templates.kubevirt import OWNER

GROUP = "/apis/kubevirt.io/v1"
MACHINES = f"{GROUP}/virtualmachines"
INSTANCES = f"{GROUP}/virtualmachineinstances"
CLUSTERS = f"{GROUP}/kubevirts"
PODS = "/api/v1/pods"
NODES = "/api/v1/nodes"
STORAGE_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
IMPORTS = "/apis/cdi.kubevirt.io/v1beta1"
CLAIMS = "/apis/resource.k8s.io/v1"
OURS = {"labelSelector": OWNER}


def machine(namespace: str, name: str) -> str:
    """A VirtualMachine."""
    return f"{GROUP}/{_in(namespace)}/virtualmachines/{_(name)}"


def instance(namespace: str, name: str) -> str:
    """The VirtualMachineInstance of that machine."""
    return f"{GROUP}/{_in(namespace)}/virtualmachineinstances/{_(name)}"


def secret(namespace: str, name: str) -> str:
    """A Secret."""
    return f"/api/v1/{_in(namespace)}/secrets/{_(name)}"


def pods(namespace: str) -> str:
    """The pods of a namespace."""
    return f"/api/v1/{_in(namespace)}/pods"


def pod(document: Document) -> str:
    """That very pod."""
    return f"{pods(str(metadata(document)['namespace']))}/{_(str(metadata(document)['name']))}"


def node(name: str) -> str:
    """A node."""
    return f"{NODES}/{_(name)}"


def events(namespace: str) -> str:
    """The events of a namespace."""
    return f"/api/v1/{_in(namespace)}/events"


def data_volume(namespace: str, name: str) -> str:
    """A DataVolume."""
    return f"{IMPORTS}/{_in(namespace)}/datavolumes/{_(name)}"


def claim(namespace: str, name: str) -> str:
    """A ResourceClaim."""
    return f"{CLAIMS}/{_in(namespace)}/resourceclaims/{_(name)}"


def claim_template(namespace: str, name: str) -> str:
    """A ResourceClaimTemplate."""
    return f"{CLAIMS}/{_in(namespace)}/resourceclaimtemplates/{_(name)}"


def _in(namespace: str) -> str:
    return f"namespaces/{_(namespace)}"


def _(text: str) -> str:
    return quote(text, safe="")
