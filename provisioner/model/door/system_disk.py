"""Readers of the disk that a VM boots from, and of the names of golden images.

An image that no table knows is accepted: it may be an Image in the store. Only a name that is nearly a built-in one is
worth a warning.
"""

from __future__ import annotations

from provisioner.model import quantities
from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.nodes import shown
from provisioner.model.door.places import Place, fields_of
from provisioner.model.suggestions import nearest
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import SystemDisk

DEFAULT_STORAGE = "5Gi"
MOST_STORAGE = "64Ti"


def read_system_disk(place: Place | None, *, profile: str, tables: Tables, owner: Place) -> SystemDisk:
    """The system disk; image and size follow from the instance profile where they are not given."""
    is_listed = place is not None and place.path.endswith("]")
    names_of_a_listed_disk = ("name", "bus") if is_listed else ()
    fields = fields_of(place, ("image", "storage", "size", "storageClass"), ignored=names_of_a_listed_disk)
    image = image_name(fields.get("image"), tables, may_be_empty=True) or _image_of_profile(
        place or owner, fields, profile=profile, tables=tables
    )
    return SystemDisk(
        image=image,
        storage=storage_for(fields, image=image, tables=tables),
        storage_class=read.name(fields.get("storageClass"), "replicated"),
    )


def image_name(place: Place | None, tables: Tables, *, may_be_empty: bool = False) -> str:
    """The name of a golden image; empty where none is given."""
    name = read.name(place, may_be_empty=may_be_empty)
    if place is not None and name and name not in tables.images:
        meant = nearest(name, tables.images)
        if meant and _is_slip(name, meant):
            place.warn(f"{shown(name)} is no built-in image; there must be an Image of that name", did_you_mean=meant)
    return name


def storage_for(fields: dict[str, Place], *, image: str, tables: Tables) -> str:
    """The size under either name, and not less than the image needs."""
    place = fields.get("storage") or fields.get("size")
    known = tables.images.get(image)
    least = known.spec.min_storage if known else "1Mi"
    if (old := fields.get("size")) and not old.path.endswith("].size"):
        old.warn("size is accepted here; the field of the API is storage")
        both = fields.get("storage")
        if both and scalars.verbatim(both) != scalars.verbatim(old):
            old.mistake("size and storage say the same with different values; leave size out")
    default = max(DEFAULT_STORAGE, least, key=quantities.bytes_of)
    storage = scalars.size(place, default, most=MOST_STORAGE)
    if place and quantities.bytes_of(storage) < quantities.bytes_of(least):
        place.mistake(f"the image {image} needs at least {least}, not {storage}")
    return storage


def _image_of_profile(place: Place, fields: dict[str, Place], *, profile: str, tables: Tables) -> str:
    known = tables.profiles.get(profile)
    if known is not None and not known.image and "image" not in fields:
        place.mistake(f"hikube has no golden image for the instance profile {profile}; name one in systemDisk.image")
    return known.image if known and known.image else "ubuntu"


def _is_slip(name: str, meant: str) -> bool:
    """Whether two names differ by a slip of the keyboard rather than by a word."""
    return abs(len(name) - len(meant)) <= 1
