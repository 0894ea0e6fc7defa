"""The small parts around a host in a box: access, verdicts, time, mirrors, the boot sector, processes."""

import json
import os
import select
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from provisioner.lab.accelerator import judge
from provisioner.lab.access import Access, make_identity, write_configuration
from provisioner.lab.bootstrap import mirrors
from provisioner.lab.cache import ImageCache
from provisioner.lab.commands import run
from provisioner.lab.disk import boot_sector
from provisioner.lab.esp import esp_image
from provisioner.lab.process import end_process, is_running, start_process
from provisioner.lab.timing import UNKNOWN_SCALE, record_boot, time_scale
from provisioner.model.errors import LabError


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("HIKUBE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HIKUBE_DATA_DIR", str(tmp_path / "data"))


def test_access_pins_the_host_key_and_keeps_secrets_to_the_user(tmp_path):
    access = Access(tmp_path)
    make_identity(access, comment="test")
    write_configuration(access, port=2222)
    key_type, key, _ = access.host_key.with_suffix(".pub").read_text().split()
    assert (tmp_path / "known_hosts").read_text().startswith(f"[127.0.0.1]:2222 {key_type} {key}")
    assert "StrictHostKeyChecking yes" in access.config.read_text()
    assert [file.stat().st_mode & 0o777 for file in (access.user_key, access.host_key, access.wrapper)] == [0o600, 0o600, 0o700]


def test_ssh_keygen_reads_our_keys(tmp_path):
    access = Access(tmp_path)
    make_identity(access, comment="test")
    shown = subprocess.run(["ssh-keygen", "-y", "-f", access.user_key], capture_output=True, text=True, check=True).stdout
    assert shown.split()[:2] == access.authorized_keys.read_text().split()[:2]


def test_an_identity_is_made_once(tmp_path):
    access = Access(tmp_path)
    make_identity(access, comment="test")
    before = access.host_key.read_bytes()
    make_identity(access, comment="test")
    assert access.host_key.read_bytes() == before


def test_the_uri_is_an_ordinary_one_whatever_the_folder_is_called(tmp_path):
    access = Access(tmp_path / "a b&c")
    uri = urlsplit(access.uri(2222))
    assert (uri.scheme, uri.netloc, uri.path) == ("qemu+ssh", "root@127.0.0.1:2222", "/system")
    assert parse_qs(uri.query) == {"keyfile": [str(access.user_key)], "command": [str(access.wrapper)], "no_tty": ["1"]}


@pytest.mark.parametrize(
    ("serial", "usable", "finding"),
    [
        ("", False, "a Linux guest does not start with it"),
        ("garbage", False, "a Linux guest does not start with it"),
        ("hikube-probe linux=yes nested=no\n", False, "cannot be nested"),
        ("[0.1] x\nhikube-probe linux=yes nested=yes\n", True, "using it"),
    ],
)
def test_kvm_is_used_only_when_a_linux_guest_ran_and_can_nest(serial, usable, finding):
    verdict = judge(serial)
    assert verdict.usable is usable
    assert finding in verdict.finding


def test_limits_grow_with_the_boot_time_of_this_machine():
    assert time_scale() == UNKNOWN_SCALE
    record_boot(22.0, accelerator="tcg")
    assert time_scale() == pytest.approx(2.0)
    record_boot(44.0, accelerator="tcg")
    assert time_scale() == pytest.approx(3.0)
    assert time_scale(accelerator="kvm") == UNKNOWN_SCALE


def test_one_very_slow_boot_does_not_make_limits_endless():
    record_boot(10_000.0, accelerator="tcg")
    assert time_scale() == 10.0


def test_mirrors_are_those_of_this_machine(tmp_path):
    (tmp_path / "debian.sources").write_text(
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n\nURIs: http://mirror.example/debian-security/\n"
    )
    (tmp_path / "other.list").write_text(
        "# deb http://no.example/debian x main\ndeb [signed-by=/k] https://apt.example/x y main\n"
    )
    assert mirrors([tmp_path]) == ("http://mirror.example/debian", "http://mirror.example/debian-security/")


def test_without_sources_the_mirrors_are_debians_own(tmp_path):
    assert mirrors([tmp_path / "none"]) == ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")


def test_a_boot_sector_has_an_active_partition_to_the_end_of_the_disk_and_one_for_uefi_before_it():
    sector = boot_sector(b"\xeb" * 512, size_mib=2048)
    assert len(sector) == 512
    assert sector[510:] == b"\x55\xaa"
    entries = [struct.unpack("<BxxxBxxxII", sector[446 + 16 * number : 462 + 16 * number]) for number in range(4)]
    assert entries == [(0x80, 0x83, 9 * 2048, 2039 * 2048), (0, 0xEF, 2048, 8 * 2048), (0, 0, 0, 0), (0, 0, 0, 0)]


