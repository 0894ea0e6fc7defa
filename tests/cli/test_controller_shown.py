"""`hikube controller --listen` and `--log-format json` as processes: probed, scraped, told to end; and what is refused."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cli.conftest import COMMAND, ROOT, Hikube
from tests.cli.test_stories import TRAIN, fleet
from tests.server.scraping import Samples, get

LIMIT_S = 60.0
NOBODY = """
apiVersion: v1
kind: Config
current-context: nobody
contexts: [{name: nobody, context: {cluster: nobody, user: nobody}}]
clusters: [{name: nobody, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: nobody, user: {token: none}}]
"""

__all__ = ["fleet"]


class Running:
    """A controller that was started; what it says is read as it says it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def url(self) -> str:
        """Where it says that it listens."""
        until(lambda: self._urls() != [], "it says where it listens")
        return self._urls()[0]

    def _urls(self) -> list[str]:
        return re.findall(r"metrics and health are at (http://[^\s\"]+)", "".join(self.lines))

    def end(self) -> int:
        """Ask it to; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(LIMIT_S)
        self._reader.join(LIMIT_S)
        return code


@pytest.fixture
def started(hikube: Hikube) -> Iterator[Callable[..., Running]]:
    """Starts controllers; those that still run at the end are killed."""
    running: list[Running] = []

    def start(*arguments: str) -> Running:
        running.append(Running(hikube.start(*arguments)))
        return running[-1]

    yield start
    for each in running:
        each.process.kill()
        each.process.wait(LIMIT_S)
        for stream in (each.process.stdout, each.process.stderr):
            assert stream is not None
            stream.close()


def until(holds: Callable[[], bool], what: str) -> None:
    deadline_s, pause = time.monotonic() + LIMIT_S, threading.Event()
    while not holds():
        assert time.monotonic() < deadline_s, f"not in {LIMIT_S} s: {what}"
        pause.wait(0.05)


def test_a_controller_is_probed_scraped_and_ended(fleet: Hikube, started: Callable[..., Running]) -> None:
    controller = started("controller", "--listen", "127.0.0.1:0", "--log-format", "json")
    url = controller.url()
    until(lambda: get(f"{url}/readyz").status == 200, "it is ready")
    assert get(f"{url}/healthz").text.startswith("ok: the loop turned")
    assert fleet(*TRAIN).code == 0

    def samples() -> Samples:
        return Samples(get(f"{url}/metrics").text)

    until(lambda: samples()("hikube_vms", kind="VirtualMachine", phase="Ready") == 1, "the VM is counted")
    assert samples()("hikube_leader") == 1
    assert controller.end() == 0
    with pytest.raises(OSError):  # noqa: PT011  # whatever the kernel calls it
        get(f"{url}/healthz")
    entries: list[dict[str, Any]] = [json.loads(line) for line in controller.lines]
    assert all(entry.keys() >= {"time", "level", "logger", "message"} for entry in entries)
    ready = next(entry for entry in entries if entry.get("step") == "ready")
    assert (ready["key"], ready["level"]) == ("VirtualMachine default/train", "info")
    assert "the control loop has ended" in entries[-1]["message"]


def test_a_replica_that_waits_for_its_lease_says_so(hikube: Hikube, started: Callable[..., Running]) -> None:
    path = hikube.file("nobody.yaml", NOBODY)
    controller = started("controller", "--store", "kubernetes", "--kubeconfig", path, "--listen", "127.0.0.1:0")
    url = controller.url()
    ready = get(f"{url}/readyz")
    assert (ready.status, ready.text) == (200, "ok: waits for the lease of the control loop\n")
    assert get(f"{url}/healthz").status == 200
    samples = Samples(get(f"{url}/metrics").text)
    assert samples("hikube_leader") == samples("hikube_fleet_known") == 0
    assert samples.total("hikube_build_info", store="kubernetes") == 1
    assert controller.end() == 0


def test_a_port_that_is_taken_is_told_at_once(hikube: Hikube) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = hikube.process("controller", "--listen", f"127.0.0.1:{port}")
    assert refused.code == 5
    assert f"127.0.0.1:{port} is taken" in refused.err
    assert "hint: another program listens there" in refused.err


def test_where_to_listen_can_stand_in_the_environment(hikube: Hikube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIKUBE_LISTEN", "here")
    refused = hikube("controller")
    assert refused.code == 2
    assert "'here' is not an address with a port" in refused.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen", "8080"], "'8080' is not an address with a port"),
        (["--listen", ":8080"], "':8080' is not an address with a port"),
        (["--listen", "::1:8080"], "[::1]:8080"),
        (["--listen", "127.0.0.1:99999"], "there is no port 99999"),
        (["--listen", "192.0.2.1:8080"], "nothing can listen at 192.0.2.1:8080"),
        (["--log-format", "xml"], "text or json"),
    ],
)
def test_bad_options_are_refused(hikube: Hikube, arguments: list[str], said: str) -> None:
    refused = hikube("controller", *arguments)
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert "Traceback" not in refused.err


def test_without_listen_nothing_of_it_is_loaded(hikube: Hikube) -> None:
    script = (
        "import sys, cli.controller, provisioner.lifecycle.assembly, provisioner.lifecycle.controller;"
        "print([name for name in sys.modules if name.startswith(('server', 'prometheus_client'))])"
    )
    done = subprocess.run([COMMAND[0], "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    assert done.stdout == "[]\n"
