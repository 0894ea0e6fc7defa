"""What an image is made of, as data: packages, kernel modules, files, and what is switched off.

The recipes are YAML beside this module; reading one changes nothing. A content key is the name of what is built: a hash of the
recipe, of the code that carries it out, and of whatever else it is built upon, so a changed recipe is a new image and an
unchanged one is never built twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any

BUILDERS = ("bootstrap.py", "disk.py", "images.py", "initramfs.py", "kernel.py", "tree.py")
KEY_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Recipe:
    """One image. Paths are relative to the root of its tree; `init` is the script of its initramfs."""

    suite: str
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    initramfs_modules: tuple[str, ...]
    init: str
    kernel_command_line: str
    files: Mapping[str, str]
    private_files: Mapping[str, str]
    links: Mapping[str, str]
    removed: tuple[str, ...]
    enabled_units: tuple[str, ...]
    masked_units: tuple[str, ...]
    masked_generators: tuple[str, ...]
    masked_udev_rules: tuple[str, ...]
    compiled_python: tuple[str, ...]


def read_recipe(name: str) -> Recipe:
    """The recipe `host` or `guest`.

    Raises:
        KeyError: the file lacks an entry; a mistake of ours.
    """
    import yaml

    data: dict[str, Any] = yaml.safe_load(recipe_bytes(name))
    values: dict[str, Any] = {field.name: data[field.name] for field in fields(Recipe)}
    for key, value in values.items():
        values[key] = tuple(value) if isinstance(value, list) else value
    return Recipe(**values)


def recipe_bytes(name: str) -> bytes:
    """The recipe as it is written."""
    return resources.files("provisioner.lab").joinpath("recipes", f"{name}.yaml").read_bytes()


@cache
def _builder_bytes() -> bytes:
    here = resources.files("provisioner.lab")
    return b"".join(here.joinpath(name).read_bytes() for name in BUILDERS)


def content_key(*parts: bytes | str) -> str:
    """A short name for what is built from `parts` by the code of today; equal parts give equal keys."""
    digest = hashlib.sha256(_builder_bytes())
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:KEY_LENGTH]
