"""What `hikube controller` takes while nothing happens: a process of its own over thousands of VMs that shall not run."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import say
from benchmarks.rig import BenchError
from cli.cluster import NAMESPACE
from provisioner.clocks import ManualClock
from provisioner.store.kubernetes.api_server import ApiServer
from provisioner.store.kubernetes.listing import pages
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.processes import Daemon
from tests.kubernetes.replicas import HIKUBE, ROOT

WRITERS = 8
SETTLE_LIMIT_S = 1_200.0
LOOK_S = 2.0
MACHINES = "/apis/apps.cozystack.io/v1alpha1/namespaces/default/virtualmachines"
HALTED = {
    "apiVersion": "apps.cozystack.io/v1alpha1",
    "kind": "VirtualMachine",
    "spec": {"running": False, "systemDisk": {"image": "ubuntu", "size": "40Gi"}},
}


@dataclass(frozen=True, slots=True)
class Idle:
    """One rest."""

    objects: int
    wall_s: float
    cpu_s: float
    memory_mib: float
    """Resident at the end."""
    settled_s: float
    """From its start until every object had its status."""


def rest(plane: ControlPlane, home: Path, *, objects: int, duration_s: float) -> Idle:
    """Let one controller come to rest over so many VMs, then watch it do nothing for that long."""
    server = ApiServer.from_kubeconfig(plane.kubeconfig, clock=ManualClock())
    plane.make_namespace(NAMESPACE)
    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(lambda n: server.request("POST", MACHINES, body=HALTED | _named(n)), range(objects)))
    say(f"{objects} VMs are there")
    controller = _controller(plane, home)
    controller.start()
    try:
        began_s = time.perf_counter()
        settled_s = _settled(server, objects, began_s)
        say(f"the controller is at rest after {settled_s:.0f} s; it is watched for {duration_s:.0f} s")
        cpu_s, watched_s = _cpu_s(controller.pid), time.perf_counter()
        time.sleep(duration_s)
        wall_s = time.perf_counter() - watched_s
        return Idle(objects, wall_s, _cpu_s(controller.pid) - cpu_s, _resident_mib(controller.pid), settled_s)
    finally:
        controller.kill()


def _named(number: int) -> dict[str, dict[str, str]]:
    return {"metadata": {"name": f"vm-{number:05}"}}


def _settled(server: ApiServer, objects: int, began_s: float) -> float:
    while time.perf_counter() - began_s < SETTLE_LIMIT_S:
        items = pages(server, MACHINES, query={}).items
        if sum(item.get("status", {}).get("phase") == "Stopped" for item in items) == objects:
            return time.perf_counter() - began_s
        time.sleep(LOOK_S)
    raise BenchError("the controller did not come to rest")


def _controller(plane: ControlPlane, home: Path) -> Daemon:
    environment = {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "HIKUBE_DATA_DIR": str(home / "data"),
        "HIKUBE_CACHE_DIR": str(home / "cache"),
        "HIKUBE_CONFIG_DIR": str(home / "config"),
        "HIKUBE_STORE": "kubernetes",
        "HIKUBE_KUBECONFIG": str(plane.kubeconfig),
    }
    return Daemon("controller", [*HIKUBE, "controller"], folder=home, environment=environment)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))
