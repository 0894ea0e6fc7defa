"""A command that waits on a cluster outlives its API server's absence, within its own time."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from provisioner.model.errors import StillPending
from provisioner.model.metadata import Condition
from provisioner.model.virtual_machine import VirtualMachine
from tests.contract.stores import eventually, vm
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.replicas import HIKUBE, ROOT
from tests.kubernetes.stores import store_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class Waiting:
    """A process of `hikube wait`."""

    def __init__(self, plane: ControlPlane, home: Path, namespace: str, *, timeout: str) -> None:
        what = ("wait", "vm/trainer", "--namespace", namespace, "--for=condition=Ready", "--timeout", timeout)
        choice = {"HIKUBE_STORE": "kubernetes", "HIKUBE_KUBECONFIG": str(plane.kubeconfig), "HIKUBE_DATA_DIR": str(home)}
        environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **choice}
        self._said = home / "said"
        with self._said.open("w") as said:
            self._process = subprocess.Popen([*HIKUBE, *what], env=environment, cwd=home, stdout=said, stderr=said)

    @property
    def said(self) -> str:
        """All that it has said."""
        return self._said.read_text()

    def ends(self) -> int:
        """Its exit code."""
        return self._process.wait(timeout=120)

    def stop(self) -> None:
        """Whatever it does."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def start(plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Callable[[str], Waiting]]:
    """Begins to wait, with that much time; ended with the test."""
    with ExitStack() as ending:

        def start(timeout: str) -> Waiting:
            waiting = Waiting(plane, tmp_path, namespace, timeout=timeout)
            ending.callback(waiting.stop)
            return waiting

        yield start


@pytest.fixture
def plane(kinds: ControlPlane, namespace: str) -> ControlPlane:
    """With a VM that nobody works on."""
    with store_of(kinds) as store:
        store.create(vm(namespace=namespace))
    return kinds


def test_it_goes_on_when_the_server_is_back(plane, namespace, start):
    waiting = start("100s")
    assert eventually(lambda: "watching" in waiting.said)
    plane.api_server.kill()
    assert eventually(lambda: "does not answer; waiting for it" in waiting.said)
    plane.heal()
    ready = Condition(type="Ready", status="True", reason="Done", observed_generation=1)
    with store_of(plane) as store:
        machine = store.get(VirtualMachine, "trainer", namespace=namespace)
        store.update_status(machine.with_status(conditions=(ready,), observed_generation=1))
    assert waiting.ends() == 0
    assert waiting.said.count("waiting for it") == 1


def test_its_own_time_ends_it_and_says_what_is_away(plane, start):
    waiting = start("12s")
    assert eventually(lambda: "watching" in waiting.said)
    plane.api_server.kill()
    try:
        assert waiting.ends() == StillPending.exit_code
    finally:
        plane.heal()
    assert "does not answer" in waiting.said.split("Error:")[1]
