"""virt-controller's part for instances: one pod for each, the phases until the node side takes over, finalizers at the end.

One look is one step: everything it needs is in the objects, so a stand-in that was paused goes on where it was. What cannot be
rendered or created is written into the instance and tried again, later each time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from tests.kubernetes.kubevirt import conditions
from tests.kubernetes.kubevirt.api import STRATEGIC, Api, Refused
from tests.kubernetes.kubevirt.conditions import condition
from tests.kubernetes.kubevirt.events import Recorder
from tests.kubernetes.kubevirt.fields import Document, Key, at, is_deleting, items, key_of, stamp, uid_of
from tests.kubernetes.kubevirt.instance_status import is_going, next_instance, phase_of, with_condition
from tests.kubernetes.kubevirt.launcher_pods import UNPAUSED, NotPermitted, claim_of, render
from tests.kubernetes.kubevirt.loop import Again
from tests.kubernetes.kubevirt.mirror import Mirror
from tests.kubernetes.kubevirt.pace import Pace
from tests.kubernetes.kubevirt.resources import CLAIMS_OF_VOLUMES, INSTANCES, LABEL_CREATED_BY, LABEL_NODE, PODS

VOLUME_LOOK_S = 1.0
TOLD_DELETED_MAX = 3


class Instances:
    """`reconcile` is one look at one instance; it is called from one thread."""

    def __init__(
        self,
        api: Api,
        *,
        instances: Mirror,
        pods: Mirror,
        events: Recorder,
        pace: Pace,
        permitted: Callable[[], Collection[str]],
    ) -> None:
        self._api = api
        self._instances = instances
        self._pods = pods
        self._events = events
        self._pace = pace
        self._permitted = permitted
        self._told_deleted: dict[str, set[str]] = {}

    def reconcile(self, key: Key) -> float | None:
        instance = self._instances.get(key)
        if instance is None:
            return None
        pods = self._pods.labelled(LABEL_CREATED_BY, uid_of(instance))
        pod = pods[-1] if pods else None
        if pod is None and phase_of(instance) in ("", "Pending") and not is_deleting(instance):
            return self._make_pod(instance)
        if is_deleting(instance):
            for each in pods:
                self._delete(instance, each)
        if pod is not None and not is_going(pod) and not _is_unpaused(pod):
            self._unpause(pod)
        self._write(instance, next_instance(instance, pod))
        if pod is not None and phase_of(instance) in ("Scheduled", "Running") and not is_going(pod):
            self._label(pod)
        return None

    def _make_pod(self, instance: Document) -> float | None:
        missing = self._missing_volume(instance)
        if missing:
            return self._wait_for_volume(instance, missing)
        try:
            pod = render(instance, self._permitted())
        except NotPermitted as refusal:
            self._not_synchronized(instance, f"failed to render launch manifest: {refusal}")
            raise Again(str(refusal)) from refusal
        try:
            made = self._api.create(PODS, pod)
        except Refused as refusal:
            self._events.warning(instance, "FailedCreate", f"Error creating pod: {refusal}")
            self._not_synchronized(instance, f"failed to create virtual machine pod: {refusal}")
            raise Again(str(refusal)) from refusal
        self._pods.put(made)
        name = made["metadata"]["name"]
        self._events.normal(instance, "SuccessfulCreate", f"Created virtual machine pod {name}")
        return None

    def _missing_volume(self, instance: Document) -> str:
        namespace = instance["metadata"]["namespace"]
        claims = [claim for each in items(instance, "spec", "volumes") if (claim := claim_of(each))]
        return next((each for each in claims if self._api.get(CLAIMS_OF_VOLUMES.path(namespace, each)) is None), "")

    def _wait_for_volume(self, instance: Document, claim: str) -> float:
        text = f"PVC {instance['metadata']['namespace']}/{claim} does not exist, waiting for it to appear"
        if not conditions.has(items(instance, "status", "conditions"), "Synchronized", status=False):
            self._events.normal(instance, "FailedPvcNotFound", text)
        new = with_condition(instance, condition("PodScheduled", False, "Unschedulable", text))
        self._write(instance, with_condition(new, condition("Synchronized", False, "FailedPvcNotFound", text)))
        return self._pace.s(VOLUME_LOOK_S)

    def _not_synchronized(self, instance: Document, text: str) -> None:
        """Written once: a text with a new pod name in it would bring the next try at once."""
        if not conditions.has(items(instance, "status", "conditions"), "Synchronized", status=False, reason="FailedCreate"):
            self._write(instance, with_condition(instance, condition("Synchronized", False, "FailedCreate", text)))

    def _delete(self, instance: Document, pod: Document) -> None:
        """The event comes again as the pod goes, up to three times."""
        path = PODS.path(*key_of(pod))
        if not is_deleting(pod):
            left = self._api.delete(path, preconditions={"uid": uid_of(pod)})
            if left is not None and left.get("kind") == "Pod":
                self._pods.put(left)
        told = self._told_deleted.setdefault(uid_of(pod), set())
        state = f"{is_deleting(pod)} {at(pod, 'status', 'phase')}"
        if state not in told and len(told) < TOLD_DELETED_MAX:
            told.add(state)
            name = pod["metadata"]["name"]
            self._events.normal(instance, "SuccessfulDelete", f"Deleted virtual machine pod {name}")

    def _unpause(self, pod: Document) -> None:
        now = {"type": UNPAUSED, "status": "True", "lastProbeTime": None, "lastTransitionTime": stamp()}
        path = PODS.path(*key_of(pod), "status")
        self._pods.put(self._api.patch(path, {"status": {"conditions": [now]}}, content_type=STRATEGIC))

    def _label(self, pod: Document) -> None:
        node = at(pod, "spec", "nodeName")
        if (pod["metadata"].get("labels") or {}).get(LABEL_NODE) != node:
            patch = {"metadata": {"labels": {LABEL_NODE: node}}}
            self._pods.put(self._api.patch(PODS.path(*key_of(pod)), patch))

    def _write(self, before: Document, after: Document) -> None:
        if after != before:
            self._instances.put(self._api.update(INSTANCES, after))


def _is_unpaused(pod: Document) -> bool:
    return conditions.has(items(pod, "status", "conditions"), UNPAUSED, status=True)
