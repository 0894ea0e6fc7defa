"""The chart's rules for KubeVirt are what its driver needs and no more: machines live under them, held to the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.drivers.machine_cluster import MachineState
from tests.contract.machine_clusters import H100
from tests.kubernetes.audit import FORBIDDEN, Right, requests, rights_of
from tests.kubernetes.charts import NAMESPACE, OF_RBAC, Document, Helm, applied, of_kind
from tests.kubernetes.kubevirt.cluster import KubeVirtCluster
from tests.kubernetes.kubevirt_bench import PACE, KubeVirtBench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROLE = "hikube-controller-kubevirt"
IMPORTS = "where disks are imported: CDI is not in this cluster"
RARE = {
    Right("cdi.kubevirt.io", "datavolumes", "get"): IMPORTS,
    Right("storage.k8s.io", "storageclasses", "list"): IMPORTS,
    Right("kubevirt.io", "virtualmachines", "create"): "by the apply that makes one, which the log calls a patch",
}
"""Rights that the log of these lives does not name, and when they are used."""


@pytest.fixture
def rules(kubevirt: KubeVirtCluster, tmp_path: Path) -> Iterator[list[Document]]:
    """The chart's rules in the cluster, and nothing else of it."""
    documents = of_kind(Helm(tmp_path).rendered("--set=kubevirt.enabled=true"), *OF_RBAC)
    with applied(kubevirt.plane, documents):
        yield documents


@pytest.fixture
def machines(kubevirt: KubeVirtCluster, rules: list[Document]) -> Iterator[KubeVirtBench]:
    """The driver under the service account of the chart."""
    kubevirt.time_scale = PACE
    kubevirt.permit(H100, "10DE:2321")
    kubeconfig = kubevirt.plane.kubeconfig_of_service_account("hikube-controller", namespace=NAMESPACE)
    bench = KubeVirtBench(kubevirt, uri=f"kubevirt:?kubeconfig={kubeconfig}")
    yield bench
    bench.close()


def test_machines_live_under_the_rules_of_the_chart_which_are_all_needed(machines, rules, kubevirt):
    log = kubevirt.plane.audit_log
    begin = log.stat().st_size
    machines.add_node("gpu-1", gpus={H100: 2})
    machines.cluster.subscribe(machines.listen)
    assert [node.name for node in machines.cluster.survey().nodes] == ["gpu-1"]
    _lives_and_is_restarted(machines)
    _waits_for_an_image(machines)
    _claims_its_gpu(machines)
    _ends_on_a_lost_node(machines)
    heard = list(requests(log, since=begin))
    assert [each for each in heard if each.status == FORBIDDEN] == []
    used, allowed = {each.right for each in heard}, rights_of(rules, ROLE)
    assert used <= allowed | rights_of(rules, "hikube-controller")
    unused = allowed - used - RARE.keys()
    assert not unused, f"never used: {', '.join(sorted(map(str, unused)))}"
    assert RARE.keys() <= allowed


def _lives_and_is_restarted(machines: KubeVirtBench) -> None:
    first = machines.run("vm")
    machines.cluster.restart(machines.namespace, "vm", instance_uid=first.instance_uid)
    machines.until(lambda: machines.look("vm").instance_uid not in ("", first.instance_uid))
    again = machines.until_state("vm", MachineState.RUNNING)
    machines.cluster.destroy(machines.namespace, "vm", instance_uid=again.instance_uid)
    _goes(machines, "vm")


def _waits_for_an_image(machines: KubeVirtBench) -> None:
    machines.refuse_image("pulls")
    machines.apply("pulls")
    machines.until_trouble("pulls", "ImageNotPulled")
    assert [each.name for each in machines.cluster.owned()] == ["pulls"]
    _goes(machines, "pulls")


def _claims_its_gpu(machines: KubeVirtBench) -> None:
    machines.offer_claims("gpu-1", "one-gpu")
    assert machines.run("claims", claim_template="one-gpu").gpu_addresses
    _goes(machines, "claims")


def _ends_on_a_lost_node(machines: KubeVirtBench) -> None:
    running = machines.run("stranded")
    machines.lose_node("gpu-1")
    machines.until_state("stranded", MachineState.LOST)
    machines.cluster.destroy(machines.namespace, "stranded", instance_uid=running.instance_uid)
    _goes(machines, "stranded")


def _goes(machines: KubeVirtBench, name: str) -> None:
    machines.cluster.remove(machines.namespace, name)
    machines.until_gone(name)
