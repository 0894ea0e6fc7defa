"""`hikube gpu vm start`, `stop` and `restart`: a change of the run strategy, or a request that no field expresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cli.deleting import claims_of, tell_what_is_not_free
from cli.machines import Names, machine_key
from cli.options import UNCHANGED_EXIT_CODE, ErrorUnchanged, Namespace, Timeout, Wait, duration_s
from cli.output import put, say
from cli.patching import patch
from cli.session import Session
from provisioner.model.errors import Conflict
from provisioner.model.metadata import Key, Resource
from provisioner.model.virtual_machine import REQUEST_ANNOTATION, Phase, RunStrategy, VirtualMachine

STRATEGY_ANNOTATION = "hikube.cloud/strategy-before-stop"
"""What `stop` has replaced by Halted and `start` brings back."""

Change = Callable[[VirtualMachine, str], VirtualMachine]


def start(
    names: Names,
    namespace: Namespace = "default",
    wait: Wait = True,
    timeout: Timeout = "30m",
    error_unchanged: ErrorUnchanged = False,
) -> int:
    """Start VMs, and wait until they are ready. One that has failed gets another try."""
    return _change(names, namespace, _started, wait_s=duration_s(timeout) if wait else None, error_unchanged=error_unchanged)


def stop(
    names: Names,
    namespace: Namespace = "default",
    wait: Wait = True,
    timeout: Timeout = "30m",
    error_unchanged: ErrorUnchanged = False,
) -> int:
    """Stop VMs: gracefully first, then hard. Their GPUs are cleaned and become free, their disks stay."""
    return _change(names, namespace, _stopped, wait_s=duration_s(timeout) if wait else None, error_unchanged=error_unchanged)


def restart(names: Names, namespace: Namespace = "default", wait: Wait = True, timeout: Timeout = "30m") -> int:
    """Restart VMs. They keep their GPUs, and changes of their spec take effect."""
    return _change(names, namespace, _restarted, wait_s=duration_s(timeout) if wait else None, error_unchanged=False)


def _change(names: Sequence[str], namespace: str, change: Change, *, wait_s: float | None, error_unchanged: bool) -> int:
    session = Session()
    keys = [machine_key(session, name, namespace) for name in names]
    word = "start" if change is _started else "stop" if change is _stopped else "restart"
    changed = [_patched(session, key, change) for key in keys]
    for key, is_new in zip(keys, changed, strict=True):
        put(f"{key.kind.lower()}/{key.name} {f'{word} requested' if is_new else 'unchanged'}\n")
    if wait_s is not None:
        _wait(session, keys, wait_s, lets_go=change is _stopped)
    elif any(changed) and session.controller_lock().holder() is None:
        say("no control loop is running: `hikube controller`, or the same command with --wait, does it")
    return UNCHANGED_EXIT_CODE if error_unchanged and not any(changed) else 0


def _patched(session: Session, key: Key, change: Change) -> bool:
    token = session.identifiers.token(8)

    def changed(resource: Resource) -> Resource:
        assert isinstance(resource, VirtualMachine)
        return change(resource, token)

    return patch(session, key, changed)


def _wait(session: Session, keys: Sequence[Key], timeout_s: float, *, lets_go: bool) -> None:
    """Until they are as wanted, and where they let go of GPUs, until those are clean and free."""
    from cli.goals import gone, settled
    from cli.waiting import Wait as Waiting

    resources = [resource for key in keys if (resource := session.find(key)) is not None]
    claims = claims_of(session, [resource.metadata.uid for resource in resources]) if lets_go else []
    targets = [*map(settled, resources), *(gone(claim.key, uid=claim.metadata.uid) for claim in claims)]
    Waiting(session, targets, timeout_s=timeout_s).run()
    tell_what_is_not_free(session, claims)
    for key in keys:
        now = session.find(key)
        assert isinstance(now, VirtualMachine | None)
        say(f"{key.name} is {now.status.phase.value}" if now is not None else f"{key.name} is gone")


def _started(vm: VirtualMachine, token: str) -> VirtualMachine:
    strategy = vm.spec.run_strategy
    if strategy is RunStrategy.HALTED:
        before = vm.metadata.annotations.get(STRATEGY_ANNOTATION, RunStrategy.ALWAYS.value)
        return _with_strategy(vm, RunStrategy(before))
    if strategy is RunStrategy.MANUAL and vm.status.phase is not Phase.READY:
        return _requested(vm, f"start:{token}")
    has_given_up = vm.status.phase is Phase.FAILED or vm.status.completed
    return _requested(vm, f"restart:{token}") if has_given_up else vm


def _stopped(vm: VirtualMachine, token: str) -> VirtualMachine:
    strategy = vm.spec.run_strategy
    if strategy is RunStrategy.HALTED:
        return vm
    if strategy is RunStrategy.MANUAL:
        return vm if vm.status.phase is Phase.STOPPED else _requested(vm, f"stop:{token}")
    halted = _with_strategy(vm, RunStrategy.HALTED)
    if strategy is RunStrategy.ALWAYS:
        return halted
    return halted.with_metadata(annotations=halted.metadata.annotations | {STRATEGY_ANNOTATION: strategy.value})


def _restarted(vm: VirtualMachine, token: str) -> VirtualMachine:
    if vm.spec.run_strategy is RunStrategy.HALTED:
        raise Conflict(f"{vm.key} is halted", hint=f"`hikube gpu vm start {vm.metadata.name}` starts it")
    return _requested(vm, f"restart:{token}")


def _with_strategy(vm: VirtualMachine, strategy: RunStrategy) -> VirtualMachine:
    kept = {name: value for name, value in vm.metadata.annotations.items() if name != STRATEGY_ANNOTATION}
    changed = vm.model_copy(update={"spec": vm.spec.model_copy(update={"run_strategy": strategy})})
    return changed.with_metadata(annotations=kept)


def _requested(vm: VirtualMachine, request: str) -> VirtualMachine:
    return vm.with_metadata(annotations=vm.metadata.annotations | {REQUEST_ANNOTATION: request})
