"""A real control plane for the tests of this folder, or the reason why there is none.

One for each worker, and in it a namespace for each test. What is cluster-wide (definitions of resources, cluster roles) is
shared by the tests of a worker: apply it in a fixture, so that it is there whoever comes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubectl import Kubectl
from tests.kubernetes.kubevirt.fixtures import kubevirt as kubevirt
from tests.kubernetes.kubevirt.fixtures import kubevirt_kinds as kubevirt_kinds
from tests.tools import binaries

CRDS = Path(__file__).parents[2] / "deploy" / "crds"
_numbers = count(1)


@pytest.fixture(scope="session")
def tools() -> None:
    """All programs are there. Nothing is built here: it takes minutes, in which a test would seem to hang."""
    absent = binaries.absent()
    if absent:
        pytest.skip(f"not built: {', '.join(absent)}; run `make tools` once")


@pytest.fixture(scope="session")
def control_plane(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd and kube-apiserver, ready. Tests use it together with `namespace`, which mends what others left broken."""
    plane = ControlPlane(tmp_path_factory.mktemp("control-plane"))
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


@pytest.fixture(scope="session")
def kinds(control_plane: ControlPlane) -> ControlPlane:
    """With our kinds, and with the controllers that follow owner references."""
    control_plane.heal()
    kubectl = Kubectl(control_plane, namespace="default", kubeconfig=control_plane.kubeconfig)
    kubectl.ok("apply", "--server-side", "--filename", str(CRDS))
    kubectl.ok("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=30s")
    control_plane.controller_manager.kill()  # it looks for new kinds when it starts, and then seldom
    control_plane.run_controller_manager()
    return control_plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    """A namespace for this test alone. It is not deleted; the whole cluster goes at the end."""
    control_plane.heal()
    return control_plane.make_namespace(f"test-{next(_numbers)}")


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """The administrator's kubectl in the namespace of this test; `kubectl.as_user("alice")` is somebody else's."""
    return Kubectl(control_plane, namespace=namespace, kubeconfig=control_plane.kubeconfig)
