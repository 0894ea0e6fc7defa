"""One pass over one VM: reads what is wanted and what is there, and runs the table one way or the other.

                 ┌────────────── advance ──────────────┐
    Pending ──> Provisioning ──> Booting ──> Ready ──> (domain stopped) ──> unwind, again
       ^             │ Abort / deadline                     │ stop, restart
       └── back-off ─┴──> unwind ──(too often)──> Failed    └──> Stopping ──> Stopped
    deletion, from anywhere ──> Deleting ──> unwind everything ──> finalizer removed, gone

An attempt that fails is undone as a whole and tried again with growing pauses, at most FAILURES_MAX times; a new generation of
the spec or a request of the user starts the count anew. What was begun to be undone is undone to its end before anything goes
forward again, whatever is wanted by then. Every method returns the seconds until the next look, or None.
"""

from __future__ import annotations

from provisioner.drivers.hypervisor import DomainState
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.queue import backoff_s
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Stuck, Verdict
from provisioner.lifecycle.virtual_machine import access
from provisioner.lifecycle.virtual_machine.goal import Goal, ended_by_itself, goal
from provisioner.lifecycle.virtual_machine.judging import (
    FAILURE_BACKOFF_MOST_S,
    differences,
    forget_times_ahead,
    host_is_known,
    leave_behind,
    must_reserve_anew,
    phase_of,
)
from provisioner.lifecycle.virtual_machine.publishing import PublicationWatch
from provisioner.lifecycle.virtual_machine.record import keep_record
from provisioner.lifecycle.virtual_machine.requests import note_request, start_count_anew
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.lifecycle.virtual_machine.ways import advance, node_to_leave, note_gpu_health, state_now, table_of
from provisioner.model.clock import seconds, timestamp
from provisioner.model.metadata import Key, find_condition
from provisioner.model.virtual_machine import FINALIZER, REQUEST_ANNOTATION, Phase

HEARD_CHECK_S = 60.0
"""How often a Ready VM's domain is looked at where the host tells of its end; events can be lost, looking cannot."""
CHECK_S = 15.0
"""The same where it does not, and for the first time after it became Ready."""
STUCK_RETRY_S = 30.0
FAILURES_MAX = 3
FAILURE_BACKOFF_FIRST_S = 5.0
KEEP_ON_RESTART = frozenset({"reserve", "disk"})
NOTHING_KEPT: frozenset[str] = frozenset()


