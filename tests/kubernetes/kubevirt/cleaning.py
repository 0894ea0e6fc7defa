"""The end of a test: nothing of KubeVirt's is left, whatever finalizer held it, and no node of the stand-in."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from tests.kubernetes.kubevirt.api import Api, Refused
from tests.kubernetes.kubevirt.fields import Document, finalizers_of, key_of
from tests.kubernetes.kubevirt.nodes import LEASES_IN
from tests.kubernetes.kubevirt.resources import (
    CLUSTER_INSTANCETYPES,
    CLUSTER_PREFERENCES,
    DEVICE_CLASSES,
    INSTALLED_IN,
    INSTANCES,
    KUBEVIRTS,
    LEASES,
    MACHINES,
    NODES,
    PODS,
    SLICES,
    Resource,
)

WITH_FINALIZERS = (MACHINES, INSTANCES)
CLUSTER_WIDE = (CLUSTER_INSTANCETYPES, CLUSTER_PREFERENCES, SLICES, DEVICE_CLASSES)


def remove_all(api: Api, *, nodes: Sequence[str]) -> None:
    """The webhooks and the controllers must be away already."""
    for resource in WITH_FINALIZERS:
        for each in api.list(resource)["items"]:
            _force(api, resource, each)
    for pod in api.list(PODS)["items"]:
        if pod["metadata"].get("labels", {}).get("kubevirt.io") or pod["spec"].get("nodeName") in nodes:
            api.delete(PODS.path(*key_of(pod)), gracePeriodSeconds=0)
    for resource in CLUSTER_WIDE:
        with contextlib.suppress(Refused):
            api.delete(resource.collection())
    for name in nodes:
        api.delete(NODES.path("", name))
        api.delete(LEASES.path(LEASES_IN, name))
    api.delete(KUBEVIRTS.path(INSTALLED_IN, INSTALLED_IN))


def _force(api: Api, resource: Resource, document: Document) -> None:
    path = resource.path(*key_of(document))
    with contextlib.suppress(Refused):
        api.delete(path, propagationPolicy="Background")
        if finalizers_of(document):
            api.patch(path, {"metadata": {"finalizers": None}})
