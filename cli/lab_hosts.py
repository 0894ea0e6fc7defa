"""A lab's hosts and image as resources: added by `lab create --add`, named by its text otherwise, missed by `lab delete`.

Adding brings up to date what is there, since a lab that was made again has another port, a rebuilt image another digest; what
else was set on a host, such as a cordon, stays.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from cli.adding import add_host, add_image, settle_hosts
from cli.output import say
from cli.places import has_store
from cli.session import Session
from provisioner.model.errors import AlreadyExists

if TYPE_CHECKING:
    from provisioner.lab import HostInABox, Lab, LabImages
    from provisioner.model.tables import Tables

IMAGE = "lab-debian-13"
GUEST_USER = "debian"
GUEST_FIRMWARE = "any"
"""The user that cloud-init makes in the guest's image, which leaves Debian's own default."""
SETTLE_TIMEOUT_S = 300.0
"""For the proof of KVM; 30 s in a box on a quiet machine."""


def add_lab(session: Session, lab: Lab, images: LabImages, *, emulated: bool) -> None:
    """Store the lab's image and every host, then wait until it is known of each whether KVM works. Safe to repeat.

    Raises:
        HostUnreachable: a host does not answer.
        AlreadyExists: a name is taken by a host that is not of this lab.
        Conflict: one of that name is being deleted.
    """
    wanted = [wanted_host(session, host, emulated=emulated) for host in lab.hosts]
    done = add_image(session, IMAGE, spec=image_spec(images), replaces=True)
    say(f"image/{IMAGE} {done.verb}")
    added = []
    for host, (spec, labels) in zip(lab.hosts, wanted, strict=True):
        added.append(add_host(session, host.name, spec=spec, labels=labels, replaces=True))
        say(f"gpuhost/{host.name} {added[-1].verb}")
    settle_hosts(session, added, timeout_s=SETTLE_TIMEOUT_S)


def wanted_host(session: Session, host: HostInABox, *, emulated: bool) -> tuple[dict[str, Any], dict[str, str]]:
    """Spec and labels: those that are stored, with what the lab knows better.

    Raises:
        AlreadyExists: the name is taken by a host that is not of this lab.
    """
    stored = next((item for item in session.raw("GPUHost") if item["metadata"]["name"] == host.name), None)
    spec = stored["spec"] if stored is not None else {}
    if stored is not None and _key_file(spec["uri"]) != _key_file(host.uri):
        raise AlreadyExists(
            f"host {host.name} exists and is not of this lab",
            why=f"its URI is {spec['uri']}",
            hint=f"`hikube host remove {host.name}`, or make the lab under another name: hikube lab create NAME --add",
        )
    labels = stored["metadata"]["labels"] if stored is not None else {}
    spec = {**spec, "uri": host.uri, "gpuRules": [{"ids": stand_in_ids(session.tables)}]}
    return spec, {**labels, **host_labels(emulated=emulated)}


def how_to_add(lab: Lab, images: LabImages, tables: Tables, *, emulated: bool) -> Iterator[str]:
    """The commands that do what `add_lab` does."""
    image = f"file://{images.guest_image} --sha256 {images.guest_sha256}"
    yield f"hikube image add {IMAGE} {image} --user {GUEST_USER} --firmware {GUEST_FIRMWARE}"
    rule = ",".join(f"id={each}" for each in stand_in_ids(tables))
    labels = "".join(f" --label {name}={value}" for name, value in host_labels(emulated=emulated).items())
    for host in lab.hosts:
        yield f"hikube host add {host.name} {shlex.quote(host.uri)} --gpu-rule {rule}{labels}"


def still_registered(session: Session, lab: Lab) -> tuple[str, ...]:
    """Names of the stored hosts that are hosts of this lab. Makes no store where there is none."""
    if not has_store():
        return ()
    keys = {_key_file(host.uri) for host in lab.hosts if host.was_started()}
    return tuple(item["metadata"]["name"] for item in session.raw("GPUHost") if _key_file(item["spec"]["uri"]) in keys)


def image_spec(images: LabImages) -> dict[str, Any]:
    """The guest's image; no distribution, since a stand-in needs no driver."""
    return {
        "url": f"file://{images.guest_image}",
        "sha256": images.guest_sha256,
        "format": "qcow2",
        "firmware": GUEST_FIRMWARE,
        "distribution": "other",
        "defaultUser": GUEST_USER,
        "minStorage": "2Gi",
    }


def stand_in_ids(tables: Tables) -> list[str]:
    """The `vendor:device` pairs that play GPUs in labs."""
    return [identifier for model in tables.gpus.models if model.is_stand_in for identifier in model.ids]


def host_labels(*, emulated: bool) -> Mapping[str, str]:
    """Planning gives guests of an emulated host more time and fewer promises."""
    from provisioner.planning.host_labels import NESTED_EMULATION

    return {NESTED_EMULATION: "true"} if emulated else {}


def _key_file(uri: str) -> str:
    """What tells a lab's host from all others, whatever port it has today."""
    return parse_qs(urlsplit(uri).query).get("keyfile", [uri])[0]


def emulates(images: LabImages) -> bool:
    """Whether labs on this machine are emulated; known from their start."""
    from provisioner.lab.accelerator import probe_kvm

    return not probe_kvm(images).usable
