"""What a program on a host answers becomes values and errors; a shell that answers as it is told stands in for the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from provisioner.drivers.host_shell.devices import ShellDevices
from provisioner.drivers.host_shell.examining import examine, time_there_s
from provisioner.drivers.host_shell.protocol import Source
from provisioner.model.errors import (
    DeviceBusy,
    HikubeError,
    HostTimeout,
    HostUnreachable,
    HypervisorError,
    NotAllowed,
    NotFound,
    Unsupported,
)
from provisioner.model.examination import HostExamination, ScrubResult

GPU = "0000:41:00.0"


class Told:
    """Answers with what it was given, or raises it; remembers what it was asked."""

    source: Source = "ssh"

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: dict[str, Any] = {}

    def run_python(self, program: str, *, arguments: Mapping[str, Any], timeout_s: float, what: str = "") -> Any:
        self.asked = {"timeout_s": timeout_s, **arguments}
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        ("not-found", NotFound),
        ("busy", DeviceBusy),
        ("timed-out", HostTimeout),
        ("unsupported", Unsupported),
        ("failed", HypervisorError),
    ],
)
def test_every_no_has_its_class_with_the_hosts_words(outcome: str, error: type[HikubeError]) -> None:
    shell = Told({"outcome": outcome, "why": "because", "holders": [{"pid": 1, "command": "x", "path": "/dev/dri/card0"}]})
    with pytest.raises(error) as caught:
        ShellDevices(shell).restore(GPU, driver="nvidia", override="", timeout_s=60)
    assert type(caught.value) is error
    assert str(caught.value) == f"cannot give {GPU} back to nvidia: because"
    assert caught.value.context["holders"][0]["command"] == "x"


def test_what_is_done_comes_back_as_a_value() -> None:
    assert ShellDevices(Told({"outcome": "done", "driver": "vfio-pci"})).bind_vfio(GPU, timeout_s=60) == "vfio-pci"
    assert ShellDevices(Told({"outcome": "done", "method": "flr"})).reset(GPU, timeout_s=60) == "flr"
    scrubbed = {"outcome": "done", "exit_status": 1, "output_tail": "no", "duration_s": 2.5}
    result = ShellDevices(Told(scrubbed)).scrub(GPU, command="wipe {address}", timeout_s=60)
    assert result == ScrubResult(exit_status=1, output_tail="no", duration_s=2.5)


def test_what_is_asked_is_what_was_said_with_time_left_for_the_answer() -> None:
    shell = Told({"outcome": "done", "driver": ""})
    ShellDevices(shell).restore(GPU, driver="", override="none", timeout_s=60)
    assert shell.asked == {
        "operation": "restore", "address": GPU, "limit_s": 50.0, "driver": "", "override": "none", "timeout_s": 60,
    }  # fmt: skip
    assert time_there_s(4) == 3


@pytest.mark.parametrize("error", [Unsupported("no", why="python3: not found"), NotAllowed("no", why="Permission denied")])
def test_where_no_program_can_run_there_is_no_answer_and_the_examination_says_why(error: HikubeError) -> None:
    devices = ShellDevices(Told(error))
    assert devices.bind_vfio(GPU, timeout_s=9) is None
    assert devices.reset(GPU, timeout_s=9) is None
    assert devices.scrub(GPU, command="x", timeout_s=9) is None
    assert examine(Told(error), [GPU], timeout_s=9) == HostExamination(why_not=error.why)


def test_a_user_who_is_not_root_has_touched_nothing_and_another_way_is_taken() -> None:
    assert ShellDevices(Told({"outcome": "not-allowed", "why": "not root"})).bind_vfio(GPU, timeout_s=9) is None


def test_a_host_that_does_not_answer_is_an_error_of_its_own() -> None:
    for error in (HostUnreachable("away"), HostTimeout("slow")):
        with pytest.raises(type(error)):
            ShellDevices(Told(error)).bind_vfio(GPU, timeout_s=9)
        with pytest.raises(type(error)):
            examine(Told(error), [GPU], timeout_s=9)


@pytest.mark.parametrize("answer", [None, [], "done", {"outcome": "perhaps"}, {}])
def test_an_answer_that_is_none(answer: Any) -> None:
    with pytest.raises(HypervisorError, match="cannot be understood"):
        ShellDevices(Told(answer)).bind_vfio(GPU, timeout_s=9)


@pytest.mark.parametrize("answer", [None, [], {"boot_id": 7}, {"no_such_fact": 1}])
def test_an_examination_that_is_none(answer: Any) -> None:
    with pytest.raises(HypervisorError, match="cannot be understood"):
        examine(Told(answer), [GPU], timeout_s=9)


def test_an_examination_by_somebody_who_is_not_root() -> None:
    assert examine(Told({"why_not": "not root"}), [], timeout_s=9) == HostExamination(why_not="not root")
