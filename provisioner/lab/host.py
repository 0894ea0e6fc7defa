"""One host in a box: its folder, its start, and the moment when it is of use.

    <lab>/<host>/   id_ed25519, ssh_host_ed25519_key, ssh, ssh_config, known_hosts   see access
                    disk.qcow2      what the host has written, over the shared host disk
                    qemu.json       process; port: the forwarded port of this start
                    serial.log, qemu.log

Of use means: sshd answers with our key, and libvirt has its network and its pool. Invariants: a running host is never started
again; a dead one is started from the disk that it had.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from provisioner.lab import paths
from provisioner.lab.accelerator import Verdict
from provisioner.lab.access import ALIAS, Access, make_identity, write_configuration
from provisioner.lab.images import LabImages
from provisioner.lab.machine import MachineFiles, machine_arguments
from provisioner.lab.process import end_process, failure, is_running, signal_process, start_process
from provisioner.lab.timing import time_scale
from provisioner.lab.topology import LabHost
from provisioner.model.errors import LabError

BOOT_LIMIT_S = 60.0
ATTEMPT_TIMEOUT_S = 30.0
POLL_S = 0.3
DISK_TIMEOUT_S = 30
READY_COMMAND = (
    "for n in 1 2 3 4 5 6 7 8 9 10; do virsh -q net-info default 2>/dev/null | grep -q 'Active: *yes' "
    "&& virsh -q pool-info default 2>/dev/null | grep -q 'State: *running' && exit 0; sleep 1; done; exit 1"
)


@dataclass(frozen=True, slots=True)
class HostInABox:
    """A host of a lab, running or not. All state is in `folder`."""

    spec: LabHost
    folder: Path

    @property
    def name(self) -> str:
        """Its name in the topology."""
        return self.spec.name

    @property
    def access(self) -> Access:
        """Its keys and its ssh."""
        return Access(self.folder)

    @property
    def uri(self) -> str:
        """Its libvirt URI. A start may change the port, and with it the URI.

        Raises:
            LabError: it was never started.
        """
        return self.access.uri(self._port())

    @property
    def serial_log(self) -> Path:
        """What its kernel said; the place to look at when it does not answer."""
        return self.folder / "serial.log"

    @property
    def qemu_log(self) -> Path:
        """What QEMU itself said."""
        return self.folder / "qemu.log"

    def was_started(self) -> bool:
        """Whether it ever had a port, and so has a URI."""
        return (self.folder / "port").exists()

    def is_running(self) -> bool:
        """Whether its QEMU process exists."""
        return is_running(self._record)

    def ssh_argv(self, *command: str) -> list[str]:
        """How to log in as root, or to run a command there; arguments are joined by spaces there, as ssh does."""
        return [str(self.access.wrapper), ALIAS, *command]

    def start(self, images: LabImages, verdict: Verdict) -> None:
        """Start QEMU unless it runs; does not wait for the host."""
        if self.is_running():
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_identity(self.access, comment=f"hikube-lab-{self.name}")
        (self.folder / "hostname").write_text(self.name)
        self._make_disk(images)
        files = self._files(images)
        files.monitor_socket.parent.mkdir(mode=0o700, exist_ok=True)
        files.monitor_socket.unlink(missing_ok=True)
        port = self._choose_port()
        write_configuration(self.access, port=port)
        self._forget_connection()
        self.serial_log.unlink(missing_ok=True)
        command = [
            *images.tools.qemu(),
            *machine_arguments(
                self.spec,
                files,
                kvm=verdict.usable,
                ssh_port=port,
            ),
        ]
        start_process(command, env=images.tools.environment(), record=self._record, log=self.qemu_log)

    def wait_until_ready(self, *, accelerator: str) -> float:
        """Wait for SSH and libvirt, with a limit that grows with how slow this machine is; seconds until SSH answered.

        Raises:
            LabError: QEMU ended, or the limit passed; the logs' last lines are in the context.
        """
        begin_s = time.monotonic()
        limit_s = BOOT_LIMIT_S * time_scale(accelerator=accelerator)
        self._wait_for("true", begin_s + limit_s)
        ssh_s = time.monotonic() - begin_s
        self._wait_for(READY_COMMAND, begin_s + ssh_s + limit_s)
        return ssh_s

    def stop(self) -> None:
        """End QEMU and the shared connection; the folder stays. Safe to repeat."""
        self._forget_connection()
        end_process(self._record, monitor_socket=self._monitor_socket)
        self._monitor_socket.unlink(missing_ok=True)

    def signal(self, number: int) -> None:
        """Send a signal to its QEMU process: SIGSTOP makes a host that does not answer, SIGCONT brings it back.

        Raises:
            LabError: it does not run.
        """
        signal_process(self._record, number)

    def remove(self) -> None:
        """Stop it and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _record(self) -> Path:
        return self.folder / "qemu.json"

    @property
    def _monitor_socket(self) -> Path:
        return paths.socket_path(self.folder, "qmp")

    def _files(self, images: LabImages) -> MachineFiles:
        return MachineFiles(
            kernel=images.kernel,
            initramfs=images.initramfs,
            disk=self.folder / "disk.qcow2",
            host_key=self.access.host_key,
            authorized_keys=self.access.authorized_keys,
            host_name=self.folder / "hostname",
            serial_log=self.serial_log,
            monitor_socket=self._monitor_socket,
        )

    def _make_disk(self, images: LabImages) -> None:
        disk = self.folder / "disk.qcow2"
        if not disk.exists():
            images.tools.run(
                "usr/bin/qemu-img",
                *("create", "-q", "-f", "qcow2", "-F", "raw", "-b", images.host_disk, disk),
                doing="make the host's disk",
                timeout_s=DISK_TIMEOUT_S,
            )

    def _port(self) -> int:
        try:
            return int((self.folder / "port").read_text())
        except (FileNotFoundError, ValueError) as error:
            raise LabError(f"host {self.name} of the lab was never started") from error

    def _choose_port(self) -> int:
        """The port of the last start if it is free, so that the URI stays what `host add` was told."""
        wanted = [0]
        if (self.folder / "port").exists():
            wanted.insert(0, self._port())
        for candidate in wanted:
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", candidate))
                except OSError:
                    continue
                port = int(probe.getsockname()[1])
            (self.folder / "port").write_text(str(port))
            return port
        raise LabError("no TCP port is free on 127.0.0.1")

    def _forget_connection(self) -> None:
        if self.access.control_socket.exists():
            subprocess.run(
                ["ssh", "-F", str(self.access.config), "-O", "exit", ALIAS],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=ATTEMPT_TIMEOUT_S,
                check=False,
            )
            self.access.control_socket.unlink(missing_ok=True)

    def _wait_for(self, command: str, deadline_s: float) -> None:
        while not self._answers(command):
            if not self.is_running():
                raise failure(f"host {self.name} ended while it started", logs=(self.qemu_log, self.serial_log))
            if time.monotonic() > deadline_s:
                raise failure(f"host {self.name} did not get ready in time", logs=(self.serial_log,))
            time.sleep(POLL_S)

    def _answers(self, command: str) -> bool:
        try:
            done = subprocess.run(
                self.ssh_argv(command),
                env=dict(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=ATTEMPT_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0
