"""The data files of the tables, built in or an operator's: read through the same door as documents, with the same care."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from provisioner.model import quantities
from provisioner.model.catalogue import GpuCatalogue, GpuModel, lookup_keys
from provisioner.model.door import names as read
from provisioner.model.door import scalars
from provisioner.model.door.image import IMAGE_FIELDS, image_spec
from provisioner.model.door.mistakes import Findings
from provisioner.model.door.nodes import shown
from provisioner.model.door.places import Place, fields_of, is_missing, items_of
from provisioner.model.door.yaml_text import read_documents
from provisioner.model.image import Image
from provisioner.model.instance_types import InstanceProfile, InstanceType
from provisioner.model.metadata import Metadata
from provisioner.model.tables import Tables

T = TypeVar("T")
SECTIONS = ("gpus", "instanceTypes", "images", "instanceProfiles")
_GPU_FIELDS = (
    "name", "ids", "aliases", "shortNames", "displayName", "memoryGib", "architecture", "bar1Mib", "needsOpenModules",
    "nvidiaSmiNames", "isStandIn",
)  # fmt: skip
_RESOURCE_NAME = re.compile(r"[a-z0-9.-]{1,100}/[A-Za-z0-9_.-]{1,100}", re.ASCII)
_GPU_ID = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}", re.ASCII)
_NVIDIA = "10de:"


def read_tables(text: str, *, source: str, base: Tables) -> Tables:
    """`base` with the entries of one file.

    Raises:
        InvalidDocuments: with every mistake of the file.
    """
    findings = Findings(source, tuple(text.split("\n")))
    tables = base
    for document in read_documents(text, findings):
        place = Place(document.root, "", document.root.position, document.index, findings)
        tables = _with_document(place, tables)
    findings.raise_if_any()
    return tables


def _with_document(place: Place, base: Tables) -> Tables:
    fields = fields_of(place, SECTIONS)
    types = _named(fields.get("instanceTypes"), _instance_type, what="instance types")
    images = _named(fields.get("images"), _image, what="images")
    profiles = _named(fields.get("instanceProfiles"), _profile, what="instance profiles")
    return replace(
        base,
        gpus=_extended_catalogue(base.gpus, fields.get("gpus")),
        instance_types=MappingProxyType({**base.instance_types, **types}),
        images=MappingProxyType({**base.images, **images}),
        profiles=MappingProxyType({**base.profiles, **profiles}),
    )


def _named(place: Place | None, entry: Callable[[Place], tuple[str, T]], *, what: str) -> dict[str, T]:
    found: dict[str, T] = {}
    for item in items_of(place, of_what=what):
        name, value = entry(item)
        if name in found:
            item.mistake(f"{shown(name)} is listed twice")
        found[name] = value
    return found


def _instance_type(item: Place) -> tuple[str, InstanceType]:
    fields = fields_of(item, ("name", "vcpus", "memory"))
    _require(item, fields, ("name", "vcpus", "memory"))
    name = read.word(fields.get("name"))
    memory = scalars.size(fields.get("memory"), "1Gi", most="32Ti")
    return name, InstanceType(name, scalars.integer(fields.get("vcpus"), 1, least=1, most=1024), quantities.mib_of(memory))


def _profile(item: Place) -> tuple[str, InstanceProfile]:
    fields = fields_of(item, ("name", "image"))
    _require(item, fields, ("name",))
    name = read.word(fields.get("name"))
    return name, InstanceProfile(name, image=read.name(fields.get("image")), is_windows=name.startswith("windows"))


def _image(item: Place) -> tuple[str, Image]:
    fields = fields_of(item, ("name", *IMAGE_FIELDS))
    _require(item, fields, ("name",))
    name = read.name(fields.get("name"))
    return name, Image(metadata=Metadata(name=name), spec=image_spec(item, fields))


def _extended_catalogue(catalogue: GpuCatalogue, place: Place | None) -> GpuCatalogue:
    if place is None:
        return catalogue
    items = items_of(place, of_what="GPUs")
    added = [_gpu(item) for item in items]
    replaced = {model.name for model in added}
    kept = [model for model in catalogue.models if model.name not in replaced]
    _refuse_shared_names(kept, added, items)
    return GpuCatalogue((*kept, *added))


def _gpu(item: Place) -> GpuModel:
    fields = fields_of(item, _GPU_FIELDS)
    _require(item, fields, ("name", "ids"))
    name = _matching(fields.get("name"), _RESOURCE_NAME, "a resource name such as nvidia.com/AD102GL_L40S")
    ids = tuple(
        _matching(each, _GPU_ID, "a PCI vendor:device in lower case such as 10de:26b9")
        for each in items_of(fields.get("ids"), of_what="PCI ids", most=20)
    )
    memory_gib = scalars.integer(fields.get("memoryGib"), 0, most=100_000)
    return GpuModel(
        name=name,
        ids=ids,
        display_name=scalars.text(fields.get("displayName"), name),
        aliases=_texts(fields.get("aliases")),
        short_names=tuple(short.lower() for short in _texts(fields.get("shortNames"))),
        memory_gib=memory_gib,
        architecture=scalars.text(fields.get("architecture")),
        bar1_mib=scalars.integer(fields.get("bar1Mib"), _bar_above(memory_gib), most=2**30),
        needs_open_modules=scalars.boolean(fields.get("needsOpenModules")),
        is_nvidia=any(each.startswith(_NVIDIA) for each in ids),
        nvidia_smi_names=_texts(fields.get("nvidiaSmiNames")),
        is_stand_in=scalars.boolean(fields.get("isStandIn")),
    )


def _bar_above(memory_gib: int) -> int:
    """The next power of two above the memory, in MiB: what a card's largest BAR can take of the address space."""
    return 1024 * 2 ** (memory_gib - 1).bit_length() if memory_gib else 0


def _refuse_shared_names(kept: list[GpuModel], added: list[GpuModel], items: list[Place]) -> None:
    owners = {key: model.name for model in kept for key in (*lookup_keys(model), *model.ids)}
    for model, item in zip(added, items, strict=True):
        for key in {*lookup_keys(model), *model.ids}:
            owner = owners.setdefault(key, model.name)
            if owner != model.name and key:
                item.mistake(f"{shown(key)} already means {owner}")


def _matching(place: Place | None, form: re.Pattern[str], described: str) -> str:
    value = scalars.text(place)
    if place is not None and not form.fullmatch(value):
        place.mistake(f"{shown(value)} is not {described}")
        return ""
    return value


def _texts(place: Place | None) -> tuple[str, ...]:
    return tuple(scalars.text(item, longest=200) for item in items_of(place, of_what="names", most=50))


def _require(item: Place, fields: dict[str, Place], names: Iterable[str]) -> None:
    for name in names:
        if is_missing(item, fields, name):
            item.mistake(f"{name} is missing")
