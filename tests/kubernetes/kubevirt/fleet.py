"""VMs of one test, by name: made, changed, looked at and waited for as a client does it."""

from __future__ import annotations

from typing import Any

from tests.kubernetes.kubevirt.api import Refused
from tests.kubernetes.kubevirt.cluster import KubeVirtCluster
from tests.kubernetes.kubevirt.conditions import find
from tests.kubernetes.kubevirt.fields import Document, at, items, uid_of
from tests.kubernetes.kubevirt.guests import Guest
from tests.kubernetes.kubevirt.resources import INSTANCES, MACHINES, PODS
from tests.kubernetes.kubevirt.specs import H100, gpu_spec, machine


class Fleet:
    """In the test's namespace."""

    def __init__(self, kubevirt: KubeVirtCluster) -> None:
        self.kubevirt = kubevirt
        self.namespace = kubevirt.namespace
        self.client = kubevirt.client

    def create(self, name: str, *gpus: str, strategy: str | None = "Always", **spec: Any) -> Document:
        """A VM with these GPUs, one H100 NVL unless said otherwise; raises Refused."""
        asked = gpu_spec(*(gpus or (H100,)), **spec)
        return self.client.create(MACHINES, machine(name, self.namespace, asked, strategy=strategy))

    def refusal(self, document: Document, **query: str) -> Refused | None:
        """Why the API server does not create this VM; None where it does."""
        asked = "&".join(f"{key}={value}" for key, value in query.items())
        try:
            self.client.request("POST", f"{MACHINES.collection(self.namespace)}?{asked}", document)
        except Refused as refusal:
            return refusal
        return None

    def patch(self, name: str, spec: Document) -> None:
        self.client.patch(MACHINES.path(self.namespace, name), {"spec": spec})

    def delete(self, name: str, **options: Any) -> None:
        self.client.delete(MACHINES.path(self.namespace, name), **options)

    def delete_instance(self, name: str) -> None:
        self.client.delete(INSTANCES.path(self.namespace, name))

    def delete_pod(self, name: str, **options: Any) -> None:
        pod = self.pod(name)
        self.client.delete(PODS.path(self.namespace, pod["metadata"]["name"]), **options)

    def evict(self, name: str, **options: Any) -> Refused | None:
        """Of the launcher pod, as a drain asks for it."""
        pod = self.pod(name)["metadata"]["name"]
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": self.namespace},
            **options,
        }
        try:
            self.client.request("POST", PODS.path(self.namespace, pod, "eviction"), body)
        except Refused as refusal:
            return refusal
        return None

    def guest(self, name: str) -> Guest:
        return self.kubevirt.guest(self.namespace, name)

    def status(self, name: str) -> Document:
        return dict(at(self.kubevirt.vm(self.namespace, name), "status", default={}))

    def printed(self, name: str) -> str:
        return str(self.status(name).get("printableStatus"))

    def condition(self, name: str, kind: str) -> tuple[str, str, str] | None:
        """Status, reason and message of a condition of the VM."""
        found = find(self.status(name).get("conditions") or [], kind)
        return (found["status"], found.get("reason") or "", found.get("message") or "") if found else None

    def instance(self, name: str) -> Document | None:
        return self.kubevirt.vmi(self.namespace, name)

    def instance_uid(self, name: str) -> str:
        return uid_of(self.instance(name) or {})

    def phase(self, name: str) -> str | None:
        return str(at(self.instance(name), "status", "phase", default="")) or None

    def pod(self, name: str) -> Document:
        pods = self.kubevirt.pods(self.namespace, name)
        assert pods, f"{name} has no pod"
        return pods[-1]

    def node(self, name: str) -> str:
        return str(at(self.instance(name), "status", "nodeName", default=""))

    def story(self, name: str) -> list[str]:
        return self.kubevirt.story(self.namespace, name)

    def until_told(self, name: str, line: str) -> list[str]:
        """Until the story ends with this line, which a watch may bring a moment after a look would show it."""
        self.kubevirt.eventually(lambda: self.story(name)[-1:] == [line], what=lambda: f"{line}; {self.story(name)}")
        return self.story(name)

    def statuses(self, name: str) -> list[str]:
        return self.kubevirt.statuses(self.namespace, name)

    def events(self, kind: str) -> list[tuple[str, str, str]]:
        return self.kubevirt.events(self.namespace, kind)

    def until(self, name: str, printed: str) -> None:
        """Until this is printed of it."""
        self.kubevirt.eventually(
            lambda: self.printed(name) == printed, what=lambda: f"{name} is {printed}; it was {self.statuses(name)}"
        )

    def until_ready(self, name: str, *, after: str = "") -> None:
        """Until it is ready, with another instance than `after`."""

        def holds() -> bool:
            return self.status(name).get("ready") is True and self.instance_uid(name) != after

        self.kubevirt.eventually(holds, what=lambda: f"{name} is ready; {self.story(name)}")

    def until_gone(self, name: str) -> None:
        """Until its name is free."""
        self.kubevirt.eventually(
            lambda: self.kubevirt.vm(self.namespace, name) is None, what=lambda: f"{name} is gone; {self.story(name)}"
        )

    def claims(self, name: str) -> list[Document]:
        return items(self.pod(name), "spec", "resourceClaims")
