"""The bench of the contract of clusters for the real driver: a real API server and scheduler, with KubeVirt played."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from provisioner.clocks import SystemClock
from provisioner.drivers.kubevirt.api import APPLY_PATCH, Api, Document
from provisioner.drivers.kubevirt.connector import KubeVirtConnector
from provisioner.drivers.kubevirt.uri import parse
from tests.contract.machine_clusters import H100, H200, MachineBench
from tests.kubernetes.kubevirt.cluster import KubeVirtCluster

PACE = 0.1
"""Ten times as fast as it was observed."""
DRIVER = "gpu.example.com"
ADDRESS = "0000:41:00.0"
LIMIT_S = 40.0


class KubeVirtBench(MachineBench):
    """Time passes by itself."""

    def __init__(self, kubevirt: KubeVirtCluster, *, uri: str = "") -> None:
        super().__init__()
        self.kubevirt = kubevirt
        self.namespace = kubevirt.namespace
        self.uri = uri or f"kubevirt:?kubeconfig={kubevirt.kubeconfig}"
        self._opened = KubeVirtConnector(clock=SystemClock())
        self.connector = self._opened
        if not uri:
            kubevirt.time_scale = PACE
            self.permit(H100, "10DE:2321")
            self.permit(H200, "10DE:2335")

    @property
    def api(self) -> Api:
        """The API server as the driver speaks to it."""
        return Api.at(parse(self.uri), clock=SystemClock())

    def get(self, group: str, path: str) -> Document | None:
        """An object of the namespace."""
        kind, _, name = path.partition("/")
        return self.api.find(f"{group}/namespaces/{self.namespace}/{kind}/{name}")

    def limit(self, hard: dict[str, str]) -> None:
        """A ResourceQuota, in force at once: its status is what admission goes by."""
        path = f"/api/v1/namespaces/{self.namespace}/resourcequotas"
        made: Document = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"}, "spec": {"hard": hard}}
        self.kubevirt.plane.admin.post(path, made)
        status = made | {"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}
        query = {"fieldManager": "tests", "force": "true"}
        self.api.request("PATCH", f"{path}/tight/status", query=query, body=status, content_type=APPLY_PATCH)

    def as_user(self, name: str, rules: list[Document]) -> KubeVirtBench:
        """The same cluster for somebody with these rights and no others."""
        name = f"{name}-{self.namespace}"
        meta = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}
        admin, path = self.kubevirt.plane.admin, "/apis/rbac.authorization.k8s.io/v1"
        admin.post(f"{path}/clusterroles", meta | {"kind": "ClusterRole", "rules": rules})
        admin.post(f"{path}/clusterrolebindings", meta | {"kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]})
        return KubeVirtBench(self.kubevirt, uri=f"kubevirt:?kubeconfig={self.kubevirt.plane.kubeconfig_of(name)}")

    def close(self) -> None:
        """Give up the connections."""
        self._opened.close()

    def until(self, holds: Callable[[], bool], *, what: Callable[[], str] = lambda: "it") -> None:
        try:
            self.kubevirt.eventually(holds, limit_s=LIMIT_S)
        except AssertionError as error:
            raise AssertionError(f"{error}: {what()}") from None

    def wait_a_moment(self) -> None:
        """A machine of ours that is made meanwhile is a sign that whatever came before is done."""
        self.apply("a-moment", is_to_run=False, owner_uid="00000000-0000-0000-0000-000000000000")
        self.until(lambda: bool((self.kubevirt.vm(self.namespace, "a-moment") or {}).get("status", {}).get("printableStatus")))
        self.cluster.remove(self.namespace, "a-moment")
        self.until_gone("a-moment")

    def add_node(self, name: str, *, gpus: dict[str, int], labels: dict[str, str] | None = None) -> None:
        self.kubevirt.add_node(name, gpus=gpus, labels=labels or {})

    def permit(self, resource: str, vendor_device: str) -> None:
        self.kubevirt.permit(resource, vendor_device)

    def crash(self, name: str) -> None:
        self.kubevirt.guest(self.namespace, name).crash()

    def power_off(self, name: str) -> None:
        self.kubevirt.guest(self.namespace, name).power_off()

    def ignore_shutdown(self, name: str) -> None:
        self.kubevirt.guest(self.namespace, name).ignore_acpi()

    def fail_starts(self, name: str, *, times: int) -> None:
        self.kubevirt.guest(self.namespace, name).fail_before_running(times)

    def refuse_image(self, name: str) -> None:
        self.kubevirt.guest(self.namespace, name).refuse_image()

    def allow_image(self, name: str) -> None:
        self.kubevirt.guest(self.namespace, name).allow_image()

    def lose_node(self, name: str) -> None:
        self.kubevirt.lose_node(name)

    def ask_to_leave(self, name: str) -> None:
        pod = self.kubevirt.pods(self.namespace, name)[-1]["metadata"]
        answer = self._post(f"/api/v1/namespaces/{self.namespace}/pods/{pod['name']}/eviction", _eviction(pod))
        assert answer == 429, "an eviction is refused, and leaves its mark"

    def make_stranger(self, name: str) -> None:
        template = {"spec": {"domain": {"devices": {}, "memory": {"guest": "64Mi"}}}}
        body: Document = {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachine",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"runStrategy": "Halted", "template": template},
        }
        assert self._post(f"/apis/kubevirt.io/v1/namespaces/{self.namespace}/virtualmachines", body) == 201

    def offer_claims(self, node: str, template: str) -> str:
        self.kubevirt.offer_devices(node, driver=DRIVER, devices={"gpu-0": ADDRESS})
        self.kubevirt.claim_template(self.namespace, template, device_class=DRIVER)
        return ADDRESS

    def _post(self, path: str, body: Document) -> int:
        """The status of the answer to the administrator."""
        try:
            self.kubevirt.plane.admin.post(path, body)
        except httpx.HTTPStatusError as error:
            return error.response.status_code
        return httpx.codes.CREATED


def _eviction(pod: dict[str, str]) -> dict[str, object]:
    return {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod["name"], "namespace": pod["namespace"]}}
