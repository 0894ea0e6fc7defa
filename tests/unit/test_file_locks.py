"""Locks between processes: by flock, and by the library that stands in where there is none. One suite for both."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from provisioner.file_locks import FileLock, WithFlock, WithLibrary, file_lock

HOLD = """
import sys
from provisioner import file_locks
lock = getattr(file_locks, sys.argv[1])(sys.argv[2])
print(lock.try_acquire(), flush=True)
sys.stdin.read()
"""
PATIENCE_S = 30


@pytest.fixture(params=[WithFlock, WithLibrary])
def kind(request: pytest.FixtureRequest) -> type[FileLock]:
    found: type[FileLock] = request.param
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.lock"


def test_a_system_with_flock_uses_it(path: Path) -> None:
    assert isinstance(file_lock(path), WithFlock)


def test_looking_makes_no_file(kind: type[FileLock], path: Path) -> None:
    assert not kind(path).is_taken()
    assert not path.exists()


def test_one_of_two_has_it(kind: type[FileLock], path: Path) -> None:
    first, second = kind(path), kind(path)
    assert first.try_acquire() and first.try_acquire()
    assert not second.try_acquire()
    assert (first.is_held, second.is_held, second.is_taken()) == (True, False, True)
    first.release()
    first.release()
    assert not second.is_taken()
    assert second.try_acquire()
    second.release()


def test_its_file_is_private(kind: type[FileLock], path: Path) -> None:
    lock = kind(path)
    lock.acquire()
    assert path.stat().st_mode & 0o077 == 0
    lock.release()


def test_whoever_waits_gets_it_when_it_is_free(kind: type[FileLock], path: Path) -> None:
    first, second = kind(path), kind(path)
    first.acquire()
    waiting = threading.Thread(target=second.acquire)
    waiting.start()
    assert not second.is_held
    first.release()
    waiting.join(PATIENCE_S)
    assert second.is_held
    second.release()


def test_another_process_has_it_until_it_dies(kind: type[FileLock], path: Path) -> None:
    argv = [sys.executable, "-c", HOLD, kind.__name__, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "True\n"
            lock = kind(path)
            assert lock.is_taken()
            assert not lock.try_acquire()
            process.kill()
            process.wait(PATIENCE_S)
            lock.acquire()
            assert lock.is_held
            lock.release()
        finally:
            process.kill()
