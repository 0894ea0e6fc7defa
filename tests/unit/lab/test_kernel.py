"""Which kernel modules go into an image, and in which order they are loaded."""

import lzma
from pathlib import Path

import pytest

from provisioner.lab.initramfs import build_initramfs
from provisioner.lab.kernel import KernelModules
from provisioner.model.errors import LabError

DEPENDENCIES = """\
kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/lib/crc16.ko.xz
kernel/fs/jbd2/jbd2.ko.xz: kernel/lib/crc16.ko.xz
kernel/lib/crc16.ko.xz:
kernel/sound/snd-hda.ko.xz:
kernel/net/nf/nf_a.ko.xz: kernel/lib/crc16.ko.xz
kernel/net/nf/nf_b.ko.xz:
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "lib/modules/6.12"
    for line in DEPENDENCIES.splitlines():
        file = folder / line.partition(":")[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(lzma.compress(file.name.encode()))
    (folder / "modules.dep").write_text(DEPENDENCIES)
    (folder / "modules.builtin").write_text("kernel/drivers/virtio/virtio.ko\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/busybox").write_bytes(b"busybox")
    return tmp_path


def names(paths):
    return [Path(path).name.partition(".")[0] for path in paths]


def test_a_module_is_loaded_after_what_it_needs(tree):
    assert names(KernelModules(tree).in_load_order(["ext4"])) == ["crc16", "jbd2", "ext4"]


def test_a_pattern_takes_a_folder_and_what_it_needs(tree):
    assert sorted(names(KernelModules(tree).closure(["kernel/net/nf/*"]))) == ["crc16", "nf_a", "nf_b"]


def test_hyphens_and_underscores_are_alike_and_built_in_is_fine(tree):
    assert names(KernelModules(tree).in_load_order(["snd_hda", "virtio"])) == ["snd-hda"]


def test_a_module_that_nobody_knows_is_refused(tree):
    with pytest.raises(LabError, match="no module 'ext5'"):
        KernelModules(tree).closure(["ext5"])


def test_what_is_kept_is_unpacked_and_the_rest_is_gone(tree):
    KernelModules(tree).keep(["ext4"])
    assert sorted(file.name for file in tree.rglob("*.ko*")) == ["crc16.ko", "ext4.ko", "jbd2.ko"]


def test_keeping_twice_is_keeping_once(tree):
    KernelModules(tree).keep(["ext4"])
    KernelModules(tree).keep(["ext4"])
    assert sorted(file.name for file in tree.rglob("*.ko*")) == ["crc16.ko", "ext4.ko", "jbd2.ko"]


def test_an_initramfs_is_the_same_each_time_and_loads_its_modules_in_order(tree):
    build = lambda: build_initramfs(tree, modules=["ext4"], init="#!/bin/sh\n@INSMOD@\n")  # noqa: E731
    archive = build()
    assert archive == build()
    assert archive.startswith(b"070701")
    assert b"insmod /modules/crc16.ko\ninsmod /modules/jbd2.ko\ninsmod /modules/ext4.ko\n" in archive
    assert b"TRAILER!!!" in archive
    assert len(archive) % 4 == 0
