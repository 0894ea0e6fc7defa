"""Why a machine does not get on, from what was read of it. Pure; the first that applies.

    node           it does not answer                                NodeLost
    machine        condition Failure: what its controller could not make
    instance       condition Synchronized: no pod, no image, no volume
    volume         an import that fails, a claim that is not bound   DiskMissing
    pod            not scheduled, containers that wait, events       Unschedulable, ImageNotPulled, SecretMissing, ClaimMissing
    start failure  tried again later                                 BackOff

Some of it stands in one place only: a missing Secret in an event of the kubelet, a missing claim template in one of the pod, a
device that is not permitted in one condition and no event. The scheduler's words are read on the pod: the copy can be stale.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from provisioner.drivers.kubevirt.sight import Document, Sight, condition, fails, holds, metadata, status
from provisioner.drivers.machine_cluster import MachineState, Trouble

MESSAGE_MAX_CHARS = 1_000
_ON_ITS_WAY = frozenset({MachineState.WAITING, MachineState.PLACED})
_NOT_PERMITTED = re.compile(r"(?:GPU|HostDevice) (\S+) is not permitted in permittedHostDevices")
_TEXTS: tuple[tuple[re.Pattern[str], str, bool], ...] = (
    (re.compile("permittedHostDevices"), "NotPermitted", True),
    (re.compile("exceeded quota"), "QuotaExceeded", False),
    (re.compile("violates PodSecurity"), "Refused", True),
    (re.compile(r"could not find the requested resource \(post datavolumes"), "DiskMissing", True),
    (re.compile("DataVolume|PersistentVolumeClaim|PVC "), "DiskMissing", False),
    (re.compile("denied the request|is invalid|Invalid value"), "Refused", True),
)
"""What a controller's text is about: the reason, and whether waiting is no use. Anything else is Refused, and tried again."""
_NO_PREEMPTION = re.compile(
    r"\s*(?:(?:no new claims to deallocate|still not schedulable|not found), )?preemption: .*$", re.DOTALL
)
_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable"})
_CONFIGURATION = frozenset({"CreateContainerConfigError", "CreateContainerError"})
_OF_EVENTS = {
    "FailedMount": "DiskMissing",
    "FailedAttachVolume": "DiskMissing",
    "FailedResourceClaimCreation": "ClaimMissing",
    "FailedCreatePodSandBox": "Refused",
    "UnexpectedAdmissionError": "Refused",
}
_SECRET = re.compile(r'secret "([^"]+)" not found|references non-existent secret', re.IGNORECASE)
_NO_CDI = "the cluster has no CDI, which imports disks"


def trouble_of(sight: Sight, state: MachineState) -> Trouble | None:
    """The trouble of a machine in that state; None if it gets on."""
    if state is MachineState.LOST:
        return _node(sight)
    if state in _ON_ITS_WAY:
        return next(filter(None, (look(sight) for look in _LOOKS)), None)
    if state in {MachineState.STOPPED, MachineState.STOPPING}:
        return _back_off(sight) or _failed(sight)
    return None


def _node(sight: Sight) -> Trouble:
    ready = condition(sight.node, "Ready") or condition(sight.instance, "Ready")
    since = ready.get("lastTransitionTime")
    how = "is gone" if sight.is_node_gone else "does not answer" + (f" since {since}" if since else "")
    return Trouble("NodeLost", f"node {sight.node_name} {how}; whether the machine runs there is not known")


def _machine(sight: Sight) -> Trouble | None:
    return _by_text(condition(sight.machine, "Failure").get("message"), sight) if holds(sight.machine, "Failure") else None


def _instance(sight: Sight) -> Trouble | None:
    if not fails(sight.instance, "Synchronized"):
        return None
    found = condition(sight.instance, "Synchronized")
    reason, message = str(found.get("reason", "")), str(found.get("message") or found.get("reason") or "")
    if reason in _IMAGE:
        return _trouble("ImageNotPulled", message, is_final=reason == "InvalidImageName")
    if reason == "FailedPvcNotFound":
        return _trouble("DiskMissing", message)
    return _by_text(message, sight)


def _volume(sight: Sight) -> Trouble | None:
    words = status(sight.machine).get("printableStatus")
    running = condition(sight.volume, "Running")
    told = str(running.get("message") or running.get("reason") or "") if running.get("status") == "False" else ""
    if words == "DataVolumeError":
        return _trouble("DiskMissing", f"the import of its disk failed: {told}".rstrip(": "))
    if words == "Provisioning" and re.search("error|fail|unable", told, re.IGNORECASE):
        return _trouble("DiskMissing", f"the import of its disk does not get on: {told}")
    if words == "WaitingForVolumeBinding":
        return _trouble("DiskMissing", "the volume claim of its disk is not bound yet")
    return None


