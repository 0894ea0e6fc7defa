"""What virt-controller writes into an instance after a look at it and its pod. Pure but for the clock.

Pending -> Scheduling          a pod is there
        -> Scheduled           its containers are ready: from now on the node side has the word
        -> Running, Succeeded  written by the node side only
any     -> Failed              the pod went, or ended before the guest ran
"""

from __future__ import annotations

from copy import deepcopy

from tests.kubernetes.kubevirt import conditions
from tests.kubernetes.kubevirt.conditions import GUEST_NOT_RUNNING, POD_NOT_EXISTS, POD_TERMINATING, condition
from tests.kubernetes.kubevirt.fields import Document, at, finalizers_of, is_deleting, items, stamp, uid_of
from tests.kubernetes.kubevirt.launcher_pods import IMAGE
from tests.kubernetes.kubevirt.overhead import overhead_bytes
from tests.kubernetes.kubevirt.printable_status import FINAL
from tests.kubernetes.kubevirt.quantities import memory
from tests.kubernetes.kubevirt.resources import FINALIZER_CONTROLLER, FINALIZER_FOREGROUND, LABEL_NODE

WAITS_FOR_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff"})
EVICTION_REQUESTED = ("EvictionRequested", "VMI is marked for eviction")


def phase_of(instance: Document) -> str:
    return str(at(instance, "status", "phase", default=""))


def is_final(instance: Document) -> bool:
    return phase_of(instance) in FINAL


def with_phase(instance: Document, phase: str) -> Document:
    """In this phase, which is stamped."""
    new = deepcopy(instance)
    status = new.setdefault("status", {})
    status["phase"] = phase
    status.setdefault("phaseTransitionTimestamps", []).append({"phase": phase, "phaseTransitionTimestamp": stamp()})
    return new


def with_condition(instance: Document, new: Document) -> Document:
    changed = deepcopy(instance)
    status = changed.setdefault("status", {})
    status["conditions"] = conditions.put(status.get("conditions") or [], new)
    return changed


def without_condition(instance: Document, kind: str) -> Document:
    changed = deepcopy(instance)
    status = changed.setdefault("status", {})
    if status.get("conditions"):
        status["conditions"] = conditions.without(status["conditions"], kind)
    return changed


def next_instance(instance: Document, pod: Document | None) -> Document:
    """The instance as it is to be written; an equal one where nothing is to be."""
    if is_final(instance) or (pod is None and is_deleting(instance)):
        return _ended(instance, pod)
    phase = phase_of(instance)
    if pod is None:
        return instance if phase in ("", "Pending") else _lost_its_pod(instance)
    if phase in ("", "Pending"):
        return _scheduling(instance)
    new = _with_pod(instance, pod)
    new = with_condition(new, _ready(new, pod))
    if phase == "Scheduling" and is_going(pod):
        return with_phase(new, "Failed")
    if phase == "Scheduling" and containers_are_ready(pod):
        return _scheduled(new, pod)
    return new


def is_going(pod: Document) -> bool:
    """Deleted or ended."""
    return is_deleting(pod) or at(pod, "status", "phase") in FINAL


def containers_are_ready(pod: Document) -> bool:
    return conditions.has(items(pod, "status", "conditions"), "ContainersReady", status=True)


def _ended(instance: Document, pod: Document | None) -> Document:
    if not is_final(instance):
        return with_phase(instance, "Failed")
    new = instance
    done = {FINALIZER_CONTROLLER} | ({FINALIZER_FOREGROUND} if pod is None and is_deleting(new) else set())
    if done & set(finalizers_of(new)):
        new = deepcopy(new)
        new["metadata"]["finalizers"] = [each for each in finalizers_of(new) if each not in done]
    return new if pod is None else with_condition(new, _ready(new, pod))


def _lost_its_pod(instance: Document) -> Document:
    new = with_condition(with_phase(instance, "Failed"), condition("Ready", False, *POD_NOT_EXISTS))
    new["status"].pop("activePods", None)
    return new


def _scheduling(instance: Document) -> Document:
    new = with_condition(with_phase(instance, "Scheduling"), condition("Ready", False, *GUEST_NOT_RUNNING))
    new["status"]["launcherContainerImageVersion"] = IMAGE
    new["status"].setdefault("memory", {})["memoryOverhead"] = memory(overhead_bytes(instance["spec"]))
    return without_condition(new, "Synchronized")


def _with_pod(instance: Document, pod: Document) -> Document:
    new = deepcopy(instance)
    new["status"]["activePods"] = {uid_of(pod): at(pod, "spec", "nodeName", default="")}
    new["status"]["qosClass"] = at(pod, "status", "qosClass", default="Burstable")
    new = _with_verdict(new, pod)
    waits = _waits_for_image(pod)
    if waits is not None:
        return with_condition(new, condition("Synchronized", False, str(waits["reason"]), str(waits.get("message") or "")))
    if conditions.find(items(new, "status", "conditions"), "Synchronized"):
        new = without_condition(new, "Synchronized")
    if at(new, "spec", "evictionStrategy") == "External" and at(new, "status", "evacuationNodeName"):
        new = with_condition(new, condition("EvictionRequested", True, *EVICTION_REQUESTED))
    return new


def _with_verdict(instance: Document, pod: Document) -> Document:
    """The scheduler's no is copied once, with the words it had then, and removed when the pod is bound: it never turns True."""
    verdict = conditions.find(items(pod, "status", "conditions"), "PodScheduled")
    held = conditions.find(items(instance, "status", "conditions"), "PodScheduled")
    refused = verdict is not None and verdict["status"] == "False" and verdict.get("reason") == "Unschedulable"
    if verdict is not None and refused:
        said = condition("PodScheduled", False, "Unschedulable", str(verdict.get("message") or ""))
        return instance if held is not None else with_condition(instance, said)
    return without_condition(instance, "PodScheduled") if held is not None and at(pod, "spec", "nodeName") else instance


def _waits_for_image(pod: Document) -> Document | None:
    for each in [*items(pod, "status", "initContainerStatuses"), *items(pod, "status", "containerStatuses")]:
        waiting = at(each, "state", "waiting", default={})
        if waiting.get("reason") in WAITS_FOR_IMAGE:
            return dict(waiting)
    return None


def _ready(instance: Document, pod: Document) -> Document:
    if is_going(pod):
        return condition("Ready", False, *POD_TERMINATING)
    if phase_of(instance) != "Running":
        return condition("Ready", False, *GUEST_NOT_RUNNING)
    held = conditions.find(items(pod, "status", "conditions"), "Ready") or {}
    return condition("Ready", held.get("status") == "True", held.get("reason") or "", held.get("message") or "")


def _scheduled(instance: Document, pod: Document) -> Document:
    new = with_phase(instance, "Scheduled")
    node = pod["spec"]["nodeName"]
    new["metadata"].setdefault("labels", {})[LABEL_NODE] = node
    new["status"]["nodeName"] = node
    new["status"]["migrationTransport"] = "Unix"
    networks = items(instance, "spec", "networks")
    new["status"]["interfaces"] = [{"name": each["name"], "podInterfaceName": f"eth{n}"} for n, each in enumerate(networks)]
    volumes = items(instance, "spec", "volumes")
    new["status"]["volumeStatus"] = [{"name": each["name"], "target": ""} for each in volumes]
    return new
