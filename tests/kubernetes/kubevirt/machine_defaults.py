"""What `virtualmachines-mutator.kubevirt.io` puts into a VM that is stored. Pure but for the identifiers."""

from __future__ import annotations

import uuid
from copy import deepcopy

from tests.kubernetes.kubevirt.fields import Document, at, items
from tests.kubernetes.kubevirt.resources import ANNOTATION_TOPOLOGY


def with_defaults(machine: Document, before: Document | None) -> Document:
    """Identifiers that were given once are kept where a later write leaves them out.

    Args: before: the VM as it is stored; None for a new one.
    """
    new = deepcopy(machine)
    template = new["spec"].setdefault("template", {})
    annotations = template.setdefault("metadata", {}).setdefault("annotations", {})
    annotations.setdefault(ANNOTATION_TOPOLOGY, "v3")
    spec = template.setdefault("spec", {})
    spec.setdefault("architecture", "amd64")
    domain = spec.setdefault("domain", {})
    domain.setdefault("machine", {}).setdefault("type", "q35")
    domain.setdefault("resources", {})
    devices = domain.setdefault("devices", {})
    given = at(before, "spec", "template", "spec", "domain", "firmware", default={})
    firmware = domain.setdefault("firmware", {})
    for name in ("uuid", "serial"):
        if not firmware.get(name):
            firmware[name] = given.get(name) or str(uuid.uuid4())
    for gpu in items(devices, "gpus"):
        gpu.setdefault("name", "")  # as a round trip through KubeVirt's types leaves it
    return new
