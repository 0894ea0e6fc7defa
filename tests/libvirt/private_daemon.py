"""A libvirtd and virtlogd of our own, out of sight of any other on this machine.

They run in mount, PID and network namespaces of their own: their configuration, state and sockets are directories of the
test's, bound over the places where libvirt looks for them, and everything that they start (QEMU, dnsmasq) dies with the
namespace's first process; so do their bridges and rules. The socket is reachable from outside through the directory, as
`qemu:///system?socket=…`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("unshare", "nsenter", "ip", "virsh", "libvirtd", "virtlogd", "dnsmasq", "qemu-system-x86_64", "qemu-img")
LIMIT_S = 60.0
_BOUND = {
    "run": "/run/libvirt",
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "log": "/var/log/libvirt",
    "cache": "/var/cache/libvirt",
    "lock": "/run/lock",  # of consoles; they name processes by their number, which means something else in another namespace
}
_QEMU_CONF = """
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
remember_owner = 0
"""
_NETWORK = """
<network>
  <name>{name}</name>
  <forward mode="nat"/>
  <ip address="192.168.199.1" netmask="255.255.255.0">
    <dhcp><range start="192.168.199.10" end="192.168.199.200"/></dhcp>
  </ip>
</network>
"""
_LIBVIRTD_CONF = """
auth_unix_rw = "none"
unix_sock_dir = "/run/libvirt"
"""


def missing() -> str:
    """What this machine lacks to run it; empty if nothing."""
    if os.geteuid() != 0:
        return "a libvirtd of our own needs root"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    flags = ["--mount", "--net", "--pid", "--fork", "--mount-proc"]
    probe = subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False)
    return "" if probe.returncode == 0 else "namespaces cannot be made here"


class PrivateDaemon:
    """libvirtd and virtlogd under a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = f"qemu:///system?socket={root / 'run' / 'libvirt-sock'}"
        self._space: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the namespaces and start both daemons in them."""
        for name, place in _BOUND.items():
            (self.root / name).mkdir(parents=True, exist_ok=True)
            Path(place).mkdir(parents=True, exist_ok=True)
        (self.root / "etc" / "qemu.conf").write_text(_QEMU_CONF)
        (self.root / "etc" / "libvirtd.conf").write_text(_LIBVIRTD_CONF)
        (self.root / "etc" / "virtlogd.conf").touch()
        binds = [f"mount --bind {self.root / name} {place}" for name, place in _BOUND.items()]
        # The shell is the first process of its namespace, and its loop takes the dead off the process table.
        script = " && ".join([*binds, "touch /run/libvirt/ready", "while :; do sleep 0.2; done"])
        flags = ["--mount", "--propagation", "private", "--net", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"]
        self._space = subprocess.Popen(["unshare", *flags, "sh", "-c", script], preexec_fn=_die_with_the_tests)
        until(lambda: (self.root / "run" / "ready").exists(), "the namespace is not ready")
        self.inside("ip", "link", "set", "lo", "up")
        self.inside("virtlogd", "--daemon", "--pid-file", "/run/libvirt/virtlogd.pid")
        self.start_libvirtd()

    def make_pool(self, name: str) -> None:
        """Define and start a directory pool."""
        place = self.root / "pools" / name
        place.mkdir(parents=True)
        virsh = ["virsh", "--connect", self.uri]
        for command in (
            ["pool-define-as", name, "dir", "--target", str(place)],
            ["pool-start", name],
            ["pool-autostart", name],
        ):
            subprocess.run([*virsh, *command], check=True, timeout=LIMIT_S, stdout=subprocess.DEVNULL)

    def make_network(self, name: str) -> None:
        """Define and start a NAT network; its bridge, its rules and its dnsmasq are in the daemons' namespace."""
        place = self.root / f"{name}.xml"
        place.write_text(_NETWORK.format(name=name))
        virsh = ["virsh", "--connect", self.uri]
        for command in (["net-define", str(place)], ["net-start", name]):
            subprocess.run([*virsh, *command], check=True, timeout=LIMIT_S, stdout=subprocess.DEVNULL)

    def start_libvirtd(self) -> None:
        """Start libvirtd, and wait until it answers on its socket."""
        with (self.root / "log" / "libvirtd.log").open("ab") as log:
            self.inside("libvirtd", "--daemon", "--pid-file", "/run/libvirt/libvirtd.pid", stderr=log)
        until(self._answers, "libvirtd does not answer")

    def kill_libvirtd(self) -> None:
        """Let libvirtd die; domains run on."""
        pid = self.pid_of("/run/libvirt/libvirtd.pid")
        os.kill(pid, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{pid}").exists(), "libvirtd does not die")
        (self.root / "run" / "libvirtd.pid").unlink(missing_ok=True)

    def pause_libvirtd(self) -> None:
        """Let libvirtd hang: its sockets stay open and nobody answers."""
        os.kill(self.pid_of("/run/libvirt/libvirtd.pid"), signal.SIGSTOP)

    def resume_libvirtd(self) -> None:
        """Let it go on."""
        os.kill(self.pid_of("/run/libvirt/libvirtd.pid"), signal.SIGCONT)

    def kill_qemu(self, domain: str) -> None:
        """Let the QEMU of a domain die."""
        os.kill(self.pid_of("-name", f"guest={domain},debug-threads=on"), signal.SIGKILL)

    def pid_of(self, *arguments: str) -> int:
        """The process of this machine whose command line holds these arguments one after the other."""
        wanted = b"\0" + b"\0".join(argument.encode() for argument in arguments) + b"\0"
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and wanted in _command_line(entry) and self._is_inside(int(entry.name)):
                return int(entry.name)
        raise LookupError(f"no process has {arguments}")

    def stop(self) -> None:
        """End the namespace with everything in it, and remove its files."""
        if self._space is not None:
            self._space.kill()
            self._space.wait(LIMIT_S)
        shutil.rmtree(self.root, ignore_errors=True)

    def inside(self, *argv: str, stderr: object = None) -> None:
        """Run a program where the daemons are; it must succeed."""
        command = [*self.entry(), *argv]
        subprocess.run(command, check=True, timeout=LIMIT_S, stdout=subprocess.DEVNULL, stderr=stderr)  # type: ignore[call-overload]

    def entry(self) -> list[str]:
        """What to put before a command line for it to run where the daemons are."""
        return ["nsenter", "--target", str(self._first_process()), "--mount", "--pid", "--net"]

    def _first_process(self) -> int:
        assert self._space is not None
        return int(Path(f"/proc/{self._space.pid}/task/{self._space.pid}/children").read_text().split()[0])

    def _is_inside(self, pid: int) -> bool:
        try:
            return os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{self._first_process()}/ns/pid")
        except OSError:
            return False

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as one:
            return one.connect_ex(str(self.root / "run" / "libvirt-sock")) == 0


def _die_with_the_tests() -> None:
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def until(holds: Callable[[], bool], otherwise: str, *, limit_s: float = LIMIT_S) -> None:
    """Wait for a condition; fail with the sentence if it does not come true in time."""
    deadline_s = time.monotonic() + limit_s
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline_s, f"{otherwise} after {limit_s:g} s"
        pause.wait(0.05)
