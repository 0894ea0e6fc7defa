"""Our chart through the real helm, in a home of its own: what it renders, what it refuses, what it installs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.documents import ROOT
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubectl import Kubectl
from tests.tools import binaries

CHART = ROOT / "deploy" / "helm" / "hikube"
NAMESPACE = "hikube-system"
LIMIT_S = 120.0
LINKED = "found symbolic link in path"
"""Helm says so of the definitions, of which the chart has no copy."""

OF_RBAC = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
OF_POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
CRDS_APART = ("--set=crds.install=false",)
EVERYTHING = ("--values", str(ROOT / "tests" / "kubernetes" / "values" / "everything.yaml"))
"""Every optional part switched on, every value set that has no default."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """How a command of helm ended."""

    code: int
    out: str
    err: str


class Helm:
    """Called like the command: `helm("lint", "--strict", CHART)`."""

    def __init__(self, home: Path, *, kubeconfig: Path | None = None) -> None:
        program = binaries.find("helm")
        assert program is not None, "helm is not built"
        self._program = str(program)
        self._home = home
        self._kubeconfig = kubeconfig

    def __call__(self, *arguments: str, limit_s: float = LIMIT_S) -> Said:
        """Run it to its end, whatever that is, in our namespace unless the arguments name another one."""
        place = () if "--namespace" in arguments else ("--namespace", NAMESPACE)
        done = subprocess.run(
            [self._program, *arguments, *place],
            env={"HOME": str(self._home), "PATH": "/usr/bin:/bin", "KUBECONFIG": str(self._kubeconfig or "")},
            cwd=self._home,
            timeout=limit_s,
            check=False,
            capture_output=True,
            text=True,
        )
        said = [line for line in done.stderr.splitlines() if LINKED not in line]
        return Said(done.returncode, done.stdout, "\n".join(said))

    def ok(self, *arguments: str, limit_s: float = LIMIT_S) -> str:
        """Run it; it must succeed. Returns what it printed."""
        said = self(*arguments, limit_s=limit_s)
        assert said.code == 0, f"helm {' '.join(arguments)}: exit {said.code}\n{said.err}"
        return said.out

    def text(self, *arguments: str) -> str:
        """The chart rendered, comments and all; arguments are `--set` and the like."""
        version = binaries.kubernetes_version()
        return self.ok("template", "hikube", str(CHART), "--kube-version", version, *arguments)

    def rendered(self, *arguments: str) -> list[Document]:
        """The objects of the chart."""
        return [each for each in yaml.safe_load_all(self.text(*arguments)) if each]


def of_kind(documents: Sequence[Document], *kinds: str) -> list[Document]:
    """Those of some kinds."""
    return [each for each in documents if each["kind"] in kinds]


def only(documents: Sequence[Document], kind: str, name: str = "") -> Document:
    """The one of that kind, and of that name if one is given."""
    (found,) = [each for each in of_kind(documents, kind) if name in ("", each["metadata"]["name"])]
    return found


@contextmanager
def applied(plane: ControlPlane, documents: Sequence[Document]) -> Iterator[Kubectl]:
    """These objects in the cluster, and at the end no longer; what is in a namespace is in ours."""
    plane.heal()
    if not plane.admin.answers(f"/api/v1/namespaces/{NAMESPACE}"):
        plane.make_namespace(NAMESPACE)
    kubectl = Kubectl(plane, namespace=NAMESPACE, kubeconfig=plane.kubeconfig)
    text = yaml.safe_dump_all(documents)
    kubectl.ok("apply", "--filename", "-", stdin=text)
    try:
        yield kubectl
    finally:
        plane.heal()
        kubectl.ok("delete", "--ignore-not-found", "--filename", "-", stdin=text)
