"""Nodes of the stand-in: what a kubelet, a device plugin and virt-handler say of them, and what follows when they fall silent.

The heartbeats are the stand-in's own (kwok would end a launcher pod at once, without the guest's shutdown); taints and their
tolerations are the real controller manager's. What it does after a minute of silence is brought forward by the time scale.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from tests.kubernetes.kubevirt import lost_nodes
from tests.kubernetes.kubevirt.api import STRATEGIC, Api, Conflict
from tests.kubernetes.kubevirt.events import Recorder
from tests.kubernetes.kubevirt.fields import Document, at, stamp
from tests.kubernetes.kubevirt.mirror import Mirror
from tests.kubernetes.kubevirt.pace import Pace
from tests.kubernetes.kubevirt.resources import LABEL_SCHEDULABLE, LEASES, NODES

LEASES_IN = "kube-node-lease"
LEASE_S = 40
HEARTBEAT_S = 10.0
DEVICES = {"devices.kubevirt.io/kvm": "1k", "devices.kubevirt.io/tun": "1k", "devices.kubevirt.io/vhost-net": "1k"}
LABELS = {
    "kubernetes.io/arch": "amd64",
    "kubernetes.io/os": "linux",
    "machine-type.node.kubevirt.io/q35": "true",
    LABEL_SCHEDULABLE: "true",
}


def node(name: str, *, gpus: Mapping[str, int], labels: Mapping[str, str], cpu: str, memory: str) -> Document:
    """A Node as it registers, Ready from the first moment."""
    amounts = {
        "cpu": cpu,
        "memory": memory,
        "pods": "110",
        "ephemeral-storage": "1Ti",
        **DEVICES,
        **{key: str(value) for key, value in gpus.items()},
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**LABELS, "kubernetes.io/hostname": name, **labels}},
        "status": {
            "allocatable": amounts,
            "capacity": amounts,
            "conditions": [ready("True", "KubeletReady", "kubelet is posting ready status")],
        },
    }


def ready(status: str, reason: str, message: str) -> Document:
    now = stamp()
    return {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }


class Nodes:
    """`reconcile` is one heartbeat of one node, or one step of its loss."""

    def __init__(self, api: Api, *, nodes: Mirror, pods: Mirror, instances: Mirror, events: Recorder, pace: Pace) -> None:
        self._api = api
        self._mirror = nodes
        self._loss = lost_nodes.Loss(api, pods=pods, instances=instances, events=events, pace=pace)
        self._alive: set[str] = set()
        self._added: set[str] = set()
        self._lock = threading.Lock()

    def add(self, document: Document) -> None:
        name = document["metadata"]["name"]
        with self._lock:
            self._alive.add(name)
            self._added.add(name)
        self._api.ensure(LEASES, _lease(name))
        self._api.create(NODES, document)

    def lose(self, name: str) -> None:
        """Its kubelet and its virt-handler fall silent."""
        with self._lock:
            self._alive.discard(name)
        self._loss.begin(name)

    def forget(self) -> list[str]:
        """All that were ever added; none has a heartbeat any more."""
        with self._lock:
            self._alive.clear()
            return sorted(self._added)

    def is_alive(self, name: str) -> bool:
        with self._lock:
            return name in self._alive

    def takes_pods(self, name: str) -> bool:
        found = self._mirror.get(("", name))
        return found is not None and not at(found, "spec", "taints")

    def reconcile(self, name: str) -> float | None:
        if self.is_alive(name):
            self._beat(name)
            return HEARTBEAT_S
        return self._loss.step(name, self._mirror.get(("", name)))

    def _beat(self, name: str) -> None:
        path = LEASES.path(LEASES_IN, name)
        held = self._api.get(path)
        if held is None:
            self._api.create(LEASES, _lease(name))
            return
        try:
            self._api.update(LEASES, {**held, "spec": _lease(name)["spec"]})
        except Conflict:
            return
        found = self._mirror.get(("", name))
        conditions = at(found, "status", "conditions", default=[])
        if any(each["type"] == "Ready" and each["status"] != "True" for each in conditions):
            again = ready("True", "KubeletReady", "kubelet is posting ready status")
            self._api.patch(NODES.path("", name, "status"), {"status": {"conditions": [again]}}, content_type=STRATEGIC)


def _lease(name: str) -> Document:
    return {
        "metadata": {"name": name, "namespace": LEASES_IN},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_S, "renewTime": _micro()},
    }


def _micro() -> str:
    return stamp().replace("Z", ".000000Z")
