"""One process at a time runs the control loop, and the others can see who."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner.clocks import ManualClock
from provisioner.model.clock import timestamp
from provisioner.model.errors import ControllerBusy
from provisioner.store.sqlite import ControllerLock

HOLD = """
import sys
from pathlib import Path
from provisioner.clocks import SystemClock
from provisioner.store.sqlite import ControllerLock
lock = ControllerLock(Path(sys.argv[1]), clock=SystemClock(), command="hikube controller")
print(lock.try_acquire(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lock(path: Path) -> Iterator[ControllerLock]:
    made = ControllerLock(path, clock=ManualClock(1_000_000.0), command="hikube apply")
    yield made
    made.release()


@contextmanager
def another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that tries to take the lock, says whether it could, and keeps it."""
    arguments = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def command(lock: ControllerLock) -> str:
    holder = lock.holder()
    return holder.command if holder else ""


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_it_is_free_at_first_and_nobody_holds_it(lock, path):
    assert lock.holder() is None
    assert not path.parent.exists()


def test_the_holder_is_told_with_since_when(lock):
    assert lock.try_acquire()
    holder = lock.holder()
    assert (holder.command, holder.since) == ("hikube apply", timestamp(1_000_000.0))


def test_taking_it_twice_is_fine(lock):
    assert lock.try_acquire()
    assert lock.try_acquire()


def test_another_object_of_the_same_process_cannot_have_it(lock, path):
    lock.acquire()
    assert not ControllerLock(path, clock=ManualClock(), command="second").try_acquire()


def test_released_it_is_free(lock, path):
    lock.acquire()
    lock.release()
    lock.release()
    assert lock.holder() is None
    with ControllerLock(path, clock=ManualClock(), command="second") as second:
        assert command(second) == "second"
    assert lock.try_acquire()


def test_another_process_holds_it_until_it_dies(lock, path):
    with another_process(path) as process:
        assert said(process) == "True"
        assert not lock.try_acquire()
        assert (lock.holder().pid, lock.holder().command) == (process.pid, "hikube controller")
        with pytest.raises(ControllerBusy, match="hikube controller") as refused:
            lock.acquire()
        assert refused.value.context["pid"] == process.pid
        process.kill()
        process.wait(30)
        assert lock.holder() is None
        assert lock.try_acquire()


def test_another_process_cannot_take_what_we_hold(lock, path):
    lock.acquire()
    with another_process(path) as process:
        assert said(process) == "False"


def test_looking_takes_it_from_nobody(lock, path):
    onlooker = ControllerLock(path, clock=ManualClock(), command="onlooker")
    lock.acquire()
    lock.release()
    for _ in range(50):
        assert onlooker.holder() is None
        assert lock.try_acquire()
        assert command(onlooker) == "hikube apply"
        lock.release()


def test_a_very_long_command_is_cut(path):
    with ControllerLock(path, clock=ManualClock(), command="é\n" * 5_000) as lock:
        assert command(lock).startswith("é\né")


def test_its_file_is_private(lock, path):
    lock.acquire()
    assert path.with_name(path.name + ".controller").stat().st_mode & 0o777 == 0o600
