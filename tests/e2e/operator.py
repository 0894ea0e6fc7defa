"""An operator in front of the box: the real command line on the rig's store, and a control loop that runs beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Condition, find_condition
from provisioner.model.virtual_machine import VirtualMachine
from tests.e2e.keeper import answers
from tests.e2e.rig import BOX_CHECK_S, CONTROLLER_LIMIT_S, Rig

COMMAND_LIMIT_S = 600
END_LIMIT_S = 120
POLL_S = 0.5
ANSWER_CHECK_S = 60.0
"""Between two questions whether the box still answers: under emulation a host can stop without dying."""


class Operator:
    """What a person at a terminal does and sees."""

    def __init__(self, rig: Rig, *, kubeconfig: Path | None = None) -> None:
        """With a kubeconfig the store is that cluster, else the rig's file."""
        self.rig = rig
        self._environment = os.environ | {
            "HIKUBE_DATA_DIR": str(rig.database.parent),
            "HIKUBE_CACHE_DIR": str(rig.cache),
            "HIKUBE_CONFIG_DIR": str(rig.database.parent / "config"),
        }
        if kubeconfig is not None:
            self._environment |= {"HIKUBE_STORE": "kubernetes", "HIKUBE_KUBECONFIG": str(kubeconfig)}

    def types(self, *words: str, exits: int = 0) -> str:
        """Run `hikube …`; its stdout. It must end with that exit code."""
        begun_s = time.monotonic()
        done = subprocess.run(
            [str(Path(sys.executable).parent / "hikube"), *words],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
        print(f"{time.monotonic() - begun_s:6.1f} s $ hikube {' '.join(words)}\n{done.stdout}{done.stderr}")
        assert done.returncode == exits, f"exit {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def doctor(self, *, exits: int) -> dict[str, list[str]]:
        """Codes of the findings that are errors or warnings, each with what it says of whom."""
        told = json.loads(self.types("host", "doctor", "box", "-o", "json", exits=exits))
        found: dict[str, list[str]] = {}
        for finding in _findings(told):
            if finding["severity"] != "info":
                found.setdefault(finding["code"], []).append(f"{finding['subject']}: {finding['message']}")
        return found

    @contextmanager
    def controlling(self) -> Iterator[subprocess.Popen[str]]:
        """`hikube controller` in the background; ends well at the end."""
        argv = [str(Path(sys.executable).parent / "hikube"), "controller"]
        log = (self.rig.database.parent / "controller.log").open("a")
        with log, subprocess.Popen(argv, env=self._environment, stdout=log, stderr=log, text=True) as process:
            try:
                yield process
            finally:
                process.terminate()
                process.wait(timeout=END_LIMIT_S)
        assert process.returncode == 0

    def waits(self, done: Callable[[], bool], *, until: str, timeout_s: float = CONTROLLER_LIMIT_S) -> None:
        """Poll; a box that has died ends it at once, and one that does not answer any more soon."""
        begun_s, looked_s, asked_s = time.monotonic(), 0.0, time.monotonic()
        while not done():
            now_s = time.monotonic()
            if now_s - looked_s > BOX_CHECK_S:
                assert self.rig.box.is_running(), "the box has died"
                looked_s = now_s
            if now_s - asked_s > ANSWER_CHECK_S:
                assert answers(self.rig.box), "the box has wedged"
                asked_s = time.monotonic()
            assert now_s - begun_s < timeout_s, f"not {until} within {timeout_s:.0f} s\n{self.log_tail()}"
            time.sleep(POLL_S)
        print(f"{time.monotonic() - begun_s:6.1f} s until {until}")

    def log_tail(self) -> str:
        """The end of the control loop's log."""
        path = self.rig.database.parent / "controller.log"
        return path.read_text()[-4000:] if path.exists() else ""

    def host(self) -> GPUHost:
        """The box as the store has it."""
        return self.rig.store.get(GPUHost, "box")

    def condition(self, kind: str, name: str = "mortal") -> Condition | None:
        """A condition of a VM; None while it has none."""
        return find_condition(self.rig.store.get(VirtualMachine, name, namespace="default").status.conditions, kind)

    def is_ready(self, name: str = "mortal") -> bool:
        """Whether the VM has proven its GPUs."""
        found = self.condition("Ready", name)
        return found is not None and found.status == "True"

    def says(self, name: str = "mortal") -> str:
        """All that the VM's conditions say is not so."""
        conditions = self.rig.store.get(VirtualMachine, name, namespace="default").status.conditions
        return " | ".join(f"{each.type} {each.reason}: {each.message}" for each in conditions if each.status != "True")

    def is_gone(self, name: str = "mortal") -> bool:
        """Whether there is no VM of that name, and no claim of anybody."""
        return not self.rig.store.read_raw("VirtualMachine") and not self.rig.store.read_raw("GPUClaim")


def _findings(told: Any) -> Iterator[dict[str, Any]]:
    """Every finding in the document, wherever it stands."""
    if isinstance(told, dict):
        if {"code", "severity", "message"} <= told.keys():
            yield told
        for value in told.values():
            yield from _findings(value)
    elif isinstance(told, list):
        for value in told:
            yield from _findings(value)
