"""VMDisk: a disk with a life of its own, attached to VMInstances by name.

What it began with and where it lies are decided once; of its spec only `storage` may change afterwards, and only upwards.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from provisioner.model.metadata import APPS, Part, Resource, Status
from provisioner.model.quantities import bytes_of, format_bytes

FINALIZER = "hikube.cloud/volume"
"""Held while the disk may have a volume on a host."""
HOST_ANNOTATION = "hikube.cloud/host"
"""The GPUHost that the disk shall be on; without it, the disk waits for the first VM that uses it."""
RECLAIM_ANNOTATION = "hikube.cloud/reclaim"
"""`Retain`: the volume stays on its host when the VMDisk is deleted."""
RETAIN = "Retain"
ADOPT_ANNOTATION = "hikube.cloud/adopt-volume"
"""`true`: a volume that an earlier disk of this name left on the host becomes this disk's, as it is."""
UPLOADED_ANNOTATION = "hikube.cloud/uploaded"
"""`sha256:<digest> <file>`: what `hikube disk upload` has put there."""
KEEP_DISK_ANNOTATION = "hikube.cloud/keep-disk"
"""On a VirtualMachine: the name of the VMDisk that its system disk becomes when the VM is deleted."""


class ImageSource(Part):
    """A golden image by name."""

    name: str


class HttpSource(Part):
    """A file to download once."""

    url: str
    sha256: str = ""
    """64 hexadecimal digits that it must have; empty accepts what the first download brings, and records it."""


class DiskSource(Part):
    """A copy of another VMDisk."""

    name: str


class UploadSource(Part):
    """Content that the user uploads after creation."""


class VMDiskSource(Part):
    """Where the content comes from: at most one of these; none of them is a blank disk."""

    image: ImageSource | None = None
    http: HttpSource | None = None
    disk: DiskSource | None = None
    upload: UploadSource | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        given = [name for name in ("image", "http", "disk", "upload") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one source, not {' and '.join(given)}")
        return self


class VMDiskSpec(Part):
    """What the tenant wants."""

    source: VMDiskSource = Field(default_factory=VMDiskSource)
    optical: bool = False
    storage: str = "5Gi"
    """May grow, never shrink."""
    storage_class: str = "replicated"


class DiskOrigin(Part):
    """Where the content came from, as it was when it was taken."""

    source: Literal["blank", "image", "http", "disk", "upload", "virtualmachine"]
    name: str = ""
    """Of the image, the VMDisk, the VM or the uploaded file; the URL."""
    uid: str = ""
    """Of the VMDisk or VM; one of that name may be another one by now."""
    sha256: str = ""
    taken: str = ""


class VMDiskStatus(Status):
    """Where the volume is."""

    phase: str = "Pending"
    """Pending, Bound (a host is chosen), Ready, Failed, Deleting."""
    host: str = ""
    pool: str = ""
    """The storage pool of the host that the volume is in. Set once it was seen that no volume of this name is there."""
    volume: str = ""
    origin: DiskOrigin | None = None
    copied_to: str = ""
    """The VMDisk that is being made from this one; no VM starts with it meanwhile."""
    capacity_bytes: int = 0
    used_by: str = ""
    """The VM that has it attached; a disk serves one VM at a time."""


class VMDisk(Resource):
    """One volume on one host."""

    KIND: ClassVar[str] = "VMDisk"
    API_VERSION: ClassVar[str] = APPS
    PLURAL: ClassVar[str] = "vmdisks"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("vmd", "disk", "disks")

    api_version: str = APPS
    kind: str = "VMDisk"
    spec: VMDiskSpec = Field(default_factory=VMDiskSpec)
    status: VMDiskStatus = Field(default_factory=VMDiskStatus)

    @property
    def home(self) -> str:
        """The host that it is on, or shall be on; empty: whichever the first VM brings it to."""
        return self.status.host or self.metadata.annotations.get(HOST_ANNOTATION, "")


def forbidden_change(old: VMDiskSpec, new: VMDiskSpec) -> str:
    """Why a disk that is described by `old` cannot become one that `new` describes; empty if it can."""
    for name, title in (("source", "source"), ("optical", "optical"), ("storage_class", "storageClass")):
        if getattr(old, name) != getattr(new, name):
            return f"{title} cannot be changed: {_shown(getattr(old, name))} -> {_shown(getattr(new, name))}"
    return forbidden_size(old.storage, new.storage)


def forbidden_size(old: str, new: str) -> str:
    """Why a disk of the one size cannot get the other; empty if it can."""
    before, after = bytes_of(old), bytes_of(new)
    return f"a disk can only grow: storage is {format_bytes(before)}, not {format_bytes(after)}" if after < before else ""


def _shown(value: object) -> str:
    if isinstance(value, Part):
        return str(value.as_json() or "blank")
    return str(value).lower() if isinstance(value, bool) else str(value)