class Passes:
    """Runs passes; remembers, to save calls only, which steps it saw hold."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._settled: dict[Key, tuple[tuple[str, int], set[str]]] = {}
        """By the uid and the generation of the spec that they were seen to hold for: a name may be another VM's by now."""
        self._publications = PublicationWatch()

    def forget(self, key: Key) -> None:
        """Observe everything anew in the next pass."""
        self._settled.pop(key, None)
        self._publications.forget(key)

    def run(self, view: VirtualMachineView) -> float | None:
        """One pass."""
        wanted = goal(view.resource)
        forget_times_ahead(view)
        if wanted is not Goal.GONE:
            view.ensure_finalizer(FINALIZER)
            start_count_anew(view)
        if wanted is Goal.GONE:
            return self._tear_down(view)
        if view.resource.status.unwinding:
            return self._unwind_failure(view)
        if wanted is Goal.DOWN:
            return self._stop(view)
        if wanted is Goal.RESTART:
            return self._restart(view, request=view.resource.metadata.annotations.get(REQUEST_ANNOTATION, ""))
        if view.resource.status.stopping_since:
            return self._restart(view, request=view.resource.status.handled_request)
        return self._bring_up(view)

    # up

    def _bring_up(self, view: VirtualMachineView) -> float | None:
        status = view.resource.status
        if status.phase is Phase.FAILED:
            return None
        if status.retry_after and (left_s := seconds(status.retry_after) - self._ports.clock.now_s()) > 0:
            return left_s
        if view.holds("Ready"):
            return self._watch_over(view)
        verdict = advance(view, settled=self._settled_of(view))
        if isinstance(verdict, Done):
            note_request(view, phase=Phase.READY, completed=False)
            note_gpu_health(view)
            view.tell("Ready", f"on host {view.resource.status.host} at {view.resource.status.address}")
            return CHECK_S
        if isinstance(verdict, Retry):
            view.write(view.condition("Ready", "False", verdict.reason, verdict.message), phase=phase_of(view))
            return verdict.after_s
        assert isinstance(verdict, Abort)
        return self._fail(view, verdict)

    def _settled_of(self, view: VirtualMachineView) -> set[str]:
        metadata, key = view.resource.metadata, view.key
        which, known = (metadata.uid, metadata.generation), self._settled.get(key)
        if known is None or known[0] != which:
            known = self._settled[key] = (which, set())
        return known[1]

    def _watch_over(self, view: VirtualMachineView) -> float | None:
        """A Ready VM: does its domain still run, and does the spec still say what it was started with?"""
        state = state_now(view)
        if state is not DomainState.RUNNING:
            return self._ended(view, state)
        if node := node_to_leave(view):
            view.tell("Draining", f"node {node} is drained: the VM is stopped, and started where there is room", warning=True)
            return self._restart(view, request=view.resource.status.handled_request)
        note_gpu_health(view)
        if not view.is_on_cluster:  # there nothing is published, and the record is the cluster's own object
            self._publications.keep(view)
            keep_record(view)
        status = view.resource.status
        reasons = differences(view)
        if reasons:
            view.write(view.condition("RestartRequired", "True", "SpecChanged", "; ".join(reasons)))
        elif find_condition(status.conditions, "RestartRequired"):
            view.write(view.condition("RestartRequired", "False", "UpToDate"))
        note_request(view, phase=Phase.READY, completed=False)
        return self._next_look_s(view)

    def _next_look_s(self, view: VirtualMachineView) -> float:
        return HEARD_CHECK_S if self._ports.host_watch.hears(view.host.key) else CHECK_S

    def _ended(self, view: VirtualMachineView, state: DomainState) -> float | None:
        view.tell("GuestEnded", f"the domain is {state.value}", warning=state is not DomainState.OFF)
        if ended_by_itself(view.resource, state) is Goal.RESTART:
            return self._restart(view, request=view.resource.status.handled_request)
        ended = view.condition("Ready", "False", "GuestEnded", "the guest ended by itself")
        view.write(ended, completed=True, stopping_since=view.ports.now())
        return 0.0

    def _fail(self, view: VirtualMachineView, verdict: Abort) -> float:
        failures = view.resource.status.consecutive_failures + 1
        view.tell(verdict.reason, verdict.message, warning=True)
        view.write(
            view.condition("Ready", "False", verdict.reason, verdict.message),
            unwinding="final" if verdict.is_final or failures >= FAILURES_MAX else "retry",
            consecutive_failures=failures,
            last_failure=verdict.message[:4000],
            stopping_since=view.ports.now(),
        )
        self._settled.pop(view.key, None)
        return 0.0

    # down

    def _unwind_failure(self, view: VirtualMachineView) -> float | None:
        """Undo a failed attempt; the disk of a VM that was never Ready holds nobody's data and goes too."""
        is_final = view.resource.status.unwinding == "final"
        if again_s := self._unwind(view, keep_data=bool(view.resource.status.first_ready)):
            return again_s
        failures = view.resource.status.consecutive_failures
        pause_s = backoff_s(failures, first_s=FAILURE_BACKOFF_FIRST_S, ceiling_s=FAILURE_BACKOFF_MOST_S)
        view.write(
            unwinding="",
            stopping_since="",
            steps=(),
            boot_id="",
            phase=Phase.FAILED if is_final else Phase.PENDING,
            retry_after="" if is_final else timestamp(self._ports.clock.now_s() + pause_s),
        )
        return None if is_final else pause_s

    def _stop(self, view: VirtualMachineView) -> float | None:
        if view.resource.status.phase is Phase.STOPPED and not view.resource.status.steps and not view.claims():
            note_request(view, phase=Phase.STOPPED)
            return None
        self._begin_stopping(view, Phase.STOPPING, "Stopped", "stopping")
        if again_s := self._unwind(view, keep_data=True):
            return again_s
        self._stopped(view, Phase.STOPPED)
        return None

    def _restart(self, view: VirtualMachineView, *, request: str) -> float | None:
        """Down, keeping claims that still fit the spec, and up again in the next pass."""
        self._begin_stopping(view, Phase.STOPPING, "Restarting", "restarting")
        keep = NOTHING_KEPT if must_reserve_anew(view) else KEEP_ON_RESTART
        if again_s := self._unwind(view, keep_data=True, keep=keep):
            return again_s
        self._stopped(view, Phase.PENDING, handled_request=request, completed=False)
        return 0.0

    def _tear_down(self, view: VirtualMachineView) -> float | None:
        if FINALIZER not in view.resource.metadata.finalizers:
            return None
        self._begin_stopping(view, Phase.DELETING, "Deleting", "being deleted")
        if again_s := self._unwind(view, keep_data=False):
            return again_s
        view.remove_finalizer(FINALIZER)
        self.forget(view.key)
        return None

    def _begin_stopping(self, view: VirtualMachineView, phase: Phase, reason: str, message: str) -> None:
        self._settled.pop(view.key, None)
        if not view.resource.status.stopping_since or view.resource.status.phase is not phase:
            since = view.resource.status.stopping_since or view.ports.now()
            view.write(view.condition("Ready", "False", reason, message), phase=phase, stopping_since=since)

    def _stopped(
        self, view: VirtualMachineView, phase: Phase, *, handled_request: str | None = None, **changes: object
    ) -> None:
        request = view.resource.metadata.annotations.get(REQUEST_ANNOTATION, "")
        view.write(
            phase=phase,
            stopping_since="",
            steps=(),
            boot_id="",
            address="",
            unwinding="",
            handled_request=request if handled_request is None else handled_request,
            **changes,
        )
        note_gpu_health(view)

    def _unwind(self, view: VirtualMachineView, *, keep_data: bool, keep: frozenset[str] = NOTHING_KEPT) -> float | None:
        """Run backwards; None when all is undone, else when to go on. What is left behind is written down."""
        if not view.resource.status.host and not view.claims():
            access.delete(view)
            return None
        if view.resource.is_being_deleted and not host_is_known(view):
            leave_behind(view)
            return None
        verdict: Verdict = table_of(view).unwind(view, keep_data=keep_data, keep=keep)
        if isinstance(verdict, Retry):
            view.write(view.condition("CleanedUp", "False", verdict.reason, verdict.message))
            return verdict.after_s * (5 if verdict.is_patient else 1)
        if isinstance(verdict, Stuck):
            view.write(view.condition("CleanedUp", "False", "Stuck", f"{', '.join(verdict.left)}: {verdict.message}"))
            return STUCK_RETRY_S
        if find_condition(view.resource.status.conditions, "CleanedUp"):
            view.write(view.condition("CleanedUp", "True", "Done"))
        return None
