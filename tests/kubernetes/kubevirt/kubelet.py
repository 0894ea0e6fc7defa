"""What a kubelet writes about a pod: that it waits, runs, has ended, is gone."""

from __future__ import annotations

from tests.kubernetes.kubevirt.api import STRATEGIC, Api
from tests.kubernetes.kubevirt.events import KUBELET, Recorder
from tests.kubernetes.kubevirt.fields import Document, at, items, key_of, stamp
from tests.kubernetes.kubevirt.mirror import Mirror
from tests.kubernetes.kubevirt.resources import PODS, SECRETS


class Kubelet:
    """Of all nodes that are alive."""

    def __init__(self, api: Api, *, pods: Mirror, events: Recorder) -> None:
        self._api = api
        self._pods = pods
        self._events = events

    def missing_secret(self, pod: Document) -> str:
        """The first volume's Secret that does not exist; told as an event. Empty where all are there."""
        for volume in items(pod, "spec", "volumes"):
            name = at(volume, "secret", "secretName")
            if name and self._api.get(SECRETS.path(pod["metadata"]["namespace"], name)) is None:
                text = f'MountVolume.SetUp failed for volume "{volume["name"]}" : secret "{name}" not found'
                self._events.warning(pod, "FailedMount", text, source=KUBELET)
                return str(name)
        return ""

    def wait(self, pod: Document, reason: str, message: str = "") -> None:
        """Its containers wait for something; written when it changes."""
        waiting = {"reason": reason} | ({"message": message} if message else {})
        current = items(pod, "status", "containerStatuses")
        if current and at(current[0], "state", "waiting") == waiting:
            return
        statuses = [_container(each, state={"waiting": waiting}) for each in items(pod, "spec", "containers")]
        self._status(pod, {"phase": "Pending", "containerStatuses": statuses})

    def run(self, pod: Document, *, address: str) -> None:
        """All containers are ready."""
        now = stamp()
        statuses = [_container(each, state={"running": {"startedAt": now}}) for each in items(pod, "spec", "containers")]
        kinds = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")
        conditions = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds]
        addresses = {"podIP": address, "podIPs": [{"ip": address}]} if address else {}
        self._status(
            pod,
            {"phase": "Running", "startTime": now, "conditions": conditions, "containerStatuses": statuses, **addresses},
        )

    def end(self, pod: Document, phase: str) -> None:
        """All containers have ended, well (`Succeeded`) or not (`Failed`)."""
        code = 0 if phase == "Succeeded" else 1
        state = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "finishedAt": stamp()}}
        statuses = [_container(each, state=state) for each in items(pod, "spec", "containers")]
        gone = [
            {
                "type": kind,
                "status": "False",
                "reason": f"Pod{'Completed' if code == 0 else 'Failed'}",
                "lastTransitionTime": stamp(),
            }
            for kind in ("ContainersReady", "Ready")
        ]
        self._status(pod, {"phase": phase, "conditions": gone, "containerStatuses": statuses})

    def remove(self, pod: Document) -> None:
        """Of a deleted pod nothing is left on the node."""
        self._api.delete(PODS.path(*key_of(pod)), gracePeriodSeconds=0)

    def _status(self, pod: Document, status: Document) -> None:
        path = PODS.path(*key_of(pod), "status")
        self._pods.put(self._api.patch(path, {"status": status}, content_type=STRATEGIC))


def _container(container: Document, *, state: Document) -> Document:
    runs = "running" in state
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": runs,
        "started": runs,
        "restartCount": 0,
        "state": state,
    }
