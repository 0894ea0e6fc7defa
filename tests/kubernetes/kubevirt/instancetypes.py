"""Instancetypes and preferences: what a VM's instance gets of them, and the ControllerRevisions that keep them for restarts.

`expand` is pure; `Instancetypes` reads them from the API server, or from the revision that an earlier start has made.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

from tests.kubernetes.kubevirt.api import Api
from tests.kubernetes.kubevirt.fields import Document, at, owner_reference, uid_of
from tests.kubernetes.kubevirt.machine_status import Failure
from tests.kubernetes.kubevirt.resources import (
    CLUSTER_INSTANCETYPES,
    CLUSTER_PREFERENCES,
    INSTANCETYPES,
    PREFERENCES,
    REVISIONS,
    Resource,
)

BY_KIND = {
    "virtualmachineinstancetype": INSTANCETYPES,
    "virtualmachineclusterinstancetype": CLUSTER_INSTANCETYPES,
    "virtualmachinepreference": PREFERENCES,
    "virtualmachineclusterpreference": CLUSTER_PREFERENCES,
}
DEFAULTS = {"instancetype": "virtualmachineclusterinstancetype", "preference": "virtualmachineclusterpreference"}
FAILURES = {"instancetype": "FailedFindInstancetype", "preference": "FailedFindPreference"}
TOPOLOGIES = {"cores": "cores", "preferCores": "cores", "threads": "threads", "preferThreads": "threads"}


class NotFound(Exception):
    """What a VM names does not exist; with the failure that its status gets."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Found:
    """What a VM names: the objects' names and specs, and the revisions that hold them."""

    instancetype: Document | None = None
    preference: Document | None = None


def expand(spec: Document, found: Found) -> Document:
    """The instance's spec with what they say. A preference's topology says where the processors go; else they are sockets."""
    new = deepcopy(spec)
    if found.instancetype is None:
        return new
    said = found.instancetype["spec"]
    domain = new.setdefault("domain", {})
    topology = at(found.preference, "spec", "cpu", "preferredCPUTopology", default="sockets")
    count = int(at(said, "cpu", "guest", default=1))
    cpu = {"cores": 1, "sockets": 1, "threads": 1} | {TOPOLOGIES.get(topology, "sockets"): count}
    domain["cpu"] = {**(domain.get("cpu") or {}), **cpu}
    if at(said, "cpu", "dedicatedCPUPlacement"):
        domain["cpu"]["dedicatedCpuPlacement"] = True
    domain.setdefault("memory", {})["guest"] = at(said, "memory", "guest")
    for kind in ("gpus", "hostDevices"):
        if said.get(kind):
            domain.setdefault("devices", {})[kind] = deepcopy(said[kind])
    return new


def names_told(machine: Document) -> dict[str, str]:
    """What an instance says of where it comes from."""
    names = {"instancetype": "kubevirt.io/instancetype-name", "preference": "kubevirt.io/preference-name"}
    return {key: str(at(machine, "spec", what, "name")) for what, key in names.items() if at(machine, "spec", what, "name")}


class Instancetypes:
    """Read with each start."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def find(self, machine: Document) -> Found:
        """Raises NotFound, in the words of the condition. A VM that names none has none."""
        return Found(self._one(machine, "instancetype"), self._one(machine, "preference"))

    def keep(self, machine: Document, found: Found) -> Document:
        """Make the revisions; returns the parts of the status that name them."""
        parts: Document = {}
        for what, held in (("instancetype", found.instancetype), ("preference", found.preference)):
            if held is None:
                continue
            name = held.get("revision") or self._make(machine, held)
            reference = machine["spec"][what]
            parts[f"{what}Ref"] = {
                "name": reference["name"],
                "kind": reference.get("kind") or DEFAULTS[what],
                "controllerRevisionRef": {"name": name},
            }
        return parts

    def _one(self, machine: Document, what: str) -> Document | None:
        reference = at(machine, "spec", what)
        if not reference or not reference.get("name"):
            return None
        namespace = machine["metadata"]["namespace"]
        kept = at(machine, "status", f"{what}Ref", default={})
        name = at(kept, "controllerRevisionRef", "name")
        if name and kept.get("name") == reference["name"]:
            revision = self._api.get(REVISIONS.path(namespace, name))
            if revision is not None:
                return {"spec": at(revision, "data", "spec"), "revision": name}
        resource = self._resource(what, reference)
        found = self._api.get(resource.path(namespace, reference["name"]))
        if found is None:
            group = resource.base.split("/")[2]
            raise NotFound(Failure(FAILURES[what], f'{resource.plural}.{group} "{reference["name"]}" not found'))
        return found

    def _resource(self, what: str, reference: Document) -> Resource:
        kind = str(reference.get("kind") or DEFAULTS[what]).lower().removesuffix("s")
        return BY_KIND[kind]

    def _make(self, machine: Document, held: Document) -> str:
        metadata = held["metadata"]
        generation = metadata.get("generation", 1)
        name = f"{machine['metadata']['name']}-{metadata['name']}-v1beta1-{uid_of(held)}-{generation}"
        body = {
            "metadata": {
                "name": name,
                "namespace": machine["metadata"]["namespace"],
                "ownerReferences": [owner_reference(machine)],
            },
            "data": {
                "apiVersion": held["apiVersion"],
                "kind": held["kind"],
                "metadata": {"name": metadata["name"]},
                "spec": held["spec"],
            },
            "revision": 0,
        }
        self._api.ensure(REVISIONS, body)
        return name
