"""The fixture `kubevirt`: a cluster with KubeVirt in it for one test, over the control plane of the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubevirt import install
from tests.kubernetes.kubevirt.access import client_of
from tests.kubernetes.kubevirt.cluster import KubeVirtCluster

SERVED_LIMIT_S = 60.0


@pytest.fixture(scope="session")
def kubevirt_kinds(control_plane: ControlPlane) -> ControlPlane:
    """The control plane with KubeVirt's kinds, a scheduler, and controllers that know of them."""
    if not install.definition_files():
        pytest.skip(f"KubeVirt's own definitions do not lie in {install.FILES}")
    control_plane.heal()
    api = client_of(control_plane)
    try:
        install.put_definitions(api)
        control_plane.api_server.wait_until(
            lambda: install.are_served(api), "does not serve KubeVirt's kinds", limit_s=SERVED_LIMIT_S
        )
    finally:
        api.close()
        api.release()
    control_plane.controller_manager.kill()  # it looks for new kinds when it starts, and then seldom
    control_plane.run_controller_manager()
    control_plane.run_scheduler()
    return control_plane


@pytest.fixture
def kubevirt(kubevirt_kinds: ControlPlane, namespace: str) -> Iterator[KubeVirtCluster]:
    """KubeVirt, installed and running, without a node and permitting nothing; `kubevirt.namespace` is this test's."""
    cluster = KubeVirtCluster(kubevirt_kinds, namespace=namespace)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
