"""Controllers of one cluster as processes, over a simulated host in a file: what a deployment with several replicas is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from cli.cluster import NAMESPACE
from provisioner.drivers.hypervisor import Hypervisor
from provisioner.drivers.simulated.sandbox import file_connector
from provisioner.store.kubernetes.leader_lease import NAME
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.processes import Daemon
from tests.kubernetes.stores import empty, store_of

ROOT = Path(__file__).parents[2]
HIKUBE = [sys.executable, "-c", "from cli.main import main; main()"]
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
COMMAND_LIMIT_S = 60.0
LEAD_LIMIT_S = 45.0
"""Taking over takes 15 s on a quiet machine."""


class Replicas:
    """Processes of `hikube controller`, and commands beside them, that share a home and a cluster."""

    def __init__(
        self, plane: ControlPlane, home: Path, *, count: int, kubeconfig: Path | None = None, listen: str = ""
    ) -> None:
        """Controllers are whoever `kubeconfig` says, and show how they do at `listen`; commands are the administrator's.

        Effects: what other tests have left in the cluster goes, or it would be worked on.
        """
        with store_of(plane) as store:
            empty(store, plane)
        self._plane = plane
        self._home = home
        self._environment = {
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HIKUBE_DATA_DIR": str(home / "data"),
            "HIKUBE_CACHE_DIR": str(home / "cache"),
            "HIKUBE_CONFIG_DIR": str(home / "config"),
            "HIKUBE_STORE": "kubernetes",
            "HIKUBE_KUBECONFIG": str(plane.kubeconfig),
        }
        self._environment_of_controllers = self._environment | ({"HIKUBE_KUBECONFIG": str(kubeconfig)} if kubeconfig else {})
        self._environment_of_controllers |= {"HIKUBE_LISTEN": listen}
        self.all = tuple(self._replica(number) for number in range(count))

    def start(self) -> Daemon:
        """All of them, beside a host with one L40S; returns the leader."""
        self._make_room()
        for replica in self.all:
            replica.start()
        leader = self.wait_for_leader(among=self.all)
        self.ok("sandbox", "create", "--preset", "l40s")
        return leader

    def stop(self) -> None:
        """None of them runs."""
        for replica in self.all:
            replica.kill()

    def wait_for_leader(self, *, among: Sequence[Daemon]) -> Daemon:
        """Whoever of these has the lease, as soon as one has; raises DaemonTrouble."""
        among[0].wait_until(lambda: self._leader(among) is not None, "nobody leads", limit_s=LEAD_LIMIT_S)
        found = self._leader(among)
        assert found is not None
        return found

    @property
    def lease(self) -> dict[str, Any]:
        """The spec of the lease; empty before there is one."""
        try:
            return dict(self._plane.admin.get(f"{LEASES}/{NAME}")["spec"])
        except httpx.HTTPStatusError:
            return {}

    def __call__(self, *arguments: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command beside them to its end, as the administrator or whoever else's kubeconfig it is."""
        return subprocess.run(
            [*HIKUBE, *arguments],
            env=self._environment | ({"HIKUBE_KUBECONFIG": str(kubeconfig)} if kubeconfig else {}),
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_LIMIT_S,
            check=False,
            capture_output=True,
            text=True,
        )

    def ok(self, *arguments: str) -> str:
        """Run a command; it must succeed. Returns what it printed."""
        done = self(*arguments)
        assert done.returncode == 0, f"hikube {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}"
        return done.stdout

    def host(self) -> Hypervisor:
        """The simulated host as it is."""
        (item,) = json.loads(self.ok("get", "host", "-o", "json"))["items"]
        return file_connector().connect(item["spec"]["uri"])

    def _leader(self, among: Sequence[Daemon]) -> Daemon | None:
        holder = str(self.lease.get("holderIdentity") or "")
        return next((replica for replica in among if replica.is_running and f"-{replica.pid}-" in holder), None)

    def _replica(self, number: int) -> Daemon:
        argv = [*HIKUBE, "controller"]
        return Daemon(f"replica-{number}", argv, folder=self._home, environment=self._environment_of_controllers)

    def _make_room(self) -> None:
        """A namespace for the lease, without that of somebody who was killed."""
        if not self._plane.admin.answers(f"/api/v1/namespaces/{NAMESPACE}"):
            self._plane.make_namespace(NAMESPACE)
        self._plane.admin.delete(LEASES)
