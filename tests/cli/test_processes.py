"""Several processes on one store, signals, and pipes: what only real processes can show."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from cli.failure import report
from cli.session import Session
from tests.cli.conftest import COMMAND, ROOT, Hikube
from tests.cli.test_stories import TRAIN, fleet

LIMIT_S = 30.0
QUEUED = (
    "gpu",
    "vm",
    "create",
    "second",
    "--gpu",
    "l40s",
    "--image",
    "tiny",
    "--disk-size",
    "4Gi",
    "--queue",
    "--timeout",
    "60s",
)

__all__ = ["fleet"]


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for it, with a bound."""
    deadline = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline, f"not in {LIMIT_S} s: {what}"
        time.sleep(0.02)


def holder_pid() -> int:
    holder = Session().controller_lock().holder()
    return holder.pid if holder is not None else 0


@pytest.fixture
def started(fleet: Hikube) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts commands; those that still run at the end are ended."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        running.append(fleet.start(*arguments))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def phase_of(fleet: Hikube, name: str) -> str:
    items = Session().raw("VirtualMachine")
    return next((item["status"]["phase"] for item in items if item["metadata"]["name"] == name), "absent")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_detaches_and_says_how_to_come_back(
    fleet: Hikube, started: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    assert fleet(*TRAIN).code == 0
    process = started(*QUEUED)
    until(lambda: holder_pid() == process.pid, "the command runs the control loop")
    process.send_signal(number)
    _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert "Detached" in err
    assert "come back:  hikube wait virtualmachine/second --for=condition=Ready" in err
    assert "cancel:     hikube delete virtualmachine/second" in err
    assert phase_of(fleet, "second") == "Pending"
    assert fleet("gpu", "vm", "delete", "train").code == 0
    assert fleet("wait", "virtualmachine/second", "--for=condition=Ready", "--timeout", "60s").code == 0


def test_one_controller_a_store_and_others_watch_it(fleet: Hikube, started: Callable[..., subprocess.Popen[str]]) -> None:
    controller = started("controller")
    until(lambda: holder_pid() == controller.pid, "the controller holds the lock")
    second = fleet.process("controller")
    assert second.code == 5
    assert "HK-CONTROLLER-001" in second.err
    assert "hikube controller (process PID)" in second.err
    created = fleet.process(*TRAIN)
    assert created.code == 0
    assert "(the control loop runs in process PID (hikube controller); watching)" in created.err
    assert created.err.count("  ok   ") == 12
    controller.send_signal(signal.SIGTERM)
    _, err = controller.communicate(timeout=LIMIT_S)
    assert controller.returncode == 0
    assert "VirtualMachine default/train: verify ok" in err
    assert "nothing was undone" in err


def test_whoever_waits_takes_over_when_the_controller_dies(
    fleet: Hikube, started: Callable[..., subprocess.Popen[str]]
) -> None:
    assert fleet(*TRAIN).code == 0
    controller = started("controller")
    until(lambda: holder_pid() == controller.pid, "the controller holds the lock")
    waiting = started(*QUEUED)
    until(lambda: phase_of(fleet, "second") == "Pending", "the second VM is stored")
    controller.kill()
    controller.communicate(timeout=LIMIT_S)
    until(lambda: holder_pid() == waiting.pid, "the waiting command takes over")
    assert fleet.process("gpu", "vm", "delete", "train").code == 0
    assert waiting.wait(timeout=LIMIT_S) == 0
    assert phase_of(fleet, "second") == "Ready"


def test_a_watch_prints_what_changes(fleet: Hikube, started: Callable[..., subprocess.Popen[str]]) -> None:
    watch = started("gpu", "vm", "list", "-w", "-o", "json")
    assert fleet(*TRAIN).code == 0
    assert watch.stdout is not None
    lines = iter(watch.stdout.readline, "")
    assert any('"phase":"Ready"' in line for line in lines)
    watch.send_signal(signal.SIGINT)
    assert watch.wait(timeout=LIMIT_S) == 130


class Terminal:
    """A command at a terminal: what it writes there, and a person who types."""

    def __init__(self, *arguments: str) -> None:
        ours, its = pty.openpty()
        self._ours = ours
        self.shown = ""
        self.process = subprocess.Popen([*COMMAND, *arguments], stdin=its, stdout=subprocess.PIPE, stderr=its, cwd=ROOT)
        os.close(its)

    def expect(self, text: str) -> None:
        """Read until the text is there."""
        while text not in self.shown:
            readable, _, _ = select.select([self._ours], [], [], LIMIT_S)
            assert readable, f"{text!r} is not in {self.shown!r}"
            self.shown += os.read(self._ours, 65536).decode()

    def type(self, line: str) -> None:
        os.write(self._ours, f"{line}\n".encode())

    def end(self) -> tuple[int, str]:
        """Exit code and stdout."""
        out, _ = self.process.communicate(timeout=LIMIT_S)
        os.close(self._ours)
        return self.process.returncode, out.decode()


def answer_all(terminal: Terminal, *, name: str) -> None:
    terminal.expect("GPU model? [l40s]")
    terminal.type("")
    terminal.expect("How many? [1]")
    terminal.type("1")
    terminal.expect("Name of the VM? [gpu-1]")
    terminal.type(name)
    terminal.expect("Image?")
    terminal.type("tiny")
    terminal.expect("Instance type? [u1.xlarge]")
    terminal.type("")
    terminal.expect("Size of the disk? [20Gi]")
    terminal.type("4Gi")


def test_without_options_a_person_is_asked(fleet: Hikube) -> None:
    terminal = Terminal("gpu", "vm", "create")
    answer_all(terminal, name="asked")
    terminal.expect("Plan  asked on sim (0000:41:00.0")
    terminal.expect("Create? [y/N]")
    terminal.type("y")
    terminal.expect("logs:    hikube gpu vm logs asked")
    assert terminal.end() == (0, "asked Ready sim 192.168.122.245\n")


def test_a_no_creates_nothing(fleet: Hikube) -> None:
    terminal = Terminal("gpu", "vm", "create")
    answer_all(terminal, name="refused")
    terminal.expect("Create? [y/N]")
    terminal.type("")
    terminal.expect("nothing was created")
    assert terminal.end() == (130, "")
    assert fleet("gpu", "vm", "list", "-o", "name").out == ""


def test_deleting_all_needs_a_yes(fleet: Hikube) -> None:
    assert fleet(*TRAIN).code == 0
    assert fleet("delete", "vm", "--all").code == 2
    terminal = Terminal("delete", "vm", "--all")
    terminal.expect("Delete 1 x VirtualMachine: train? [y/N]")
    terminal.type("n")
    terminal.expect("nothing was changed")
    assert terminal.end() == (130, "")
    assert fleet("delete", "vm", "--all", "--yes").out == "virtualmachine/train deleted\n"


def test_a_reader_that_has_enough_is_no_error(hikube: Hikube) -> None:
    command = " ".join([*[f"'{word}'" for word in COMMAND], "image", "list", "-o", "json", "|", "head", "-1"])
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_documents_come_from_stdin(hikube: Hikube) -> None:
    text = b"apiVersion: hikube.cloud/v1alpha1\nkind: Image\nmetadata: {name: a}\nspec: {url: 'file:///tmp/a.qcow2'}\n"
    assert hikube.process("apply", "-f", "-", stdin=text).out == "image/a created\n"
    assert hikube.process("delete", "-f", "-", stdin=text).out == "image/a deleted\n"


def test_a_bug_goes_to_a_file_and_its_path_is_printed(hikube: Hikube, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise KeyError("surprise")
    except KeyError as bug:
        code = report(bug, ["gpu", "vm", "list"])
    err = hikube.steady(capsys.readouterr().err)
    assert code == 1
    assert "a bug in hikube: KeyError: 'surprise'  [HK-INTERNAL-001]" in err
    assert "the traceback is in HOME/data/logs/crash-WHEN.log" in err
    (log,) = (hikube.home / "data" / "logs").glob("crash-*.log")
    assert "hikube gpu vm list" in log.read_text()
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_a_store_that_cannot_be_used_is_said_plainly(hikube: Hikube) -> None:
    (hikube.home / "data").mkdir()
    (hikube.home / "data" / "hikube.db").write_bytes(os.urandom(8192))
    result = hikube("gpu", "vm", "list")
    assert result.code == 9
    assert "HK-STORE-001" in result.err
    assert "Traceback" not in result.err


def test_the_module_ends_with_the_code_of_the_command(hikube: Hikube) -> None:
    assert sys.executable == COMMAND[0]
    assert hikube.process("get", "vm", "nobody").code == 11
    assert hikube.process("--version").code == 0
