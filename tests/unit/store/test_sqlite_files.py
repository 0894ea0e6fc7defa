"""Who can read the store's files, and what is said when they are not as they should be."""

from __future__ import annotations

import os
import random
import resource
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from provisioner.model.errors import StoreUnavailable
from provisioner.model.gpu_claim import GPUClaim
from provisioner.store.sqlite import SqliteStore, schema
from tests.contract.stores import claim, names

NOBODY = 65534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's power to write everywhere; nothing to do for other users."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


class TestPrivacy:
    @pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
    def test_files_and_directories_are_the_owners_whatever_the_umask(self, path, opened, mask):
        with umask(mask):
            opened().create(claim("a.gpu"))
        assert {mode(path.with_name(path.name + suffix)) for suffix in ("", "-wal", "-shm")} == {0o600}
        assert mode(path.parent) == 0o700

    def test_files_that_were_left_wide_are_narrowed(self, path, opened):
        opened().close()
        path.chmod(0o644)
        opened()
        assert mode(path) == 0o600

    def test_a_directory_that_exists_is_left_alone(self, tmp_path, opened):
        tmp_path.chmod(0o755)
        opened(tmp_path / "hikube.db")
        assert mode(tmp_path) == 0o755

    def test_removed_secrets_do_not_linger_in_the_file(self, path, opened):
        from tests.contract.stores import secret

        store = opened()
        created = store.create(secret("access", hostKey="-----PRIVATE-----" * 500))
        store.delete(created.key)
        store.close()
        assert b"PRIVATE" not in path.read_bytes()


class TestOpening:
    def test_it_can_be_opened_again_and_again(self, opened):
        opened().create(claim("a.gpu"))
        assert names(opened(), GPUClaim) == ["a.gpu"]
        assert names(opened(), GPUClaim) == ["a.gpu"]

    def test_after_a_change_of_the_working_directory_it_is_the_same_file(self, path, opened, monkeypatch):
        path.parent.mkdir()
        monkeypatch.chdir(path.parent)
        store = opened(Path(path.name))
        monkeypatch.chdir("/")
        with store._database.connection(), store._database.connection():
            store.create(claim("a.gpu"))
        assert names(opened(), GPUClaim) == ["a.gpu"]

    def test_a_newer_version_is_refused_with_what_to_do(self, path, opened):
        opened().close()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
        with pytest.raises(StoreUnavailable, match=f"version {schema.VERSION + 1}") as refused:
            opened()
        assert "newer hikube" in refused.value.hint

    def test_another_programs_database_is_refused_and_left_alone(self, path, opened):
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE cookies (name TEXT)")
        before = path.read_bytes()
        with pytest.raises(StoreUnavailable, match="another program"):
            opened()
        assert path.read_bytes() == before

    @pytest.mark.parametrize("content", [b"this is no database, but long enough to be looked at " * 40, b"\0" * 4096])
    def test_what_is_no_database_is_refused_with_what_to_do(self, path, opened, content):
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(StoreUnavailable) as refused:
            opened()
        assert "move the file away" in refused.value.hint
        assert path.read_bytes() == content

    def test_a_damaged_database_says_so_and_what_to_do(self, path, opened):
        store = opened()
        for number in range(50):
            store.create(claim(f"gpu-{number}"))
        store.close()
        content = bytearray(path.read_bytes())
        content[4096:] = random.Random(1).randbytes(len(content) - 4096)
        path.write_bytes(content)
        with pytest.raises(StoreUnavailable) as refused:
            opened().list(GPUClaim)
        assert "move the file away" in refused.value.hint

    def test_an_empty_file_becomes_a_store(self, path, opened):
        path.parent.mkdir()
        path.touch()
        opened().create(claim("a.gpu"))
        assert names(opened(), GPUClaim) == ["a.gpu"]

    def test_a_directory_is_no_store(self, tmp_path, opened):
        with pytest.raises(StoreUnavailable):
            opened(tmp_path)

    def test_a_path_below_a_file_is_no_store(self, tmp_path, opened):
        (tmp_path / "file").touch()
        with pytest.raises(StoreUnavailable, match="Not a directory"):
            opened(tmp_path / "file" / "hikube.db")


class TestBadDisks:
    @pytest.fixture
    def shared(self) -> Iterator[Path]:
        """A directory that an unprivileged user can reach too."""
        with tempfile.TemporaryDirectory() as name:
            Path(name).chmod(0o777)
            yield Path(name)

    def test_a_file_that_cannot_be_written_is_unavailable(self, shared):
        path = shared / "hikube.db"
        make(path).close()
        path.chmod(0o444)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        with as_nobody(), pytest.raises(StoreUnavailable) as refused, closing(make(path)) as store:
            store.create(claim("a.gpu"))
        assert "writable" in refused.value.hint

    def test_a_directory_that_cannot_be_written_is_unavailable(self, shared):
        shared.chmod(0o555)
        with as_nobody(), pytest.raises(StoreUnavailable, match="Permission denied"):
            make(shared / "data" / "hikube.db")

    def test_a_full_disk_is_unavailable_and_what_was_there_stays(self, path):
        outcome = subprocess.run(
            [sys.executable, "-c", FILL, str(path)], capture_output=True, text=True, timeout=60, check=False
        )
        assert outcome.stdout.split() == ["StoreUnavailable", "readable"], outcome.stderr
        with closing(make(path)) as store:
            stored = names(store, GPUClaim)
            assert stored == sorted(f"gpu-{number:05}" for number in range(len(stored)))
            assert stored

    def test_no_space_left_is_said_with_what_to_do(self, tmp_path):
        disk = tmp_path / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", disk], capture_output=True, check=False)
        if mounted.returncode:
            pytest.skip("mounting a small disk needs root")
        try:
            with closing(make(disk / "hikube.db")) as store, pytest.raises(StoreUnavailable, match="full") as refused:
                fill(store)
            assert "make room" in refused.value.hint
        finally:
            subprocess.run(["umount", disk], check=True)


FILL = f"""
import resource, sys
from pathlib import Path
from provisioner.model.errors import StoreUnavailable
from provisioner.model.gpu_claim import GPUClaim
from tests.unit.store.test_sqlite_files import fill, make
store = make(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, {resource.RLIM_INFINITY}))
try:
    fill(store)
except StoreUnavailable as error:
    print(type(error).__name__)
assert store.list(GPUClaim).items
print("readable")
"""


def make(path: Path) -> SqliteStore:
    from provisioner.clocks import ManualClock, SeededIdentifiers

    return SqliteStore(path, clock=ManualClock(), identifiers=SeededIdentifiers())


def fill(store: SqliteStore) -> None:
    """More than fits."""
    for number in range(2_000):
        store.create(claim(f"gpu-{number:05}"))
