"""The contract of clusters on the real driver, and what only it has: its objects, its connections, its rights."""
# ruff: noqa: F401  # the contract is imported to be collected here

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioner.drivers.machine_cluster import ImportedDisk, MachineState
from provisioner.model.errors import Conflict, InvalidInput, NotAllowed, QuotaExceeded
from templates.kubevirt import seed_secret, virtual_machine
from tests.contract.machine_clusters import H100
from tests.contract.test_machine_cluster import TestChanges, TestConnecting, TestEnds, TestLife
from tests.contract.test_machine_cluster_looks import TestClaims, TestEvents, TestSurvey, TestTroubles
from tests.kubernetes.kubevirt.cluster import KubeVirtCluster
from tests.kubernetes.kubevirt_bench import KubeVirtBench

KUBEVIRT = "/apis/kubevirt.io/v1"


@pytest.fixture
def machines(kubevirt: KubeVirtCluster) -> Iterator[KubeVirtBench]:
    bench = KubeVirtBench(kubevirt)
    yield bench
    bench.close()


class TestObjects:
    def test_the_seed_belongs_to_its_machine_and_goes_with_it(self, machines: KubeVirtBench) -> None:
        machines.apply("vm", is_to_run=False, user_data="x" * 5_000)
        secret = machines.get("/api/v1", "secrets/vm-seed")
        machine = machines.get(KUBEVIRT, "virtualmachines/vm")
        assert secret is not None and machine is not None
        assert secret["metadata"]["ownerReferences"][0]["uid"] == machine["metadata"]["uid"]
        managers = {(each["manager"], each["operation"]) for each in machine["metadata"]["managedFields"]}
        assert ("hikube", "Apply") in managers
        machines.cluster.remove(machines.namespace, "vm")
        machines.until_gone("vm")
        assert machines.get("/api/v1", "secrets/vm-seed") is None

    def test_a_seed_that_was_left_alone_is_taken_up(self, machines: KubeVirtBench) -> None:
        """A crash between the two objects leaves a Secret without an owner."""
        spec = machines.spec("vm", is_to_run=False)
        machines.api.apply(f"/api/v1/namespaces/{machines.namespace}/secrets/vm-seed", seed_secret(spec), force=True)
        machines.cluster.apply(spec)
        secret = machines.get("/api/v1", "secrets/vm-seed")
        assert secret is not None
        assert secret["metadata"]["ownerReferences"]

    def test_a_strangers_secret_is_a_conflict(self, machines: KubeVirtBench) -> None:
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vm-seed"}, "stringData": {"a": "b"}}
        machines.kubevirt.plane.admin.post(f"/api/v1/namespaces/{machines.namespace}/secrets", body)
        with pytest.raises(Conflict, match="vm-seed belongs to somebody else"):
            machines.apply("vm")
        assert machines.get(KUBEVIRT, "virtualmachines/vm") is None

    def test_a_missing_seed_is_told_and_mended_by_applying_again(self, machines: KubeVirtBench) -> None:
        machines.add_node("gpu-1", gpus={H100: 1})
        with machines.kubevirt.controller_paused():
            machines.apply("vm")
            machines.kubevirt.plane.admin.delete(f"/api/v1/namespaces/{machines.namespace}/secrets/vm-seed")
        seen = machines.until_trouble("vm", "SecretMissing")
        assert "vm-seed" in seen.trouble.message if seen.trouble else False
        machines.apply("vm")
        machines.until_state("vm", MachineState.RUNNING)

    def test_a_field_that_kubevirt_does_not_know_is_refused(self, machines: KubeVirtBench) -> None:
        made = virtual_machine(machines.spec("vm"))
        made["spec"]["template"]["spec"]["domain"]["devices"]["gpuz"] = []
        path = f"{KUBEVIRT}/namespaces/{machines.namespace}/virtualmachines/vm"
        with pytest.raises(InvalidInput, match="gpuz"):
            machines.api.apply(path, made, force=False)

    def test_a_name_that_is_none(self, machines: KubeVirtBench) -> None:
        with pytest.raises(InvalidInput):
            machines.apply("Not_A_Name")

    def test_a_disk_to_import_where_nobody_imports(self, machines: KubeVirtBench) -> None:
        machines.apply("vm", disk=ImportedDisk("https://images/ubuntu.img", size_bytes=10 << 30))
        seen = machines.until_trouble("vm", "DiskMissing")
        assert seen.trouble is not None
        assert seen.trouble.is_final
        assert "has no CDI" in seen.trouble.message
        assert not machines.cluster.survey().can_import_disks

    def test_a_guest_whose_machine_was_deleted_without_it(self, machines: KubeVirtBench) -> None:
        machines.add_node("gpu-1", gpus={H100: 1})
        running = machines.run("vm")
        machines.api.request(
            "DELETE",
            f"{KUBEVIRT}/namespaces/{machines.namespace}/virtualmachines/vm",
            body={"propagationPolicy": "Orphan", "kind": "DeleteOptions", "apiVersion": "v1"},
        )
        is_gone = lambda: machines.get(KUBEVIRT, "virtualmachines/vm") is None  # noqa: E731
        machines.kubevirt.eventually(is_gone, limit_s=90, what="the garbage collector has let go of its dependents")
        seen = machines.look("vm")
        assert (seen.state, seen.instance_uid) == (MachineState.STOPPING, running.instance_uid)
        assert [each.instance_uid for each in machines.cluster.owned()] == [running.instance_uid]
        machines.cluster.remove(machines.namespace, "vm")
        machines.until_gone("vm")

    def test_a_quota_on_gpus_lets_it_wait(self, machines: KubeVirtBench) -> None:
        machines.add_node("gpu-1", gpus={H100: 1})
        machines.limit({f"requests.{H100}": "0"})
        machines.apply("vm")
        seen = machines.until_trouble("vm", "QuotaExceeded")
        assert seen.state is MachineState.WAITING
        assert seen.trouble is not None
        assert f"requests.{H100}=1" in seen.trouble.message

    def test_a_quota_on_machines_refuses_it(self, machines: KubeVirtBench) -> None:
        machines.limit({"count/virtualmachines.kubevirt.io": "0"})
        with pytest.raises(QuotaExceeded, match="exceeded quota"):
            machines.apply("vm")
        machines.cluster.remove(machines.namespace, "vm")
        assert machines.get("/api/v1", "secrets/vm-seed") is None, "nothing is left of it"

    def test_a_namespace_that_admits_no_launchers(self, machines: KubeVirtBench) -> None:
        labels = {
            "metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            "apiVersion": "v1",
            "kind": "Namespace",
        }
        machines.api.apply(f"/api/v1/namespaces/{machines.namespace}", labels, force=False)
        machines.apply("vm")
        seen = machines.until_trouble("vm", "Refused")
        assert seen.trouble is not None
        assert seen.trouble.is_final
        assert "violates PodSecurity" in seen.trouble.message


