"""The GPU catalogue: what every name of a GPU means, keyed by PCI `vendor:device`.

Names change with every edition of the PCI database and every document; ids do not. Whatever a tenant writes (canonical resource
name, an alias of some document, a short name, `10de:26b9`) is resolved here once, and only the canonical name travels on. A
device that no table knows still has a name: `pci.hikube.cloud/<vendor>-<device>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from provisioner.model.suggestions import nearest

UNKNOWN_PREFIX = "pci.hikube.cloud/"
_PREFIX = "nvidia.com/"
_ID = re.compile(r"(?P<vendor>[0-9a-f]{4}):(?P<device>[0-9a-f]{4})", re.ASCII)
_UNKNOWN = re.compile(re.escape(UNKNOWN_PREFIX) + r"(?P<vendor>[0-9a-f]{4})-(?P<device>[0-9a-f]{4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class GpuModel:
    """One model of GPU, or of a stand-in for labs and tests."""

    name: str
    """Canonical resource name: `nvidia.com/AD102GL_L40S`."""
    ids: tuple[str, ...]
    """`vendor:device` pairs, lower case; most models have one."""
    display_name: str
    aliases: tuple[str, ...] = ()
    """Other resource names that documents use for it."""
    short_names: tuple[str, ...] = ()
    """Lower case; matched without regard to case."""
    memory_gib: int = 0
    """As sold; 0: unknown."""
    architecture: str = ""
    bar1_mib: int = 0
    """Largest memory BAR to reserve address space for; 0: unknown. An upper bound: the next power of two above the memory."""
    needs_open_modules: bool = False
    """Whether only NVIDIA's open kernel modules drive it (Blackwell and Grace Hopper)."""
    is_nvidia: bool = False
    """Whether the guest proves it with nvidia-smi; otherwise by its PCI ids alone."""
    nvidia_smi_names: tuple[str, ...] = ()
    """What `nvidia-smi` calls it; empty: not known, any name is accepted."""
    is_stand_in: bool = False
    """No GPU at all: an emulated device that plays one in the GPU host in a box."""


@dataclass(frozen=True, slots=True)
class GpuCatalogue:
    """All models that can be asked for by name."""

    models: tuple[GpuModel, ...] = ()
    _by_name: dict[str, GpuModel] = field(init=False, repr=False, compare=False)
    _by_id: dict[str, GpuModel] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {key: model for model in self.models for key in lookup_keys(model)})
        object.__setattr__(self, "_by_id", {identifier: model for model in self.models for identifier in model.ids})

    def resolve(self, name: str) -> GpuModel | None:
        """The model that a name means: canonical, alias (with or without `nvidia.com/`), short name, or `vendor:device`.

        Any well-formed `vendor:device` is answered, known or not. None: nothing has that name.
        """
        key = name.strip().lower()
        if found := self._by_name.get(key):
            return found
        identifier = _ID.fullmatch(key) or _UNKNOWN.fullmatch(key)
        if identifier is None:
            return None
        return self._by_id.get(f"{identifier['vendor']}:{identifier['device']}") or _unknown(**identifier.groupdict())

    def by_id(self, vendor_device: str) -> GpuModel | None:
        """The model with that `vendor:device`, or None if the catalogue does not know it."""
        return self._by_id.get(vendor_device.lower())

    def name_for_id(self, vendor_device: str) -> str:
        """The canonical name for a `vendor:device`, known or not."""
        model = self.by_id(vendor_device)
        return model.name if model else UNKNOWN_PREFIX + vendor_device.lower().replace(":", "-")

    def suggest(self, name: str) -> str | None:
        """The canonical name that was probably meant, or None."""
        words = {key: model.name for key, model in self._by_name.items()}
        found = nearest(_bare(name.strip().lower()), [_bare(word) for word in words])
        return next((words[word] for word in words if _bare(word) == found), None) if found else None

    def candidates(self, name: str) -> tuple[str, ...]:
        """Short names that a too general name (`h100`, `a100`) could mean."""
        stem = _bare(name.strip().lower())
        shorts = (short for model in self.models for short in model.short_names)
        return tuple(short for short in shorts if stem and short.startswith(f"{stem}-"))


def lookup_keys(model: GpuModel) -> Iterable[str]:
    """Every lower-case word under which `resolve` finds the model, ids apart."""
    for name in (model.name, *model.aliases):
        yield name.lower()
        if name.startswith(_PREFIX):
            yield name.removeprefix(_PREFIX).lower()
    yield from (short.lower() for short in model.short_names)


def _bare(word: str) -> str:
    return word.removeprefix(_PREFIX).removeprefix("nvidia-").replace("_", "-").replace(" ", "-")


def _unknown(*, vendor: str, device: str) -> GpuModel:
    identifier = f"{vendor}:{device}"
    return GpuModel(
        name=f"{UNKNOWN_PREFIX}{vendor}-{device}",
        ids=(identifier,),
        display_name=f"PCI device {identifier}",
        is_nvidia=vendor == "10de",
    )
