"""Programs on a host: as a child here, and through a real sshd; each sentence on both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.drivers.host_shell import HostShell, shell_for, why_no_shell
from provisioner.drivers.host_shell.protocol import OUTPUT_LIMIT_BYTES
from provisioner.model.errors import HostTimeout, HostUnreachable, HypervisorError, NotAllowed, Unsupported
from tests.contract.sshd import PROGRAM, Sshd

LIMIT_S = 30.0
SLEEPS = """
import os, time
open(ARGUMENTS["file"], "w").write(str(os.getpid()))
time.sleep(600)
"""


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    if PROGRAM is None:
        pytest.skip("there is no sshd on this machine")
    server = Sshd(tmp_path / "sshd")
    server.folder.mkdir()
    server.authorize()
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["local", "ssh"])
def shell(request: pytest.FixtureRequest) -> HostShell:
    uri = "qemu:///system" if request.param == "local" else request.getfixturevalue("sshd").libvirt_uri()
    found = shell_for(uri)
    assert found is not None
    assert found.source == request.param
    return found


def test_arguments_come_as_they_are_and_the_document_comes_back(shell: HostShell) -> None:
    arguments = {"text": "ä 'quoted' \"twice\" \\ {x} $HOME \n", "numbers": [1, 2.5, None, True], "deep": {"a": {}}}
    program = "import json\nprint(json.dumps(ARGUMENTS))"
    assert shell.run_python(program, arguments=arguments, timeout_s=LIMIT_S) == arguments


def test_it_runs_by_itself_without_the_users_environment(shell: HostShell) -> None:
    program = "import json, sys\nprint(json.dumps([sys.flags.isolated, 'site' in sys.modules]))"
    assert shell.run_python(program, arguments={}, timeout_s=LIMIT_S) == [1, False]


def test_a_program_that_fails_says_why(shell: HostShell) -> None:
    with pytest.raises(HypervisorError, match=r"cannot count: ValueError: not today\Z"):
        shell.run_python("raise ValueError('not today')", arguments={}, timeout_s=LIMIT_S, what="cannot count")


def test_a_program_that_prints_no_document_has_failed(shell: HostShell) -> None:
    with pytest.raises(HypervisorError, match="'hello"):
        shell.run_python("print('hello')", arguments={}, timeout_s=LIMIT_S)


def test_what_it_prints_is_bounded(shell: HostShell) -> None:
    with pytest.raises(HypervisorError, match="more than"):
        shell.run_python(f"while True: print('x' * {OUTPUT_LIMIT_BYTES // 8})", arguments={}, timeout_s=LIMIT_S)


def test_a_program_that_sleeps_is_killed_in_time_and_does_not_stay(shell: HostShell, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    began_s = time.monotonic()
    with pytest.raises(HostTimeout, match="within 3 s"):
        shell.run_python(SLEEPS, arguments={"file": str(file)}, timeout_s=3)
    assert time.monotonic() - began_s < 10
    until(lambda: not Path(f"/proc/{file.read_text()}").exists(), limit_s=10)


def test_a_program_that_is_busy_for_ever_ends_too(shell: HostShell) -> None:
    with pytest.raises(HostTimeout):
        shell.run_python("while True: pass", arguments={}, timeout_s=2)


class TestOverSsh:
    def test_what_a_login_shell_prints_first_is_no_part_of_the_document(self, sshd: Sshd) -> None:
        sshd.answer_with('echo "Welcome to gpu-1"\nexec sh -c "$SSH_ORIGINAL_COMMAND"\n')
        assert shell_at(sshd).run_python("print(5)", arguments={}, timeout_s=LIMIT_S) == 5

    def test_a_host_that_is_away(self, sshd: Sshd) -> None:
        uri = sshd.libvirt_uri()
        sshd.stop()
        with pytest.raises(HostUnreachable, match="Connection refused"):
            of(uri).run_python("print(1)", arguments={}, timeout_s=LIMIT_S)

    def test_a_host_that_does_not_let_us_in(self, sshd: Sshd) -> None:
        sshd.authorized_keys.unlink()
        with pytest.raises(NotAllowed, match="Permission denied"):
            shell_at(sshd).run_python("print(1)", arguments={}, timeout_s=LIMIT_S)

    @pytest.mark.parametrize(
        "answer",
        ["echo 'sh: 1: python3: not found' >&2; exit 127", "echo 'This account is currently not available.'; exit 1"],
    )
    def test_a_host_where_no_program_runs(self, sshd: Sshd, answer: str) -> None:
        sshd.answer_with(answer + "\n")
        with pytest.raises(Unsupported, match=r"not (found|available)"):
            shell_at(sshd).run_python("print(1)", arguments={}, timeout_s=LIMIT_S)

    def test_a_connection_that_breaks_while_it_runs(self, sshd: Sshd) -> None:
        program = "import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)"
        with pytest.raises((HostUnreachable, HypervisorError)):
            shell_at(sshd).run_python(program, arguments={}, timeout_s=5)

    def test_a_host_that_says_nothing(self, sshd: Sshd) -> None:
        sshd.answer_with("exec sleep 60\n")
        with pytest.raises(HostTimeout, match="no answer within 2 s"):
            shell_at(sshd).run_python("print(1)", arguments={}, timeout_s=2)


def test_an_ssh_that_does_not_exist() -> None:
    with pytest.raises(Unsupported, match="No such file"):
        of("qemu+ssh://h/system?command=/no/such/ssh").run_python("print(1)", arguments={}, timeout_s=LIMIT_S)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("test:///default", "test is no host"),
        ("qemu+tls://h/system", "tls"),
        ("qemu://h/system", "tls"),
        ("qemu+tcp://h/system", "tcp"),
        ("qemu:///system?socket=/run/forwarded", "another machine"),
    ],
)
def test_where_no_shell_leads(uri: str, why: str) -> None:
    assert shell_for(uri) is None
    assert why in why_no_shell(uri)


@pytest.mark.parametrize("uri", ["qemu:///system", "qemu+unix:///system", "qemu:///session", "qemu+libssh2://h/system"])
def test_where_one_does(uri: str) -> None:
    assert shell_for(uri) is not None
    assert why_no_shell(uri) == ""


def shell_at(sshd: Sshd) -> HostShell:
    return of(sshd.libvirt_uri())


def of(uri: str) -> HostShell:
    found = shell_for(uri)
    assert found is not None
    return found


def until(holds: Callable[[], bool], *, limit_s: float) -> None:
    deadline_s = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {limit_s:g} s"