RULES = [
    {
        "apiGroups": ["kubevirt.io"],
        "resources": ["virtualmachines"],
        "verbs": ["create", "get", "list", "watch", "patch", "delete"],
    },
    {"apiGroups": ["kubevirt.io"], "resources": ["virtualmachineinstances"], "verbs": ["get", "list", "watch", "delete"]},
    {"apiGroups": ["kubevirt.io"], "resources": ["kubevirts"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "get", "patch", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]},
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
]
"""What docs/reference/kubevirt.md says is needed; without the rest explanations are poorer."""


class TestRights:
    def test_a_whole_life_with_the_rights_that_are_documented(self, machines: KubeVirtBench) -> None:
        machines.add_node("gpu-1", gpus={H100: 1})
        limited = machines.as_user("driver", RULES)
        limited.cluster.subscribe(limited.listen)
        running = limited.run("vm")
        limited.cluster.restart(limited.namespace, "vm", instance_uid=running.instance_uid)
        limited.until(lambda: limited.look("vm").instance_uid not in {"", running.instance_uid})
        second = limited.until_state("vm", MachineState.RUNNING)
        survey = limited.cluster.survey()
        assert (survey.nodes[0].devices_used, survey.storage_classes) == (((H100, 1),), ())
        limited.cluster.destroy(limited.namespace, "vm", instance_uid=second.instance_uid)
        limited.cluster.remove(limited.namespace, "vm")
        limited.until_gone("vm")
        assert limited.cluster.owned() == ()
        limited.close()

    def test_without_any_it_is_not_allowed(self, machines: KubeVirtBench) -> None:
        limited = machines.as_user("nobody", RULES[2:3])
        for call in (limited.cluster.owned, limited.cluster.survey, lambda: limited.look("vm"), lambda: limited.apply("vm")):
            with pytest.raises(NotAllowed, match="nobody"):
                call()
        limited.close()
