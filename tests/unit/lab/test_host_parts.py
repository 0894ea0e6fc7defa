"""The small parts around a host in a box: access, verdicts, time, mirrors, the boot sector, processes."""

import json
import os
import select
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


def test_a_boot_sector_has_one_active_partition_that_fills_the_disk():
    sector = boot_sector(b"\xeb" * 512, size_mib=2048)
    assert len(sector) == 512
    assert sector[510:] == b"\x55\xaa"
    assert sector[446] == 0x80
    assert int.from_bytes(sector[454:458], "little") == 2048
    assert int.from_bytes(sector[458:462], "little") == 2048 * 2048 - 2048


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
