"""Golden images: found by name, fetched once, staged once per host.

Staging is content-addressed: the base volume is named after the image's SHA-256, so what is there under that name is right and
is never rewritten. An image without a digest is fetched first and its digest recorded; from then on it must stay the same.
"""

from __future__ import annotations

import hashlib

from provisioner.drivers.hypervisor import Hypervisor, Volume
from provisioner.lifecycle.background import Meter, Running
from provisioner.lifecycle.ports import Ports
from provisioner.model import domain_names
from provisioner.model.errors import ImageRefused, InvalidInput, NotFound
from provisioner.model.gpu_host import GPUHost
from provisioner.model.image import Image, ImageSpec, ImageStatus
from provisioner.model.metadata import Metadata


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


def image_at(url: str) -> Image:
    """The image that only a URL names, as a VMDisk's http source does; its name is made from the URL."""
    name = f"url-{hashlib.sha256(url.encode()).hexdigest()[:16]}"
    return Image(metadata=Metadata(name=name), spec=ImageSpec(url=url))


def digest_of(image: Image) -> str:
    """The digest that the image must have; empty while nobody has seen it."""
    return image.spec.sha256 or image.status.sha256


def staged(image: Image, host: GPUHost, hypervisor: Hypervisor) -> Volume | None:
    """The image's base volume on the host, or None. One call to the host; none if the digest is not known."""
    digest = digest_of(image)
    if not digest:
        return None
    return hypervisor.volumes.find(host.spec.storage_pool, domain_names.base_volume(digest, image_format=image.spec.format))


def stage(image: Image, host: GPUHost, hypervisor: Hypervisor, ports: Ports) -> Volume | Meter:
    """Bring the image to the host, in the background; the volume once it is there, until then how far it is.

    Raises:
        ImageError: it cannot be fetched; ImageRefused: it is not what it must be, or is declared to be.
    """
    found = staged(image, host, hypervisor)
    job = f"stage {image.spec.url} {digest_of(image)} as {image.spec.format} on {host.metadata.name}"
    if found is not None:
        ports.background.forget(job)
        return found

    def work(meter: Meter) -> tuple[Volume, str, int]:
        local = ports.images.fetch(image.spec.url, sha256=digest_of(image), progress=meter)
        if local.format != image.spec.format:
            what = f"image `{image.metadata.name}` is {local.format}"
            raise ImageRefused(what, why=f"it is declared as {image.spec.format}")
        name = domain_names.base_volume(local.sha256, image_format=local.format)
        pool = host.spec.storage_pool
        volume = hypervisor.volumes.find(pool, name)
        if volume is None:
            with local.path.open("rb") as content:
                volume = hypervisor.volumes.upload(pool, name, content, size_bytes=local.size_bytes, progress=meter)
        return volume, local.sha256, local.size_bytes

    outcome = ports.background.run(job, work)
    if isinstance(outcome, Running):
        return outcome.meter
    volume, digest, size_bytes = outcome.result
    _remember(image, host, ports, digest=digest, size_bytes=size_bytes)
    return volume


def _remember(image: Image, host: GPUHost, ports: Ports, *, digest: str, size_bytes: int) -> None:
    """Note digest and host in the Image's status, so that the next VM need not fetch to know the name of the volume."""
    try:
        stored = ports.store.get(Image, image.metadata.name)
    except NotFound:
        stored = ports.store.create(image.model_copy(update={"status": ImageStatus()}))
    hosts = tuple(sorted({*stored.status.hosts, host.metadata.name}))
    ports.store.update_status(stored.with_status(sha256=digest, size_bytes=size_bytes, hosts=hosts))
