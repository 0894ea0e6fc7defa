"""Readers of Kubernetes versions."""

from __future__ import annotations

import re

from provisioner.model.door import scalars
from provisioner.model.door.nodes import shown
from provisioner.model.door.places import Place

KUBERNETES_VERSIONS = ("v1.35", "v1.34", "v1.33", "v1.32", "v1.31", "v1.30")


def kubernetes_version(place: Place | None, default: str = "v1.35") -> str:
    """`v1.35`; a patch level (`v1.30.0`, as older documents have it) is accepted and left out."""
    value = scalars.text(place, default)
    if place is None or not value or value in KUBERNETES_VERSIONS:
        return value
    matched = re.fullmatch(r"v?(1\.[0-9]{1,3})(\.[0-9]{1,3})?", value, re.ASCII)
    minor = f"v{matched[1]}" if matched else ""
    if minor in KUBERNETES_VERSIONS and value.startswith("v"):
        place.warn(f"the platform chooses the patch level; write {minor}")
        return minor
    meant = minor if minor in KUBERNETES_VERSIONS else None
    place.mistake(f"the Kubernetes version {shown(value)} is not offered", allowed=KUBERNETES_VERSIONS, did_you_mean=meant)
    return default
