"""The images of the lab: what they are built from, in which order, and what a lab gets to see of them.

    recipes/host.yaml  -> tools-<key>   tree with QEMU, kernel, initramfs
    recipes/guest.yaml -> guest-<key>   guest.qcow2 and its SHA-256         (made with the tools)
    both               -> disk-<key>    host.raw: the tree, with the guest image already in libvirt's pool

Building needs root, mmdebstrap and a Debian mirror, takes some minutes and 2 GB; using what is built needs neither.
Running it again continues after the last complete part. Nothing of a user's identity goes into an image.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from provisioner.lab import paths
from provisioner.lab.bootstrap import bootstrap, check_requirements
from provisioner.lab.cache import ImageCache
from provisioner.lab.commands import run
from provisioner.lab.disk import ROOT_MIB, make_bootable, make_filesystem, to_qcow2
from provisioner.lab.initramfs import build_initramfs
from provisioner.lab.progress import Progress
from provisioner.lab.recipe import content_key, read_recipe, recipe_bytes
from provisioner.lab.tools import Tools
from provisioner.lab.tree import prepare_tree

GUEST_SIZE_MIB = 2048
HOST_SIZE_MIB = 40 * 1024
POOL = "var/lib/libvirt/images"
COPY_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class LabImages:
    """Complete images. `guest_image` is also in every host's pool `default`, under `base_volume_name(guest_sha256)`."""

    key: str
    tools: Tools
    kernel: Path
    initramfs: Path
    host_disk: Path
    guest_image: Path
    guest_sha256: str


@dataclass(frozen=True, slots=True)
class _Keys:
    tools: str
    guest: str

    @property
    def disk(self) -> str:
        return f"disk-{content_key(self.tools, self.guest)}"


def base_volume_name(sha256: str) -> str:
    """The name that the provisioner gives to a base image in a host's pool."""
    return f"hikube-base-{sha256[:32]}.qcow2"


def find_images() -> LabImages | None:
    """The images of today's recipes if they are complete; builds nothing."""
    cache, keys = ImageCache(paths.image_cache()), _keys()
    if not all(cache.has(name) for name in (keys.tools, keys.guest, keys.disk)):
        return None
    return _described(cache, keys)


def ensure_images(progress: Progress) -> LabImages:
    """The images of today's recipes, built where they are not in the cache.

    Raises:
        LabError: they cannot be built here; nothing half-made is ever used.
    """
    if ready := find_images():
        return ready
    check_requirements()
    cache, keys = ImageCache(paths.image_cache()), _keys()
    with cache.locked(progress):
        tools = Tools(
            cache.entry(
                keys.tools,
                lambda folder: _build_tools(cache, folder),
                progress=progress,
                doing="host image: Debian 13, libvirt, QEMU",
            )
            / "tree"
        )
        cache.entry(
            keys.guest,
            lambda folder: _build_guest(cache, folder, tools),
            progress=progress,
            doing="guest image: Debian 13, cloud-init",
        )
        cache.entry(
            keys.disk,
            lambda folder: _build_disk(folder, tools, _described(cache, keys)),
            progress=progress,
            doing="host disk with the guest image in its pool",
        )
    return _described(cache, keys)


def _keys() -> _Keys:
    host, guest = recipe_bytes("host"), recipe_bytes("guest")
    tools = content_key(host)
    return _Keys(tools=f"tools-{tools}", guest=f"guest-{content_key(guest, tools)}")


def _described(cache: ImageCache, keys: _Keys) -> LabImages:
    tools, guest = cache.folder / keys.tools, cache.folder / keys.guest
    return LabImages(
        key=keys.disk,
        tools=Tools(tools / "tree"),
        kernel=tools / "vmlinuz",
        initramfs=tools / "initramfs",
        host_disk=cache.folder / keys.disk / "host.raw",
        guest_image=guest / "guest.qcow2",
        guest_sha256=(guest / "sha256").read_text(),
    )


def _build_tools(cache: ImageCache, folder: Path) -> None:
    recipe, tree = read_recipe("host"), folder / "tree"
    bootstrap(recipe, target=tree, package_cache=cache.packages)
    prepare_tree(tree, recipe)
    _kernel_of(tree).rename(folder / "vmlinuz")
    initramfs = build_initramfs(tree, modules=recipe.initramfs_modules, init=recipe.init)
    (folder / "initramfs").write_bytes(initramfs)


def _build_guest(cache: ImageCache, folder: Path, tools: Tools) -> None:
    recipe, tree, raw = read_recipe("guest"), folder / "tree", folder / "guest.raw"
    bootstrap(recipe, target=tree, package_cache=cache.packages)
    prepare_tree(tree, recipe)
    _kernel_of(tree).rename(tree / "boot/vmlinuz")
    initramfs = build_initramfs(tree, modules=recipe.initramfs_modules, init=recipe.init)
    (tree / "boot/initrd").write_bytes(initramfs)
    make_filesystem(tools, tree=tree, image=raw, size_mib=GUEST_SIZE_MIB - ROOT_MIB, offset_mib=ROOT_MIB)
    command_line = " ".join(recipe.kernel_command_line.split())
    make_bootable(tools, image=raw, work=folder, size_mib=GUEST_SIZE_MIB, command_line=command_line)
    to_qcow2(tools, raw=raw, qcow2=folder / "guest.qcow2")
    (folder / "sha256").write_text(_sha256(folder / "guest.qcow2"))
    raw.unlink()
    shutil.rmtree(tree)


def _build_disk(folder: Path, tools: Tools, images: LabImages) -> None:
    tree = folder / "tree"
    run(["cp", "-al", tools.tree, tree], doing="copy the host's tree", timeout_s=COPY_TIMEOUT_S)
    volume = tree / POOL / base_volume_name(images.guest_sha256)
    volume.hardlink_to(images.guest_image)
    make_filesystem(tools, tree=tree, image=folder / "host.raw", size_mib=HOST_SIZE_MIB)
    shutil.rmtree(tree)


def _kernel_of(tree: Path) -> Path:
    return next(iter(sorted((tree / "boot").glob("vmlinuz-*"))))


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
