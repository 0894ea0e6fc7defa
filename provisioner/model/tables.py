"""The tables that documents refer to: GPUs, instance types, golden images, instance profiles.

Built-in ones are data files of this package; an operator adds more in files of the same shape. Immutable: `extended` gives a
new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from provisioner.model.catalogue import GpuCatalogue
from provisioner.model.image import Image
from provisioner.model.instance_types import InstanceProfile, InstanceType

BUILT_IN_FILES = ("gpus.yaml", "instance_types.yaml", "images.yaml", "instance_profiles.yaml")


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything by name; mappings keep the order of the files."""

    gpus: GpuCatalogue = field(default_factory=GpuCatalogue)
    instance_types: Mapping[str, InstanceType] = field(default_factory=dict)
    images: Mapping[str, Image] = field(default_factory=dict)
    profiles: Mapping[str, InstanceProfile] = field(default_factory=dict)

    @staticmethod
    def builtin() -> Tables:
        """The tables that hikube knows by itself; read once."""
        return _builtin()

    def extended(self, text: str, *, source: str) -> Tables:
        """These tables with the entries of a file; an entry of a name that exists replaces it.

        Raises:
            InvalidDocuments: the text has mistakes (all of them are listed), or claims an id or alias of another entry.
        """
        from provisioner.model.door.tables import read_tables  # the door reads tables and needs them

        return read_tables(text, source=source, base=self)


@cache
def _builtin() -> Tables:
    from importlib.resources import files  # costs as much as reading the files

    folder = files("provisioner.model.data")
    tables = Tables()
    for name in BUILT_IN_FILES:
        tables = tables.extended(folder.joinpath(name).read_text(encoding="utf-8"), source=name)
    return tables
