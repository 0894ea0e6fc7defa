"""VMDisk: a disk with a life of its own, attached to VMInstances by name."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from provisioner.model.metadata import APPS, Part, Resource, Status


class ImageSource(Part):
    """A golden image by name."""

    name: str


class HttpSource(Part):
    """A file to download once."""

    url: str


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


class VMDiskStatus(Status):
    """Where the volume is."""

    phase: str = "Pending"
    """Pending, Bound (a host is chosen), Ready, Failed, Deleting."""
    host: str = ""
    volume: str = ""
    capacity_bytes: int = 0
    used_by: str = ""
    """The VM that has it attached; a disk serves one VM at a time."""


class VMDisk(Resource):
    """One volume on one host."""

    KIND: ClassVar[str] = "VMDisk"
    API_VERSION: ClassVar[str] = APPS
    PLURAL: ClassVar[str] = "vmdisks"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("vmd",)

    api_version: str = APPS
    kind: str = "VMDisk"
    spec: VMDiskSpec = Field(default_factory=VMDiskSpec)
    status: VMDiskStatus = Field(default_factory=VMDiskStatus)
