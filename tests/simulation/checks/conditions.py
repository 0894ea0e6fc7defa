"""What objects say of themselves: conditions belong to a generation, changes are taken in, a status stays small."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Condition, Key, Resource
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.model.vm_disk import VMDisk
from provisioner.store.protocol import ChangeType
from tests.simulation.checks.control_loop import EVERYTHING
from tests.simulation.checks.overdue import Overdue
from tests.simulation.checks.readiness import MACHINES
from tests.simulation.sight import HOSTS, TIME, Sight

TAKEN_IN_MAX_S = 900.0
"""Objects are looked at every 300 s; a pass may be in the middle of calls that each time out."""
CONDITIONS_MAX, STEPS_MAX = 24, 16
STATUS_CHARACTERS_MAX = 200_000
TRIES_BEFORE_MEASURED = 50


class ConditionsKnowTheirGeneration:
    """No condition, and no status, is of a generation of the spec that is yet to come, or that goes back."""

    name = "conditions-know-their-generation"
    watches = EVERYTHING - {HOSTS, TIME}

    def __init__(self) -> None:
        self._observed: dict[str, int] = {}
        """By uid: the generation that was seen last."""

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            resource, uid = change.resource, change.resource.metadata.uid
            if change.type is ChangeType.DELETED:
                self._observed.pop(uid, None)
                continue
            generation, status = resource.metadata.generation, resource.status
            ahead = [known.type for known in status.conditions if known.observed_generation > generation]
            if ahead or status.observed_generation > generation:
                yield f"{resource.key} is of generation {generation}, and {', '.join(ahead) or 'its status'} is of a later one"
            if status.observed_generation < self._observed.get(uid, 0):
                seen = self._observed[uid]
                yield f"the status of {resource.key} was of generation {seen}, and is of {status.observed_generation} again"
            self._observed[uid] = status.observed_generation


class TransitionsAreDated:
    """A condition has one entry, and its time changes when and only when its status does."""

    name = "transitions-are-dated"
    watches = EVERYTHING - {HOSTS, TIME}

    def __init__(self) -> None:
        self._known: dict[str, tuple[Condition, ...]] = {}

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            resource, uid = change.resource, change.resource.metadata.uid
            conditions = resource.status.conditions
            before = self._known.get(uid, ())
            if change.type is ChangeType.DELETED:
                self._known.pop(uid, None)
            elif conditions is not before:
                self._known[uid] = conditions
                yield from self._misdated(resource, before)

    @staticmethod
    def _misdated(resource: Resource, before: tuple[Condition, ...]) -> Iterator[str]:
        known = {condition.type: condition for condition in before}
        conditions = resource.status.conditions
        if len({condition.type for condition in conditions}) != len(conditions):
            yield f"{resource.key} has a condition twice: {[condition.type for condition in conditions]}"
        for condition in conditions:
            old = known.get(condition.type)
            if old is None or old is condition:
                continue
            if old.status == condition.status and old.last_transition_time != condition.last_transition_time:
                yield f"{resource.key}: {condition.type} is {condition.status} as before, and its time is another one"


class ChangesAreTakenIn:
    """What is wanted of an object is seen by its controller before long."""

    name = "changes-are-taken-in"
    watches = MACHINES | {GPUHost.KIND, VMDisk.KIND, TIME}

    def __init__(self) -> None:
        self._unseen: Overdue[tuple[Key, str]] = Overdue(TAKEN_IN_MAX_S)

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes:
            resource = change.resource
            if isinstance(resource, VirtualMachine | GPUHost):
                metadata = resource.metadata
                is_seen = resource.is_being_deleted or resource.status.observed_generation == metadata.generation
                is_wrong = not is_seen and change.type is not ChangeType.DELETED
                host = metadata.name if isinstance(resource, GPUHost) else resource.status.host
                self._unseen.judge((resource.key, metadata.uid), sight, is_wrong=is_wrong, host=host)
        for (key, uid), for_s in self._unseen.late(sight):
            late = sight.of_uid(uid)
            if late is not None:
                seen, wanted = late.status.observed_generation, late.metadata.generation
                yield f"{key} is of generation {wanted}, and its status of {seen} for {for_s:.0f} s"


class StatusStaysSmall:
    """No status grows without end."""

    name = "status-stays-small"
    watches = EVERYTHING - {HOSTS, TIME}

    def __init__(self) -> None:
        self._writes: dict[str, int] = {}

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check. Counting is cheap; the whole is measured now and then."""
        for change in sight.changes:
            resource, uid = change.resource, change.resource.metadata.uid
            conditions, steps = len(resource.status.conditions), len(resource.status.steps)
            if conditions > CONDITIONS_MAX or steps > STEPS_MAX:
                yield f"{resource.key} has {conditions} conditions and {steps} records of steps"
            writes = self._writes[uid] = self._writes.get(uid, 0) + 1
            if writes % TRIES_BEFORE_MEASURED == 0:
                size = len(resource.status.model_dump_json()) + len(resource.metadata.model_dump_json())
                if size > STATUS_CHARACTERS_MAX:
                    yield f"{resource.key} has {size} characters of status and metadata after {writes} writes"


class StepsAreDated:
    """A step ends after it began. Times are written so that their order is that of the texts."""

    name = "steps-are-dated"
    watches = MACHINES | {GPUHost.KIND, VMDisk.KIND}

    def look(self, sight: Sight) -> Iterator[str]:
        """See Check."""
        for change in sight.changes if sight.clocks_agree else ():
            for step in change.resource.status.steps:
                if step.finished and step.finished < step.started:
                    yield f"{change.resource.key}: step {step.name} began at {step.started} and ended at {step.finished}"
