"""Keeps the GPU host in a box that the tests share, and replaces one that no longer answers.

A host that runs under emulation with guests nested in it can wedge, and a nested guest can reset without a word. Neither is
hikube's doing, and neither may be hidden: every replacement is counted and printed at the end of the run, as every rerun is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner import lab
from provisioner.lab.accelerator import probe_kvm
from provisioner.model.gpu_host import KvmVerdict

ANSWER_TIMEOUT_S = 60.0
REPLACEMENTS_MAX = 8


class Keeper:
    """At most one running box, in a data folder of its own."""

    def __init__(self, topology: lab.LabTopology, images: lab.LabImages, *, folder: Path, say: Callable[[str], None]) -> None:
        self._topology = topology
        self._images = images
        self._folder = folder
        self._say = say
        self._box: lab.HostInABox | None = None
        self.replaced: list[str] = []
        """Why each box that was given up was given up."""
        self.kvm: KvmVerdict | None = None
        """What a story in this box has proven of KVM: it is one box, and each story begins with a store of its own."""
        self._is_spoilt = False

    def box(self) -> lab.HostInABox:
        """A box that answers and that no failed test has left its traces in: the one at hand, or a fresh one."""
        if self._box is not None and self._is_spoilt:
            self._give_up("a test failed in it" if answers(self._box) else f"it wedged: {_last_words(self._box)}")
        elif self._box is not None and not answers(self._box):
            self._give_up(f"it does not answer: {_last_words(self._box)}")
        if self._box is None:
            with self._at_home():
                self._box = lab.create(self._topology, self._say).host()
        return self._box

    def power_cycle(self, spec: lab.LabHost | None = None) -> lab.HostInABox:
        """Cut the box's power and switch it on again, with the disk that it had; with `spec`, other hardware is in it then."""
        assert self._box is not None
        self._box.stop()
        verdict = probe_kvm(self._images)
        self._box = lab.HostInABox(spec or self._topology.hosts[0], self._box.folder)
        self._box.start(self._images, verdict)
        self._box.wait_until_ready(accelerator="kvm" if verdict.usable else "tcg")
        return self._box

    def spoil(self) -> None:
        """A test has failed: whoever comes next gets a fresh box."""
        self._is_spoilt = True

    def close(self) -> None:
        """Leave nothing."""
        self._box, self._is_spoilt, self.kvm = None, False, None
        with self._at_home():
            lab.delete(self._topology.name)

    @contextmanager
    def _at_home(self) -> Iterator[None]:
        """Labs are looked for in our folder, and the user's are not met."""
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("HIKUBE_DATA_DIR", str(self._folder))
            yield

    def _give_up(self, why: str) -> None:
        self.replaced.append(why)
        assert len(self.replaced) <= REPLACEMENTS_MAX, f"boxes keep breaking: {self.replaced}"
        self._say(f"a fresh box, since of the last one: {why}")
        self.close()


def _last_words(box: lab.HostInABox) -> str:
    """The last line of its serial console."""
    lines = box.serial_log.read_text(errors="replace").strip().splitlines() if box.serial_log.exists() else []
    return lines[-1] if lines else "it said nothing"


def answers(box: lab.HostInABox) -> bool:
    """Whether its sshd lets a command run."""
    if not box.is_running():
        return False
    try:
        return subprocess.run(box.ssh_argv("true"), capture_output=True, timeout=ANSWER_TIMEOUT_S, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
