"""What admission refuses about cloud-init and access credentials. Pure. Whether a Secret exists is nobody's question here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from tests.kubernetes.kubevirt.fields import Document, at, items
from tests.kubernetes.kubevirt.refusals import SPEC, Cause

LIMIT_BYTES = 2048
SOURCES = ("cloudInitNoCloud", "cloudInitConfigDrive")


def cloud_init_causes(spec: Document) -> Iterator[Cause]:
    for number, volume in enumerate(items(spec, "volumes")):
        for source in SOURCES:
            if source in volume:
                yield from _source(volume[source] or {}, f"{SPEC}.volumes[{number}].{source}")
    yield from _credentials(spec)


def _source(cloud_init: Document, field: str) -> Iterator[Cause]:
    user = _given(cloud_init, ("userData", "userDataBase64", "secretRef"))
    network = _given(cloud_init, ("networkData", "networkDataBase64", "networkDataSecretRef"))
    if not user and not network:
        yield Cause(f"{field} must have at least one userdatasource or one networkdatasource set.", field)
    if len(user) > 1:
        yield Cause(f"{field} must have only one userdatasource set.", field)
    if len(network) > 1:
        yield Cause(f"{field} must have only one networkdatasource set.", field)
    for word, name, secret in (
        ("userdata", "userData", "UserDataSecretRef"),
        ("networkdata", "networkData", "NetworkDataSecretRef"),
    ):
        if _size(cloud_init, name) > LIMIT_BYTES:
            yield Cause(
                f"{field} {word} exceeds {LIMIT_BYTES} byte limit. Should use {secret} for larger data.", f"{field}.{name}"
            )


def _given(cloud_init: Document, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if cloud_init.get(name)]


def _size(cloud_init: Document, name: str) -> int:
    """In bytes, of what the guest gets."""
    plain = len(str(cloud_init.get(name) or "").encode())
    try:
        decoded = len(base64.b64decode(str(cloud_init.get(f"{name}Base64") or "")))
    except (binascii.Error, ValueError):
        decoded = 0
    return max(plain, decoded)


def _credentials(spec: Document) -> Iterator[Cause]:
    has_no_cloud = any("cloudInitNoCloud" in each for each in items(spec, "volumes"))
    for number, credential in enumerate(items(spec, "accessCredentials")):
        field = f"{SPEC}.accessCredentials[{number}]"
        method = at(credential, "sshPublicKey", "propagationMethod", default={})
        if "noCloud" in method and not has_no_cloud:
            need = "requires a noCloud volume to exist when the noCloud propagationMethod is in use."
            yield Cause(f"{field} {need}", field)
        if "qemuGuestAgent" in method and not items(method, "qemuGuestAgent", "users"):
            yield Cause(f"{field} requires at least one user to be present in the users list", field)
