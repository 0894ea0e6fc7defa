"""A node that is lost, in the observed order: silence, `Ready=Unknown`, virt-handler's label, the taint manager, then nobody.

A Node that is deleted is followed by the pod garbage collector instead. Both are played here because the real ones take minutes
in real time; where the time scale is 1 either may come first, with the same writes.
"""

from __future__ import annotations

import threading
import time

from tests.kubernetes.kubevirt.api import STRATEGIC, Api
from tests.kubernetes.kubevirt.conditions import condition
from tests.kubernetes.kubevirt.events import NODE_CONTROLLER, Recorder
from tests.kubernetes.kubevirt.fields import Document, at, is_deleting, key_of, stamp, uid_of
from tests.kubernetes.kubevirt.instance_status import is_final, with_condition, with_phase
from tests.kubernetes.kubevirt.mirror import Mirror
from tests.kubernetes.kubevirt.pace import HANDLER_LOST_S, HEARTBEAT_LOST_S, POD_GC_S, TAINT_EVICTS_S, Pace
from tests.kubernetes.kubevirt.resources import INSTANCES, LABEL_CREATED_BY, LABEL_SCHEDULABLE, NODES, PODS

TAINTED = ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
COLLECTED = ("DeletionByPodGC", "PodGC: node no longer exists")
UNRESPONSIVE = "NodeUnresponsive"


class Loss:
    """`step` is asked again and again; each part is done once, when its time has come."""

    def __init__(self, api: Api, *, pods: Mirror, instances: Mirror, events: Recorder, pace: Pace) -> None:
        self._api = api
        self._pods = pods
        self._instances = instances
        self._events = events
        self._pace = pace
        self._since: dict[str, float] = {}
        self._gone_since: dict[str, float] = {}
        self._done: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def begin(self, name: str) -> None:
        with self._lock:
            self._since[name] = time.monotonic()

    def step(self, name: str, node: Document | None) -> float | None:
        """What is due; returns the seconds until the next part, None after the last."""
        if node is None:
            return self._collect(name)
        with self._lock:
            since = self._since.get(name)
        if since is None:
            return None
        passed_s = time.monotonic() - since
        parts = ((HEARTBEAT_LOST_S, self._silence), (HANDLER_LOST_S, self._unlabel), (TAINT_EVICTS_S, self._evict))
        for seconds, part in parts:
            left_s = self._pace.s(seconds) - passed_s
            if left_s > 0:
                return left_s
            if (uid_of(node), part.__name__) not in self._done:
                part(node)
                self._done.add((uid_of(node), part.__name__))
        return None

    def _silence(self, node: Document) -> None:
        now = stamp()
        unknown = {
            "type": "Ready",
            "status": "Unknown",
            "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.",
            "lastTransitionTime": now,
        }
        path = NODES.path("", node["metadata"]["name"], "status")
        self._api.patch(path, {"status": {"conditions": [unknown]}}, content_type=STRATEGIC)
        for pod in self._on(node["metadata"]["name"]):
            body = {"status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": now}]}}
            self._api.patch(PODS.path(*key_of(pod), "status"), body, content_type=STRATEGIC)
            self._events.warning(pod, "NodeNotReady", "Node is not ready", source=NODE_CONTROLLER)

    def _unlabel(self, node: Document) -> None:
        path = NODES.path("", node["metadata"]["name"])
        self._api.patch(path, {"metadata": {"labels": {LABEL_SCHEDULABLE: "false"}}})
        text = "virt-handler is not responsive, marking node as unresponsive"
        self._events.normal(node, UNRESPONSIVE, text, source=NODE_CONTROLLER)

    def _evict(self, node: Document) -> None:
        for pod in self._on(node["metadata"]["name"]):
            if not is_deleting(pod):
                self._disrupt(pod, *TAINTED)
                self._api.delete(PODS.path(*key_of(pod)))

    def _collect(self, name: str) -> float | None:
        since = self._gone_since.setdefault(name, time.monotonic())
        left_s = self._pace.s(POD_GC_S) - (time.monotonic() - since)
        if left_s > 0:
            return left_s
        for pod in self._on(name):
            self._disrupt(pod, *COLLECTED, phase="Failed")
            self._fail_instance(pod, name)
            self._api.delete(PODS.path(*key_of(pod)), gracePeriodSeconds=0)
        return None

    def _fail_instance(self, pod: Document, node: str) -> None:
        uid = (pod["metadata"].get("labels") or {}).get(LABEL_CREATED_BY)
        found = next((each for each in self._instances.all() if uid_of(each) == uid), None)
        if found is None or is_final(found):
            return
        new = with_condition(
            with_phase(found, "Failed"), condition("Ready", False, "PodTerminating", "virt-launcher pod is terminating")
        )
        new["status"]["reason"] = UNRESPONSIVE
        self._instances.put(self._api.update(INSTANCES, new))
        text = f"virt-handler on node {node} is not responsive, marking VMI as failed"
        self._events.normal(found, UNRESPONSIVE, text, source=NODE_CONTROLLER)

    def _disrupt(self, pod: Document, reason: str, message: str, *, phase: str | None = None) -> None:
        disrupted = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": stamp(),
        }
        status = {"conditions": [disrupted]} | ({"phase": phase} if phase else {})
        self._api.patch(PODS.path(*key_of(pod), "status"), {"status": status}, content_type=STRATEGIC)

    def _on(self, node: str) -> list[Document]:
        return [each for each in self._pods.all() if at(each, "spec", "nodeName") == node]