@pytest.mark.parametrize("size", [1, 511, 512, 513, 300_000, 4_000_000])
def test_the_partition_for_uefi_holds_the_loader_where_firmware_looks(size, tmp_path):
    loader = bytes(number % 251 for number in range(size))
    image = esp_image(loader, size_mib=8, first_sector=2048)
    assert len(image) == 8 * 2**20
    assert file_in_fat16(image, "EFI", "BOOT", "BOOTX64 EFI") == loader
    checker = shutil.which("fsck.fat", path="/usr/sbin:/sbin:/usr/bin")
    if checker is not None:
        (tmp_path / "esp").write_bytes(image)
        checked = subprocess.run([checker, "-n", tmp_path / "esp"], capture_output=True, text=True, timeout=30, check=False)
        assert checked.returncode == 0, checked.stdout


def test_a_loader_that_does_not_fit_is_refused():
    with pytest.raises(LabError, match="does not hold"):
        esp_image(bytes(9 * 2**20), size_mib=8, first_sector=2048)


def file_in_fat16(image, *path):
    """What is at that path, read as a FAT driver does: directories and chains of clusters."""
    sector, per_cluster, reserved, fats, entries = struct.unpack_from("<HBHBH", image, 11)
    (fat_sectors,) = struct.unpack_from("<H", image, 22)
    root = (reserved + fats * fat_sectors) * sector
    data = root + entries * 32
    found, size = image[root:data], 0
    for name in path:
        entry = next(found[at : at + 32] for at in range(0, len(found), 32) if found[at : at + 11] == name.ljust(11).encode())
        cluster, size = struct.unpack("<26xHI", entry)
        found = b""
        while cluster < 0xFFF8:
            at = data + (cluster - 2) * per_cluster * sector
            found += image[at : at + per_cluster * sector]
            (cluster,) = struct.unpack_from("<H", image, reserved * sector + 2 * cluster)
    return found[:size]


def test_a_failed_build_leaves_no_entry_and_the_next_one_starts_clean(tmp_path):
    cache, said = ImageCache(tmp_path / "lab"), []

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise LabError("no")

    with cache.locked(said.append):
        with pytest.raises(LabError):
            cache.entry("x-1", fail, progress=said.append, doing="x")
        assert not cache.has("x-1")
        made = cache.entry("x-1", lambda folder: None, progress=said.append, doing="x")
        assert list(made.iterdir()) == []
        assert cache.entry("x-1", fail, progress=said.append, doing="x") == made
    assert len(said) == 1


@pytest.fixture
def record(tmp_path):
    file = tmp_path / "qemu.json"
    yield file
    end_process(file, monitor_socket=tmp_path / "none")


def test_a_process_is_started_recognised_and_ended(record, tmp_path):
    argv = [sys.executable, "-c", "import signal; signal.pause()"]
    start_process(argv, env={}, record=record, log=tmp_path / "log")
    assert is_running(record)
    end_process(record, monitor_socket=tmp_path / "none")
    assert not is_running(record)
    end_process(record, monitor_socket=tmp_path / "none")


def test_another_process_with_the_same_id_is_never_taken_for_ours(record, tmp_path):
    argv = [sys.executable, "-c", "import signal; signal.pause()"]
    start_process(argv, env={}, record=record, log=tmp_path / "log")
    genuine = record.read_text()
    record.write_text(json.dumps({**json.loads(genuine), "started": "1"}))
    assert not is_running(record)
    record.write_text(genuine)
    assert is_running(record)


def test_a_program_that_takes_too_long_is_ended_with_what_it_started(tmp_path):
    child = tmp_path / "child"
    script = f"echo before; sleep 100 & echo $! > {child}; wait"
    with pytest.raises(LabError, match="longer than 1 s") as caught:
        run(["sh", "-c", script], doing="wait", timeout_s=0.7)
    assert caught.value.context["log"] == ["before"]
    with _pidfd(int(child.read_text())) as ended:
        assert select.select([ended], [], [], 5)[0], "the child of the program lives on"


@contextmanager
def _pidfd(pid: int) -> Iterator[int]:
    """A descriptor that is readable once the process has ended; one that always is, if it is gone already."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_a_failed_program_says_its_last_line():
    with pytest.raises(LabError, match="ended with 3: no space"):
        run(["sh", "-c", "echo one; echo no space >&2; exit 3"], doing="copy", timeout_s=5)


def test_a_missing_program_is_named():
    with pytest.raises(LabError, match="no-such-program is not installed"):
        run(["no-such-program"], doing="copy", timeout_s=5)
