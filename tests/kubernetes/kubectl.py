"""kubectl as a tenant or an operator types it, in a home of its own: what it prints, and its exit code."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kubernetes.control_plane import ControlPlane
from tests.tools import binaries

LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command leaves on a terminal, and how it ended."""

    code: int
    out: str
    err: str


class Kubectl:
    """Called like the command: `kubectl("get", "pods", "-o", "name")`, in one namespace, as one user."""

    def __init__(self, plane: ControlPlane, *, namespace: str, kubeconfig: Path) -> None:
        program = binaries.find("kubectl")
        assert program is not None, "kubectl is not built"
        self._plane = plane
        self._program = str(program)
        self._namespace = namespace
        self._kubeconfig = kubeconfig

    def __call__(self, *arguments: str, stdin: str = "", limit_s: float = LIMIT_S) -> Printed:
        """Run it to its end, whatever that is; a later `--namespace` among the arguments wins. Fails after `limit_s`."""
        done = subprocess.run(
            [self._program, f"--namespace={self._namespace}", *arguments],
            input=stdin,
            env={"HOME": str(self._plane.root), "KUBECONFIG": str(self._kubeconfig), "PATH": "/usr/bin:/bin"},
            cwd=self._plane.root,
            timeout=limit_s,
            check=False,
            capture_output=True,
            text=True,
        )
        return Printed(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, stdin: str = "", limit_s: float = LIMIT_S) -> str:
        """Run it; it must succeed. Returns what it printed."""
        printed = self(*arguments, stdin=stdin, limit_s=limit_s)
        assert printed.code == 0, f"kubectl {' '.join(arguments)}: exit {printed.code}\n{printed.err}"
        return printed.out

    def as_user(self, user: str, *, groups: Sequence[str] = ()) -> Kubectl:
        """The same namespace as somebody else sees it."""
        kubeconfig = self._plane.kubeconfig_of(user, groups=groups, namespace=self._namespace)
        return Kubectl(self._plane, namespace=self._namespace, kubeconfig=kubeconfig)

    def as_service_account(self, name: str) -> Kubectl:
        """As a service account of this namespace."""
        kubeconfig = self._plane.kubeconfig_of_service_account(name, namespace=self._namespace)
        return Kubectl(self._plane, namespace=self._namespace, kubeconfig=kubeconfig)
