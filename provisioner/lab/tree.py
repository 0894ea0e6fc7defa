"""What is done to a freshly installed tree before it becomes a disk: the recipe's files, links and switched-off parts.

Every function changes the tree and nothing else; doing it twice gives the same tree. Masking is a link to /dev/null, which
systemd and udev understand; nothing that a package brought is edited.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from provisioner.lab.commands import run
from provisioner.lab.kernel import KernelModules
from provisioner.lab.recipe import Recipe

CHROOT_TIMEOUT_S = 300
ALWAYS_REMOVED = ("var/lib/apt/lists/*", "var/cache/apt/*", "var/log/*.log", "usr/share/doc")
# Their times say that /etc and /var are as new as the image: no first-boot rebuild of hwdb, ldconfig and catalogues.
STAMPS = ("etc/.updated", "var/.updated")


def prepare_tree(tree: Path, recipe: Recipe) -> None:
    """Make the installed tree what the recipe says."""
    _prune_kernel(tree, recipe)
    for pattern in (*ALWAYS_REMOVED, *recipe.removed):
        for path in tree.glob(pattern):
            _remove(path)
    for name, text in recipe.files.items():
        _write(tree / name, text, mode=0o644)
    for name, text in recipe.private_files.items():
        _write(tree / name, text, mode=0o600)
        (tree / name).parent.chmod(0o700 if name.startswith("root/") else 0o755)
    for name, target in (*recipe.links.items(), *_masks(recipe)):
        _link(tree / name, target)
    _in_chroot(tree, recipe)
    for stamp in STAMPS:
        (tree / stamp).touch()


def _masks(recipe: Recipe) -> list[tuple[str, str]]:
    places = (
        *(f"etc/systemd/system/{unit}" for unit in recipe.masked_units),
        *(f"etc/systemd/system-generators/{name}" for name in recipe.masked_generators),
        *(f"etc/udev/rules.d/{name}.rules" for name in recipe.masked_udev_rules),
    )
    return [(place, "/dev/null") for place in places]


def _prune_kernel(tree: Path, recipe: Recipe) -> None:
    kernel = KernelModules(tree)
    kernel.keep((*recipe.modules, *recipe.initramfs_modules))
    run(["chroot", tree, "depmod", kernel.version], doing="index kernel modules", timeout_s=CHROOT_TIMEOUT_S)


def _in_chroot(tree: Path, recipe: Recipe) -> None:
    if recipe.enabled_units:
        run(
            ["chroot", tree, "systemctl", "enable", *recipe.enabled_units],
            doing="enable services",
            timeout_s=CHROOT_TIMEOUT_S,
        )
    if recipe.compiled_python:
        run(
            ["chroot", tree, "python3", "-m", "compileall", "-q", *recipe.compiled_python],
            doing="compile Python",
            timeout_s=CHROOT_TIMEOUT_S,
        )


def _write(path: Path, text: str, *, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
