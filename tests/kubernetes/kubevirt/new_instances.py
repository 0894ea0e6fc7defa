"""The instance and the revision that a start makes. Pure; admission adds the rest."""

from __future__ import annotations

from tests.kubernetes.kubevirt import instancetypes
from tests.kubernetes.kubevirt.fields import Document, at, owner_reference, uid_of
from tests.kubernetes.kubevirt.instancetypes import Found
from tests.kubernetes.kubevirt.resources import ANNOTATION_GENERATION, FINALIZER_CONTROLLER, VERSION_ANNOTATIONS


def revision_name(machine: Document) -> str:
    return f"revision-start-vm-{uid_of(machine)}-{machine['metadata']['generation']}"


def new_revision(machine: Document) -> Document:
    """What the VM asked for when it was started."""
    return {
        "metadata": {
            "name": revision_name(machine),
            "namespace": machine["metadata"]["namespace"],
            "ownerReferences": [owner_reference(machine)],
        },
        "data": {"spec": machine["spec"]},
        "revision": machine["metadata"]["generation"],
    }


def new_instance(machine: Document, found: Found) -> Document:
    """Same name; labels and annotations are the template's."""
    template = at(machine, "spec", "template", default={})
    metadata = {
        "name": machine["metadata"]["name"],
        "namespace": machine["metadata"]["namespace"],
        "labels": dict(at(template, "metadata", "labels", default={})),
        "annotations": {
            **at(template, "metadata", "annotations", default={}),
            **VERSION_ANNOTATIONS,
            **instancetypes.names_told(machine),
            ANNOTATION_GENERATION: str(machine["metadata"]["generation"]),
        },
        "finalizers": [FINALIZER_CONTROLLER],
        "ownerReferences": [owner_reference(machine)],
    }
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": metadata,
        "spec": instancetypes.expand(template["spec"], found),
        "status": {"virtualMachineRevisionName": revision_name(machine)},
    }
