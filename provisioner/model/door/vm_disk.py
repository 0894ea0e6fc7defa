"""VMDisk documents: one source at most, `size` as the older name of `storage`."""

from __future__ import annotations

from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.header import Header
from provisioner.model.door.nodes import MapNode, ScalarNode
from provisioner.model.door.places import Place, fields_of, is_missing
from provisioner.model.door.system_disk import image_name, storage_for
from provisioner.model.names import LONGEST_VM_NAME
from provisioner.model.tables import Tables
from provisioner.model.vm_disk import DiskSource, HttpSource, ImageSource, UploadSource, VMDisk, VMDiskSource, VMDiskSpec

_SOURCES = ("image", "http", "disk", "upload")


def read_vm_disk(header: Header, tables: Tables) -> VMDisk:
    """The disk that a document describes."""
    fields = fields_of(header.spec, ("source", "optical", "storage", "size", "storageClass"))
    source = _source(fields.get("source"), tables)
    image = source.image.name if source.image else ""
    if source.disk and source.disk.name == header.metadata.name:
        fields["source"].mistake("a disk cannot be a copy of itself")
    optical = scalars.boolean(fields.get("optical"))
    if optical and source == VMDiskSource():
        fields["optical"].warn("an optical disk without a source is an empty CD-ROM that nobody can write to")
    spec = VMDiskSpec(
        source=source,
        optical=optical,
        storage=storage_for(fields, image=image, tables=tables),
        storage_class=read.name(fields.get("storageClass"), "replicated"),
    )
    return VMDisk(metadata=header.metadata, spec=spec)


def _source(place: Place | None, tables: Tables) -> VMDiskSource:
    fields = fields_of(place, _SOURCES)
    _note_empty(place, fields)
    if place is not None and len(fields) > 1:
        place.mistake(f"a disk has one source, not {' and '.join(fields)}; leave all out for a blank disk", allowed=_SOURCES)
        return VMDiskSource()
    if "image" in fields:
        name = image_name(_only(fields["image"], "name"), tables)
        return VMDiskSource(image=ImageSource(name=name))
    if "http" in fields:
        return VMDiskSource(http=_http(fields["http"]))
    if "disk" in fields:
        return VMDiskSource(disk=DiskSource(name=read.name(_only(fields["disk"], "name"), longest=LONGEST_VM_NAME)))
    if "upload" in fields:
        fields_of(fields["upload"], ())
        return VMDiskSource(upload=UploadSource())
    return VMDiskSource()


def _http(place: Place) -> HttpSource:
    fields = fields_of(place, ("url", "sha256"))
    if is_missing(place, fields, "url"):
        place.mistake("url is missing")
    return HttpSource(url=read.url(fields.get("url")), sha256=read.digest(fields.get("sha256")))


def _only(place: Place, name: str) -> Place | None:
    """The one field of a source, which must be there."""
    fields = fields_of(place, (name,))
    if is_missing(place, fields, name):
        place.mistake(f"{name} is missing")
    return fields.get(name)


def _note_empty(place: Place | None, fields: dict[str, Place]) -> None:
    """`source: {image: }` is a source that was begun and not finished, and not a blank disk."""
    if place is None or not isinstance(place.node, MapNode):
        return
    for entry in place.node.entries:
        empty = isinstance(entry.value, ScalarNode) and entry.value.is_null
        if entry.key in _SOURCES and entry.key not in fields and empty:
            place.child(entry).mistake(f"{entry.key} has no value; leave it out, or say {_EXAMPLES[entry.key]}")


_EXAMPLES = {
    "image": "image: {name: ubuntu-2404}",
    "http": "http: {url: https://…}",
    "disk": "disk: {name: OTHER-DISK}",
    "upload": "upload: {}",
}
