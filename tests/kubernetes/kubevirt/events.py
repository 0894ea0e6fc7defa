"""Events as KubeVirt's recorders write them: one object for the same words about the same object, with a growing count."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass

from tests.kubernetes.kubevirt.api import Api, Refused
from tests.kubernetes.kubevirt.fields import Document, stamp, uid_of
from tests.kubernetes.kubevirt.resources import EVENTS

CONTROLLER = "virtualmachine-controller"
HANDLER = "virt-handler"
NODE_CONTROLLER = "node-controller"
KUBELET = "kubelet"
CLUSTER_SCOPED_IN = "default"


@dataclass(frozen=True, slots=True)
class Told:
    """What makes two events the same."""

    uid: str
    source: str
    type: str
    reason: str
    message: str


class Recorder:
    """Safe to use from several threads. An event that the API server refuses is dropped, as by a real recorder."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._written: dict[Told, Document] = {}
        self._lock = threading.Lock()

    def normal(self, about: Document, reason: str, message: str, *, source: str = CONTROLLER) -> None:
        self._tell(about, Told(uid_of(about), source, "Normal", reason, message))

    def warning(self, about: Document, reason: str, message: str, *, source: str = CONTROLLER) -> None:
        self._tell(about, Told(uid_of(about), source, "Warning", reason, message))

    def _tell(self, about: Document, told: Told) -> None:
        with self._lock:
            before = self._written.get(told)
            try:
                self._written[told] = self._create(about, told) if before is None else self._count(before)
            except Refused:
                self._written.pop(told, None)

    def _create(self, about: Document, told: Told) -> Document:
        namespace = about["metadata"].get("namespace", "")
        now = stamp()
        regarding = {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": about["metadata"]["name"],
            "namespace": namespace,
            "uid": told.uid,
        }
        body = {
            "metadata": {
                "name": f"{about['metadata']['name']}.{uuid.uuid4().hex[:16]}",
                "namespace": namespace or CLUSTER_SCOPED_IN,
            },
            "involvedObject": {key: value for key, value in regarding.items() if value},
            "type": told.type,
            "reason": told.reason,
            "message": told.message,
            "source": {"component": told.source},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        return self._api.create(EVENTS, body)

    def _count(self, before: Document) -> Document:
        path = EVENTS.path(before["metadata"]["namespace"], before["metadata"]["name"])
        return self._api.patch(path, {"count": int(before.get("count") or 1) + 1, "lastTimestamp": stamp()})
