"""`hikube gpu vm console` at a terminal and without one, on a simulated host: typing, leaving, every way to end."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import termios
from collections.abc import Callable, Iterator

import pytest

from provisioner.clocks import SystemClock
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.host import SimulatedHost
from tests.cli.conftest import COMMAND, ROOT, Hikube
from tests.cli.test_processes import until
from tests.cli.test_stories import TRAIN, fleet

LIMIT_S = 30.0
CONSOLE = ("gpu", "vm", "console", "train")
LEAVE = "\x1d"

__all__ = ["fleet"]


@pytest.fixture
def train(fleet: Hikube) -> Hikube:
    """A VM that is ready."""
    assert fleet(*TRAIN).code == 0
    return fleet


@pytest.fixture
def sim(train: Hikube) -> SimulatedHost:
    """The host that it is on."""
    return SimulatedFleet(SystemClock()).at(f"simulated://l40s?state={train.home}/sim.json")


class Seat:
    """A person at a terminal with the command running on it."""

    def __init__(self, *arguments: str) -> None:
        self._ours, self._its = pty.openpty()
        self.shown = ""
        self.before = termios.tcgetattr(self._its)
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdin=self._its, stdout=self._its, stderr=self._its, cwd=ROOT, start_new_session=True
        )

    def expect(self, text: str) -> Seat:
        """Read until the text is there."""
        while text not in self.shown:
            readable, _, _ = select.select([self._ours], [], [], LIMIT_S)
            assert readable, f"{text!r} is not in {self.shown!r}"
            self.shown += os.read(self._ours, 65536).decode()
        return self

    def type(self, keys: str) -> Seat:
        os.write(self._ours, keys.encode())
        return self

    def attached(self) -> Seat:
        """Wait until every key goes to the guest and comes back from it."""
        self.expect("attached to train; Ctrl-] leaves").expect("login:")
        until(self.is_raw, "the terminal is raw")
        return self.type("ready?").expect("ready?")

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self._its)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._its) == self.before

    def end(self) -> int:
        """Wait for the end; its exit code."""
        return self.process.wait(LIMIT_S)

    def leave(self) -> None:
        """Give the terminal back."""
        self.process.kill()
        self.process.wait(LIMIT_S)
        os.close(self._ours)
        os.close(self._its)


@pytest.fixture
def sit() -> Iterator[Callable[..., Seat]]:
    seats: list[Seat] = []

    def down(*arguments: str) -> Seat:
        seats.append(Seat(*arguments))
        return seats[-1]

    yield down
    for seat in seats:
        seat.leave()


Sit = Callable[..., Seat]


def test_a_person_types_and_leaves(train: Hikube, sit: Sit) -> None:
    seat = sit(*CONSOLE).attached()
    seat.type("ls -l\r\x03").expect("ls -l\r\n\x03")
    seat.type(f"last words{LEAVE}not sent").expect("\ndetached")
    assert seat.end() == 0
    assert seat.is_as_before()
    logged = train("gpu", "vm", "logs", "train", "--no-events").out
    assert "last words" in logged
    assert "not sent" not in logged


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_as_it_was(train: Hikube, sit: Sit, number: signal.Signals) -> None:
    seat = sit(*CONSOLE).attached()
    seat.process.send_signal(number)
    assert seat.end() == 128 + number
    assert seat.is_as_before()
    sit(*CONSOLE).attached()


def test_a_vm_that_stops_ends_it(train: Hikube, sit: Sit) -> None:
    seat = sit(*CONSOLE).attached()
    assert train("gpu", "vm", "stop", "train").code == 0
    seat.expect("the VM has stopped")
    assert seat.end() == 0
    assert seat.is_as_before()
    refused = train(*CONSOLE)
    assert refused.code == 8
    assert "VM train has no console yet" in refused.err


def test_a_host_that_goes_away_ends_it_with_an_error(sim: SimulatedHost, sit: Sit) -> None:
    seat = sit(*CONSOLE).attached()
    sim.set_link("down")
    seat.expect("HK-HOST-001")
    assert seat.end() == 9
    assert seat.is_as_before()


def test_one_at_a_time_unless_forced(train: Hikube, sit: Sit) -> None:
    first = sit(*CONSOLE).attached()
    refused = train.process(*CONSOLE)
    assert refused.code == 5
    assert "somebody is attached to the console of train" in refused.err
    assert "--force takes it over" in refused.err
    second = sit(*CONSOLE, "--force").attached()
    first.expect("somebody else has taken it over")
    assert first.end() == 5
    assert first.is_as_before()
    second.type(LEAVE)
    assert second.end() == 0


def test_without_a_terminal_stdin_is_copied_to_the_guest_and_its_answers_to_stdout(train: Hikube) -> None:
    done = train.process(*CONSOLE, "--lines", "1", stdin=b"one\ntwo\x1d\n")
    assert done.code == 0
    assert done.out == "cloud-init: Cloud-init finished\none\r\ntwo\x1d\r\n"
    assert done.err == "attached to train; copying stdin to it\ndetached\n"


def test_a_reader_that_has_enough_ends_it(train: Hikube) -> None:
    script = f"sleep 60 | {' '.join(repr(word) for word in COMMAND)} {' '.join(CONSOLE)} --lines 1000 | head -1"
    process = subprocess.Popen(
        ["bash", "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert "SeaBIOS" in process.stdout.readline()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=LIMIT_S)


def test_any_number_can_look_on(train: Hikube, sit: Sit) -> None:
    typing = sit(*CONSOLE).attached()
    looking = [sit(*CONSOLE, flag).expect("login:") for flag in ("--read-only", "--follow")]
    typing.type("for all to see\r")
    for seat in looking:
        assert not seat.is_raw()
        seat.expect("for all to see").process.send_signal(signal.SIGINT)
        assert seat.end() == 130
    typing.type(LEAVE)
    assert typing.end() == 0
