"""Classes: which controller looks after which objects, where several share a cluster, or tenants' kinds are others' too. Pure.

    label hikube.cloud/class on a tenant's object    none: the controller without a class    NAME: the controller of class NAME

As with an IngressClass, what says the name of somebody else, or of nobody here, is left alone. GPUHosts and GPUClaims have the
same label, so that one controller cares for each; all controllers see all of them, since a GPU is one GPU for everybody.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provisioner.model.errors import InvalidInput

if TYPE_CHECKING:
    from provisioner.model.metadata import Resource

CLASS_LABEL = "hikube.cloud/class"
CLASSED = frozenset({"VirtualMachine", "VMInstance", "VMDisk", "Kubernetes", "KubernetesNodes"})
"""Tenants' kinds."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
"""It is a part of the name of a Lease as well."""


def class_name(text: str) -> str:
    """A class by its name; empty: the one without.

    Raises:
        InvalidInput: it is no name for a class.
    """
    if text and not _NAME.fullmatch(text):
        raise InvalidInput(f"{text!r} is no class", hint="lower-case letters, digits and dashes, at most 32, such as gpu")
    return text


def class_of(resource: Resource) -> str:
    """The class that looks after it; empty: the one without a name."""
    return resource.metadata.labels.get(CLASS_LABEL, "")


def is_decided(resource: Resource) -> bool:
    """Whether it says itself which class that is."""
    return CLASS_LABEL in resource.metadata.labels
