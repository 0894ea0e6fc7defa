"""virt-controller's part for VMs: starts and stops instances by run strategy, and writes what it saw.

A status is computed from what was there when the look began, so it is late by design: `Starting` is written when the instance
was just made, `created` when it was seen. One look makes one step of those that come first (status, annotations, finalizer).
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime

from tests.kubernetes.kubevirt.api import Api, Conflict, Refused
from tests.kubernetes.kubevirt.events import Recorder
from tests.kubernetes.kubevirt.fields import (
    Document,
    Key,
    at,
    controller_of,
    finalizers_of,
    is_deleting,
    items,
    key_of,
    uid_of,
)
from tests.kubernetes.kubevirt.instance_status import is_final
from tests.kubernetes.kubevirt.instancetypes import Instancetypes, NotFound
from tests.kubernetes.kubevirt.loop import Again
from tests.kubernetes.kubevirt.machine_status import Failure, Look, first_status, next_status
from tests.kubernetes.kubevirt.mirror import Mirror
from tests.kubernetes.kubevirt.new_instances import new_instance, new_revision
from tests.kubernetes.kubevirt.pace import Pace
from tests.kubernetes.kubevirt.resources import (
    DATA_VOLUMES,
    FINALIZER_CONTROLLER,
    INSTANCES,
    MACHINES,
    REVISIONS,
    VERSION_ANNOTATIONS,
)
from tests.kubernetes.kubevirt.restart_required import live_changes, restart_required
from tests.kubernetes.kubevirt.run_strategy import Action, decide

ORPHAN = "orphan"
NO_DATA_VOLUMES = "the server could not find the requested resource (post datavolumes.cdi.kubevirt.io)"


class Machines:
    """`reconcile` is one look at one VM; it is called from one thread."""

    def __init__(
        self, api: Api, *, machines: Mirror, instances: Mirror, events: Recorder, pace: Pace, chance: random.Random
    ) -> None:
        self._api = api
        self._machines = machines
        self._instances = instances
        self._events = events
        self._pace = pace
        self._chance = chance
        self._instancetypes = Instancetypes(api)

    def reconcile(self, key: Key) -> float | None:
        machine = self._machines.get(key)
        if machine is None:
            return None
        instance = self._instance_of(machine)
        if is_deleting(machine):
            return self._delete(machine, instance)
        if not at(machine, "status", "printableStatus"):
            self._put_status(machine, first_status(machine))
            return None
        if self._prepare(machine):
            return None
        return self._step(machine, instance)

    def _instance_of(self, machine: Document) -> Document | None:
        instance = self._instances.get(key_of(machine))
        owner = controller_of(instance) if instance is not None else None
        return instance if owner is not None and owner["uid"] == uid_of(machine) else None

    def _prepare(self, machine: Document) -> bool:
        """Annotations, then the finalizer; whether one of them was written."""
        annotations = machine["metadata"].get("annotations") or {}
        if not VERSION_ANNOTATIONS.items() <= annotations.items():
            return self._patch(machine, {"annotations": VERSION_ANNOTATIONS})
        if FINALIZER_CONTROLLER not in finalizers_of(machine):
            return self._patch(machine, {"finalizers": [*finalizers_of(machine), FINALIZER_CONTROLLER]})
        return False

    def _patch(self, machine: Document, metadata: Document) -> bool:
        body = {"metadata": {**metadata, "resourceVersion": machine["metadata"]["resourceVersion"]}}
        self._machines.put(self._api.patch(MACHINES.path(*key_of(machine)), body))
        return True

    def _step(self, machine: Document, instance: Document | None) -> float | None:
        decision = decide(machine, instance, now=datetime.now(UTC))
        look = Look(machine, instance, asks_to_start=decision.asks_to_start)
        if decision.action is Action.START:
            look = self._start(look)
        elif decision.action is Action.STOP and instance is not None:
            self._stop(machine, instance)
            look = replace(look, stop_expected=True)
        elif instance is not None and not is_final(instance) and not is_deleting(instance):
            look = replace(look, restart_required=self._compare(machine, instance))
        self._write(look)
        if look.failure is not None:
            raise Again(look.failure.message)
        return decision.wait_s

    def _start(self, look: Look) -> Look:
        machine = look.machine
        if at(machine, "spec", "runStrategy") == "WaitAsReceiver":
            return look
        if items(machine, "spec", "dataVolumeTemplates") and (failure := self._make_data_volumes(machine)):
            return replace(look, failure=failure)
        try:
            found = self._instancetypes.find(machine)
        except NotFound as absent:
            return replace(look, failure=absent.failure)
        kept = self._instancetypes.keep(machine, found)
        machine = {**machine, "status": {**(machine.get("status") or {}), **kept}}
        try:
            self._api.ensure(REVISIONS, new_revision(machine))
            made = self._api.create(INSTANCES, new_instance(machine, found))
        except Conflict:
            return replace(look, machine=machine)  # of an earlier instance something is left; its end brings the next look
        except Refused as refusal:
            failure = Failure("FailedCreate", f"Failure while starting VMI: {refusal}")
            self._events.warning(machine, "FailedCreate", f"Error creating virtual machine instance: {refusal}")
            return replace(look, machine=machine, failure=failure)
        self._instances.put(made)
        name = made["metadata"]["name"]
        text = f"Started the virtual machine by creating the new virtual machine instance {name}"
        self._events.normal(machine, "SuccessfulCreate", text)
        return replace(look, machine=machine, start_expected=True)

    def _make_data_volumes(self, machine: Document) -> Failure | None:
        for template in items(machine, "spec", "dataVolumeTemplates"):
            name = at(template, "metadata", "name")
            body = {**template, "metadata": {**template["metadata"], "namespace": machine["metadata"]["namespace"]}}
            try:
                self._api.ensure(DATA_VOLUMES, body)
            except Refused as refusal:
                text = NO_DATA_VOLUMES if refusal.code == 404 else str(refusal)
                self._events.warning(machine, "FailedDataVolumeCreate", f"Error creating DataVolume {name}: {text}")
                message = f"Error encountered while creating DataVolumes: failed to create DataVolume: {text}"
                return Failure("FailedCreate", message)
        return None

    def _stop(self, machine: Document, instance: Document) -> None:
        uid = uid_of(instance)
        left = self._api.delete(INSTANCES.path(*key_of(instance)), preconditions={"uid": uid})
        if left is not None and left.get("kind") == INSTANCES.kind:
            self._instances.put(left)
        text = f"Stopped the virtual machine by deleting the virtual machine instance {uid}"
        self._events.normal(machine, "SuccessfulDelete", text)

    def _compare(self, machine: Document, instance: Document) -> str:
        """Live changes go to the instance; the words for what needs a restart are returned."""
        name = str(at(instance, "status", "virtualMachineRevisionName", default=""))
        if name.endswith(f"-{machine['metadata']['generation']}"):
            return ""
        revision = self._api.get(REVISIONS.path(machine["metadata"]["namespace"], name))
        if revision is None:
            return ""
        changed = live_changes(instance, machine)
        if changed is not None:
            self._instances.put(self._api.update(INSTANCES, changed))
        return restart_required(revision["data"]["spec"], machine)

    def _delete(self, machine: Document, instance: Document | None) -> float | None:
        if FINALIZER_CONTROLLER not in finalizers_of(machine):
            return None
        if instance is None or ORPHAN in finalizers_of(machine):
            self._patch(machine, {"finalizers": [each for each in finalizers_of(machine) if each != FINALIZER_CONTROLLER]})
            return None
        if not is_deleting(instance):
            self._stop(machine, instance)
        self._write(Look(machine, instance, stop_expected=True))
        return None

    def _write(self, look: Look) -> None:
        new = next_status(look, chance=self._chance.random, scale=self._pace.scale)
        current = self._machines.get(key_of(look.machine)) or look.machine
        if new != (current.get("status") or {}):
            self._put_status(look.machine, new)

    def _put_status(self, machine: Document, status: Document) -> None:
        self._machines.put(self._api.update(MACHINES, {**machine, "status": status}, "status"))
