"""Image documents, and the entries of the table of golden images, which have the same fields."""

from __future__ import annotations

from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.header import Header
from provisioner.model.door.places import Place, fields_of, is_missing
from provisioner.model.image import Image, ImageSpec
from provisioner.model.tables import Tables

IMAGE_FIELDS = ("url", "sha256", "format", "distribution", "defaultUser", "minStorage", "nvidiaDriver", "firmware")


def read_image(header: Header, tables: Tables) -> Image:
    """The golden image that a document describes."""
    del tables
    return Image(metadata=header.metadata, spec=image_spec(header.spec, fields_of(header.spec, IMAGE_FIELDS)))


def image_spec(place: Place, fields: dict[str, Place]) -> ImageSpec:
    """The spec from its fields; `place` is where a missing URL is reported."""
    if is_missing(place, fields, "url"):
        place.mistake("url is missing: where does the image come from?")
    return ImageSpec.model_validate(
        {
            "url": read.url(fields.get("url"), with_files=True),
            "sha256": read.digest(fields.get("sha256")),
            "format": scalars.one_of(fields.get("format"), ("qcow2", "raw"), default="qcow2"),
            "distribution": scalars.one_of(fields.get("distribution"), ("ubuntu", "debian", "other"), default="other"),
            "default_user": read.word(fields.get("defaultUser"), "root"),
            "min_storage": scalars.size(fields.get("minStorage"), "2Gi", most="64Ti"),
            "nvidia_driver": read.word(fields.get("nvidiaDriver")),
            "firmware": scalars.one_of(fields.get("firmware"), ("bios", "efi", "any"), default="bios"),
        }
    )
