"""What the stand-in's own tests start from: a quick KubeVirt with two kinds of GPUs, and VMs in it."""

from __future__ import annotations

import pytest

from tests.kubernetes.kubevirt.cluster import KubeVirtCluster
from tests.kubernetes.kubevirt.fleet import Fleet
from tests.kubernetes.kubevirt.specs import H100

QUICK = 0.1


@pytest.fixture
def fleet(kubevirt: KubeVirtCluster) -> Fleet:
    """One node with 4 H100 NVL, ten times as fast as observed."""
    kubevirt.time_scale = QUICK
    kubevirt.permit(H100, "10DE:2321")
    kubevirt.add_node("gpu-1")
    return Fleet(kubevirt)