def _scheduling(sight: Sight) -> Trouble | None:
    source = sight.pod if sight.pod is not None else sight.instance
    found = condition(source, "PodScheduled")
    if found.get("status") != "False" or (sight.pod or {}).get("spec", {}).get("nodeName"):
        return None
    message = _NO_PREEMPTION.sub("", str(found.get("message") or found.get("reason") or ""))
    is_disk = "PersistentVolumeClaim" in message or message.startswith("PVC ")
    return _trouble("DiskMissing" if is_disk else "Unschedulable", message)


def _containers(sight: Sight) -> Trouble | None:
    found = status(sight.pod)
    for container in (*(found.get("initContainerStatuses") or ()), *(found.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, message = str(waiting.get("reason", "")), str(waiting.get("message") or waiting.get("reason") or "")
        if reason in _IMAGE:
            return _trouble("ImageNotPulled", message, is_final=reason == "InvalidImageName")
        if reason in _CONFIGURATION:
            return _trouble("SecretMissing" if _SECRET.search(message) else "Refused", message)
    return _pod_failure(sight)


def _events(sight: Sight) -> Trouble | None:
    for event in sorted(sight.events, key=_last_told, reverse=True):
        reason, message = str(event.get("reason", "")), str(event.get("message", ""))
        if event.get("type") != "Warning":
            continue
        if reason == "FailedScheduling" and not sight.node_name:
            return _trouble("Unschedulable", _NO_PREEMPTION.sub("", message))
        if reason == "FailedMount" and _SECRET.search(message):
            return _trouble("SecretMissing", message)
        if reason in _OF_EVENTS:
            return _trouble(_OF_EVENTS[reason], message, is_final=reason == "FailedResourceClaimCreation")
    return None


def _back_off(sight: Sight) -> Trouble | None:
    failure = status(sight.machine).get("startFailure") or {}
    is_over = sight.instance is None or sight.is_final
    if not failure or not is_over or sight.run_strategy not in {"Always", "RerunOnFailure"}:
        return None
    times, after = failure.get("consecutiveFailCount", 1), failure.get("retryAfterTimestamp")
    message = f"it ended {times} times before its guest ran" if times != 1 else "it ended before its guest ran"
    return _trouble("BackOff", message + (f"; tried again after {after}" if after else ""))


def _failed(sight: Sight) -> Trouble | None:
    """Why it ended, of an instance that stays where it failed."""
    if sight.phase != "Failed":
        return None
    why = status(sight.instance).get("reason")
    if not why and sight.run_strategy == "Once" and status(sight.machine).get("startFailure"):
        why = "it ended before its guest ran"
    return _pod_failure(sight) or (_trouble("Refused", str(why)) if why else None)


def _pod_failure(sight: Sight) -> Trouble | None:
    """The kubelet's own words for a pod that it refused or ended; the compute container's exit says nothing."""
    found = status(sight.pod)
    if found.get("phase") != "Failed" or not (found.get("reason") or found.get("message")):
        return None
    return _trouble("Refused", ": ".join(str(found[key]) for key in ("reason", "message") if found.get(key)))


def _by_text(text: object, sight: Sight) -> Trouble:
    message = str(text or "")
    known = ((reason, is_final) for pattern, reason, is_final in _TEXTS if pattern.search(message))
    reason, is_final = next(known, ("Refused", False))
    if reason == "NotPermitted":
        message = _with_nearest(message, sight.permitted)
    if reason == "DiskMissing" and is_final:
        message = f"{_NO_CDI}: {message}"
    return _trouble(reason, message, is_final=is_final)


def _with_nearest(message: str, permitted: tuple[str, ...]) -> str:
    asked = _NOT_PERMITTED.search(message)
    if asked is None or not permitted:
        return message
    nearest = difflib.get_close_matches(asked.group(1), permitted, n=1, cutoff=0.6)
    return message + (f"; did you mean {nearest[0]}?" if nearest else f"; permitted: {', '.join(permitted)}")


def _trouble(reason: str, message: str, *, is_final: bool = False) -> Trouble:
    return Trouble(reason, message.strip()[:MESSAGE_MAX_CHARS], is_final=is_final)


def _last_told(event: Document) -> str:
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or metadata(event).get("creationTimestamp", "")
    )


_LOOKS: tuple[Callable[[Sight], Trouble | None], ...] = (
    _machine,
    _instance,
    _volume,
    _scheduling,
    _containers,
    _events,
    _back_off,
)


def needs_events(sight: Sight) -> bool:
    """Whether only the events of its pod can say what it waits for."""
    if sight.pod is None or sight.phase not in {"Pending", "Scheduling"}:
        return False
    return not any(look(sight) for look in (_machine, _instance, _volume, _scheduling, _containers))


def needs_permitted(sight: Sight) -> bool:
    """Whether the names that are permitted would help to explain."""
    return "permittedHostDevices" in str(condition(sight.instance, "Synchronized").get("message"))
