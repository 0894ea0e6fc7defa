"""Golden images: found by name, fetched once, staged once per host.

Staging is content-addressed: the base volume is named after the image's SHA-256, so what is there under that name is right and
is never rewritten. An image without a digest is fetched first and its digest recorded; from then on it must stay the same.
"""

from __future__ import annotations

import hashlib

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.drivers.images.protocol import LocalImage
from provisioner.drivers.volumes import Volume
from provisioner.lifecycle.background import Meter, Running
from provisioner.lifecycle.pool_room import require_room
from provisioner.lifecycle.ports import Ports
from provisioner.model import domain_names
from provisioner.model.errors import ImageRefused, InvalidInput, NotFound
from provisioner.model.gpu_host import GPUHost
from provisioner.model.image import Image, ImageSpec, ImageStatus
from provisioner.model.metadata import Key, Metadata
from provisioner.model.vm_disk import HttpSource


def image_of(name: str, ports: Ports) -> Image:
    """The Image resource of that name, or the built-in golden image.

    Raises:
        InvalidInput: neither exists; the hint names the nearest.
    """
    try:
        return ports.store.get(Image, name)
    except NotFound:
        pass
    built_in = ports.tables.images.get(name)
    if built_in is None:
        known = ", ".join(sorted(ports.tables.images)[:12])
        raise InvalidInput(f"no image is called `{name}`", hint=f"`hikube image list` shows all: {known}, …")
    return built_in


def image_at(source: HttpSource, ports: Ports) -> Image:
    """The image that only a URL names, as a VMDisk's http source does; its name is made from the URL and the digest."""
    identity = " ".join(filter(None, (source.url, source.sha256)))
    name = f"{ANONYMOUS}{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    try:
        return ports.store.get(Image, name)
    except NotFound:
        return Image(metadata=Metadata(name=name), spec=ImageSpec(url=source.url, sha256=source.sha256))


ANONYMOUS = "url-"
"""Images of this prefix were declared by nobody: what is fetched says what format they have."""


def digest_of(image: Image) -> str:
    """The digest that the image must have; empty while nobody has seen it."""
    return image.spec.sha256 or image.status.sha256


def base_of(image: Image) -> str:
    """The name of the image's base volume, once its digest is known."""
    return domain_names.base_volume(digest_of(image), image_format=image.spec.format)


def staged(image: Image, hypervisor: Hypervisor, *, pool: str) -> Volume | None:
    """The image's base volume in that pool of the host, or None. One call to the host; none if the digest is not known."""
    return hypervisor.volumes.find(pool, base_of(image)) if digest_of(image) else None


def stage(image: Image, host: GPUHost, hypervisor: Hypervisor, ports: Ports, *, pool: str, waiter: Key) -> Volume | Meter:
    """Bring the image to a pool of the host, in the background; the volume once it is there, until then how far it is.

    `waiter` is looked at again when that has ended.

    Raises:
        ImageError: it cannot be fetched; ImageRefused: it is not what it must be, or is declared to be.
        NoCapacity: the pool has no room for it.
    """
    found = staged(image, hypervisor, pool=pool)
    job = f"stage {image.spec.url} {digest_of(image)} as {image.spec.format} in {pool} on {host.metadata.name}"
    if found is not None:
        ports.background.forget(job)
        return found

    def work(meter: Meter) -> tuple[Volume, LocalImage]:
        local = ports.images.fetch(image.spec.url, sha256=digest_of(image), progress=meter)
        if local.format != image.spec.format and not _is_anonymous(image):
            what = f"image `{image.metadata.name}` is {local.format}"
            raise ImageRefused(what, why=f"it is declared as {image.spec.format}")
        name = domain_names.base_volume(local.sha256, image_format=local.format)
        volume = hypervisor.volumes.find(pool, name)
        if volume is None:
            require_room(hypervisor.volumes, pool, needed_bytes=local.size_bytes, what=f"image {image.metadata.name}")
            with local.path.open("rb") as content:
                volume = hypervisor.volumes.upload(pool, name, content, size_bytes=local.size_bytes, progress=meter)
        return volume, local

    outcome = ports.background.run(job, work, waiter=waiter)
    if isinstance(outcome, Running):
        return outcome.meter
    volume, local = outcome.result
    _remember(image, host, ports, local=local)
    return volume


def _is_anonymous(image: Image) -> bool:
    return image.metadata.name.startswith(ANONYMOUS)


def _remember(image: Image, host: GPUHost, ports: Ports, *, local: LocalImage) -> None:
    """Note digest and host in the Image's status, so that the next VM need not fetch to know the name of the volume."""
    try:
        stored = ports.store.get(Image, image.metadata.name)
    except NotFound:
        spec = image.spec.model_copy(update={"format": local.format} if _is_anonymous(image) else {})
        stored = ports.store.create(image.model_copy(update={"spec": spec, "status": ImageStatus()}))
    hosts = tuple(sorted({*stored.status.hosts, host.metadata.name}))
    sizes = {"size_bytes": local.size_bytes, "virtual_size_bytes": local.virtual_size_bytes}
    ports.store.update_status(stored.with_status(sha256=local.sha256, hosts=hosts, **sizes))
