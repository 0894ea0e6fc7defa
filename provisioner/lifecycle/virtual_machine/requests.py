"""What a user asks of a VM beside its spec (start, stop, restart), by an annotation: what it changes, and that it was met.

A request is met once: the status keeps the last one that was. Nothing here starts or stops anything.
"""

from __future__ import annotations

from provisioner.lifecycle.virtual_machine.goal import Goal, goal
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, Phase


def start_count_anew(view: VirtualMachineView) -> None:
    """A new generation or a new request of the user ends a failure's hold."""
    status = view.resource.status
    request = view.resource.metadata.annotations.get(REQUEST_ANNOTATION, "")
    is_new = status.observed_generation not in (0, view.resource.metadata.generation) or request != status.handled_request
    if is_new and (status.consecutive_failures or status.phase is Phase.FAILED):
        # A restart is noted when it is done; any other request is met by going on.
        handled = status.handled_request if goal(view.resource) is Goal.RESTART else request
        if status.unwinding:
            view.write(consecutive_failures=0, unwinding="retry", handled_request=handled)
            return
        view.write(
            consecutive_failures=0,
            retry_after="",
            phase=Phase.PENDING,
            steps=(),
            completed=False,
            handled_request=handled,
        )


def note_request(view: VirtualMachineView, *, phase: Phase, **changes: object) -> None:
    """Whatever is asked now is met by this phase; `changes` are fields of the status that are written with it."""
    request = view.resource.metadata.annotations.get(REQUEST_ANNOTATION, "")
    view.write(phase=phase, handled_request=request, **changes)
