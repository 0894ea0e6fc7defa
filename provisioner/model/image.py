"""Image: a golden image that VMs boot from, with where it comes from and what is baked in."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from provisioner.model.metadata import HIKUBE, Part, Resource, Status


class ImageSpec(Part):
    """Where the image comes from and how guests of it are driven."""

    url: str
    """http(s)://… or file:///…"""
    sha256: str = ""
    """64 hexadecimal digits. Empty: the first download is recorded in status and every later one must equal it."""
    format: Literal["qcow2", "raw"] = "qcow2"
    distribution: Literal["ubuntu", "debian", "other"] = "other"
    """Chooses how a driver is installed; `other` installs none."""
    default_user: str = "root"
    min_storage: str = "2Gi"
    nvidia_driver: str = ""
    """The driver branch baked in (`580-server-open`); empty: hikube installs one at first boot where it knows how."""
    firmware: Literal["bios", "efi", "any"] = "bios"
    """What it boots with; `any`: both, and hikube chooses by the host and the GPUs."""


class ImageStatus(Status):
    """What was fetched."""

    sha256: str = ""
    size_bytes: int = 0
    virtual_size_bytes: int = 0
    hosts: tuple[str, ...] = ()
    """Hosts whose pool holds it."""


class Image(Resource):
    """A golden image."""

    KIND: ClassVar[str] = "Image"
    API_VERSION: ClassVar[str] = HIKUBE
    NAMESPACED: ClassVar[bool] = False
    PLURAL: ClassVar[str] = "images"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("img",)

    api_version: str = HIKUBE
    kind: str = "Image"
    spec: ImageSpec
    status: ImageStatus = Field(default_factory=ImageStatus)
