"""The nodes' part: what kubelet, virt-handler, virt-launcher and the guest do to a pod that is bound to a node that lives.

    pod bound -> pod runs -> instance Scheduled -> Running -> agent
    pod or instance deleted -> ACPI, or the grace time -> instance final -> pod ends -> pod gone

One look is one step, and says when the next one is due. A node that is lost does nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.kubernetes.kubevirt import conditions, guest_reports
from tests.kubernetes.kubevirt.api import Api, Conflict
from tests.kubernetes.kubevirt.events import HANDLER, Recorder
from tests.kubernetes.kubevirt.fields import Document, Key, at, is_deleting, items, key_of, uid_of
from tests.kubernetes.kubevirt.guests import Guest, Guests
from tests.kubernetes.kubevirt.instance_status import is_final, phase_of, with_phase
from tests.kubernetes.kubevirt.kubelet import Kubelet
from tests.kubernetes.kubevirt.mirror import Mirror
from tests.kubernetes.kubevirt.pace import (
    ACPI_S,
    AGENT_ANSWERS_S,
    FAILS_EARLY_S,
    GRACE_UNSET_S,
    GUEST_RUNS_S,
    POD_ENDS_S,
    POD_READY_S,
    SECRET_LOOK_S,
    Pace,
)
from tests.kubernetes.kubevirt.printable_status import FINAL
from tests.kubernetes.kubevirt.resources import INSTANCES, LABEL_CREATED_BY
from tests.kubernetes.kubevirt.timers import Timers


class NodeSide:
    """`reconcile` is one look at one pod; it is called from one thread."""

    def __init__(
        self,
        api: Api,
        *,
        pods: Mirror,
        instances: Mirror,
        events: Recorder,
        guests: Guests,
        pace: Pace,
        is_alive: Callable[[str], bool],
    ) -> None:
        self._api = api
        self._pods = pods
        self._instances = instances
        self._events = events
        self._guests = guests
        self._pace = pace
        self._is_alive = is_alive
        self._kubelet = Kubelet(api, pods=pods, events=events)
        self._timers = Timers()
        self._uids: dict[Key, str] = {}

    def reconcile(self, key: Key) -> float | None:
        pod = self._pods.get(key)
        if pod is None:
            self._timers.forget(self._uids.pop(key, ""))
            return None
        if not self._is_alive(at(pod, "spec", "nodeName", default="")):
            return None
        self._uids[key] = uid_of(pod)
        instance = self._instance_of(pod)
        guest = self._guests.of((key[0], at(pod, "metadata", "annotations", "kubevirt.io/domain", default=key[1])))
        if is_deleting(pod) or (instance is not None and is_deleting(instance)):
            return self._end(pod, instance, guest)
        if instance is not None and is_final(instance):
            return self._finish(pod, instance)
        phase = at(pod, "status", "phase", default="Pending")
        if phase == "Pending":
            return self._run_pod(pod, guest)
        if instance is None:
            return None
        if phase in FINAL:
            return self._lose_launcher(instance)
        return self._guest(pod, instance, guest)

    def _instance_of(self, pod: Document) -> Document | None:
        uid = (pod["metadata"].get("labels") or {}).get(LABEL_CREATED_BY)
        name = at(pod, "metadata", "annotations", "kubevirt.io/domain", default="")
        found = self._instances.get((pod["metadata"]["namespace"], name))
        return found if found is not None and uid_of(found) == uid else None

    def _run_pod(self, pod: Document, guest: Guest) -> float | None:
        left_s = self._timers.left_s(uid_of(pod), "pod", self._pace.s(POD_READY_S))
        if guest.image_trouble is not None:
            self._kubelet.wait(pod, *guest.image_trouble)
            return None  # the guest's handle asks for the next look
        if self._kubelet.missing_secret(pod):
            self._kubelet.wait(pod, "ContainerCreating")
            return self._pace.s(SECRET_LOOK_S)
        if left_s > 0:
            return left_s
        self._kubelet.run(pod, address=guest.address)
        return None

    def _guest(self, pod: Document, instance: Document, guest: Guest) -> float | None:
        uid, phase = uid_of(pod), phase_of(instance)
        if phase == "Scheduled":
            left_s = self._timers.left_s(uid, "guest", self._pace.s(GUEST_RUNS_S))
            if self._timers.has_begun(uid, "early failure") or guest.take_early_failure():
                return self._fail_early(uid, instance)
            if left_s > 0:
                return left_s
            self._write(instance, guest_reports.running(instance, address=guest.address))
            self._events.normal(instance, "Created", "VirtualMachineInstance defined.", source=HANDLER)
            self._events.normal(instance, "Started", "VirtualMachineInstance started.", source=HANDLER)
            return 0.0
        if phase != "Running":
            return None
        asked = guest.take_end()
        return self._go_as_asked(instance, guest, asked) if asked else self._agent(uid, instance, guest)

    def _fail_early(self, uid: str, instance: Document) -> float | None:
        left_s = self._timers.left_s(uid, "early failure", self._pace.s(FAILS_EARLY_S))
        return left_s if left_s > 0 else self._go(instance, "Failed")

    def _agent(self, uid: str, instance: Document, guest: Guest) -> float | None:
        connected = conditions.has(items(instance, "status", "conditions"), "AgentConnected", status=True)
        if guest.is_silent:
            self._timers.restart(uid, "agent")
        left_s = 0.0 if guest.is_silent else self._timers.left_s(uid, "agent", self._pace.s(AGENT_ANSWERS_S))
        answers = not guest.is_silent and left_s <= 0
        if answers != connected:
            self._write(instance, guest_reports.with_agent(instance, answers=answers, address=guest.address))
        else:
            self._write(instance, guest_reports.with_address(instance, guest.address))
        return left_s if left_s > 0 else None

    def _end(self, pod: Document, instance: Document | None, guest: Guest) -> float | None:
        """What a deleted pod or instance comes to."""
        if instance is None or is_final(instance):
            return self._finish(pod, instance)
        phase = phase_of(instance)
        if phase == "Scheduled":
            return self._go(instance, "Failed")
        if phase == "Running":
            return self._shut_down(pod, instance, guest)
        return self._finish(pod, None) if is_deleting(pod) else None

    def _shut_down(self, pod: Document, instance: Document, guest: Guest) -> float | None:
        uid = uid_of(pod)
        grace_s = at(instance, "spec", "terminationGracePeriodSeconds", default=GRACE_UNSET_S)
        if grace_s == 0:
            return self._go(instance, "Succeeded")
        if is_deleting(pod):  # usually half a minute more than its instance's; somebody may have shortened it
            grace_s = min(grace_s, at(pod, "metadata", "deletionGracePeriodSeconds", default=grace_s))
        if not self._timers.has_begun(uid, "shutdown"):
            self._events.normal(instance, "ShuttingDown", "Signaled Graceful Shutdown", source=HANDLER)
        waited_s = -self._timers.left_s(uid, "shutdown", 0.0)
        if waited_s >= self._pace.s(grace_s):
            self._events.normal(instance, "Deleted", "VirtualMachineInstance stopping", source=HANDLER)
            return self._go(instance, "Failed")
        asked = guest.take_end()
        if asked:
            return self._go_as_asked(instance, guest, asked)
        left_s = self._pace.s(grace_s if guest.ignores_acpi else min(ACPI_S, grace_s)) - waited_s
        return left_s if left_s > 0 else self._go(instance, "Succeeded")

    def _lose_launcher(self, instance: Document) -> float | None:
        """The launcher ended under a guest that was not told to."""
        return self._go(instance, "Failed") if phase_of(instance) in ("Scheduled", "Running") else None

    def _go_as_asked(self, instance: Document, guest: Guest, phase: str) -> float | None:
        """As a test said; said again if somebody else was faster to write."""
        try:
            return self._go(instance, phase)
        except Conflict:
            guest.give_back_end(phase)
            raise

    def _go(self, instance: Document, phase: str) -> float | None:
        ran = phase_of(instance) == "Running"
        self._write(instance, with_phase(instance, phase))
        if phase == "Failed":
            self._events.warning(instance, "Stopped", "The VirtualMachineInstance crashed.", source=HANDLER)
        elif ran:
            self._events.normal(instance, "Stopped", "The VirtualMachineInstance was shut down.", source=HANDLER)
        return 0.0

    def _finish(self, pod: Document, instance: Document | None) -> float | None:
        """The pod ends, and goes if it was deleted."""
        if at(pod, "status", "phase", default="Pending") not in FINAL:
            failed = instance is None or phase_of(instance) == "Failed"
            self._kubelet.end(pod, "Failed" if failed else "Succeeded")
        if not is_deleting(pod):
            return None
        left_s = self._timers.left_s(uid_of(pod), "end", self._pace.s(POD_ENDS_S))
        if left_s > 0:
            return left_s
        self._kubelet.remove(pod)
        return None

    def _write(self, before: Document, after: Document) -> None:
        if after != before:
            self._instances.put(self._api.update(INSTANCES, after))


def pods_of(pods: Mirror, instance: Document) -> list[Key]:
    """Which pods a change of an instance concerns."""
    return [key_of(each) for each in pods.labelled(LABEL_CREATED_BY, uid_of(instance))]
