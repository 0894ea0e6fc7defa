"""The kernel modules in a tree: which depend on which, which to keep, and their bytes.

Reads what depmod wrote (modules.dep); only `keep` changes the tree. Names are matched as modprobe does, with - and _ alike.
A name that is unknown is either built into the kernel or a mistake: the first is fine, the second is refused.
"""

from __future__ import annotations

import fnmatch
import lzma
import os
from collections.abc import Iterable
from pathlib import Path

from provisioner.model.errors import LabError


class KernelModules:
    """The modules of the one kernel that is installed in a tree."""

    def __init__(self, tree: Path) -> None:
        versions = sorted(os.listdir(tree / "lib/modules"))
        if len(versions) != 1:
            raise LabError("the image must have exactly one kernel", why=f"found: {', '.join(versions) or 'none'}")
        self.version = versions[0]
        self.folder = tree / "lib/modules" / self.version
        self._needs = _read_dependencies(self.folder / "modules.dep")
        self._by_name = {_module_name(path): path for path in self._needs}
        self._built_in = {_module_name(line) for line in (self.folder / "modules.builtin").read_text().split()}

    def closure(self, patterns: Iterable[str]) -> set[str]:
        """Paths of the modules that match names or path patterns, and of all that these need."""
        wanted: set[str] = set()
        for pattern in patterns:
            for path in self._matching(pattern):
                wanted |= {path, *self._needs[path]}
        return wanted

    def in_load_order(self, names: Iterable[str]) -> list[str]:
        """The modules and all that they need, each after what it needs."""
        ordered: list[str] = []
        for name in names:
            for path in self._matching(name):
                # modules.dep lists what a module needs in the reverse of the order to load it in
                ordered += [each for each in (*reversed(self._needs[path]), path) if each not in ordered]
        return ordered

    def keep(self, patterns: Iterable[str]) -> None:
        """Delete every other module, and unpack those that stay. Effect on the tree; depmod must run afterwards."""
        kept = self.closure(patterns)
        for path in self._needs:
            file = self.folder / path
            if path in kept and file.suffix == ".xz" and file.exists():
                file.with_suffix("").write_bytes(self.read(path))
            if path not in kept or file.suffix == ".xz":
                file.unlink(missing_ok=True)

    def read(self, path: str) -> bytes:
        """A module's bytes, unpacked."""
        data = (self.folder / path).read_bytes()
        return lzma.decompress(data) if path.endswith(".xz") else data

    def _matching(self, pattern: str) -> list[str]:
        if "/" in pattern:
            return fnmatch.filter(self._needs, pattern)
        name = pattern.replace("-", "_")
        if name in self._by_name:
            return [self._by_name[name]]
        if name in self._built_in:
            return []
        raise LabError(f"the kernel {self.version} has no module {pattern!r}")


def _read_dependencies(file: Path) -> dict[str, list[str]]:
    pairs = (line.partition(":") for line in file.read_text().splitlines())
    return {path: needs.split() for path, _, needs in pairs}


def _module_name(path: str) -> str:
    return Path(path).name.partition(".ko")[0].replace("-", "_")
