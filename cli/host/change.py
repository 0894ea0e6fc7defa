"""`hikube host cordon`, `uncordon` and `remove`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.completing import complete_hosts
from cli.deleting import Removal, delete_all
from cli.options import UNCHANGED_EXIT_CODE, ErrorUnchanged, IgnoreNotFound, Timeout, Wait, duration_s
from cli.output import put
from cli.patching import patch_spec
from cli.session import Session
from provisioner.model.errors import Conflict
from provisioner.model.metadata import Key

Names = Annotated[list[str], typer.Argument(metavar="NAME", help="Hosts", autocompletion=complete_hosts)]


def cordon(names: Names, error_unchanged: ErrorUnchanged = False) -> int:
    """Place no new VM on these hosts. VMs that are there stay and may restart."""
    return _set(names, cordoned=True, error_unchanged=error_unchanged)


def uncordon(names: Names, error_unchanged: ErrorUnchanged = False) -> int:
    """Let VMs be placed on these hosts again."""
    return _set(names, cordoned=False, error_unchanged=error_unchanged)


def _set(names: list[str], *, cordoned: bool, error_unchanged: bool) -> int:
    session = Session()
    changed = [patch_spec(session, Key("GPUHost", "", name), cordoned=cordoned) for name in names]
    word = "cordoned" if cordoned else "uncordoned"
    put("".join(f"gpuhost/{name} {word if is_new else 'unchanged'}\n" for name, is_new in zip(names, changed, strict=True)))
    return UNCHANGED_EXIT_CODE if error_unchanged and not any(changed) else 0


def remove(names: Names, wait: Wait = True, timeout: Timeout = "5m", ignore_not_found: IgnoreNotFound = False) -> None:
    """Forget hosts, once the GPUs that were let go of are clean. Refused while VMs live on them or own their GPUs."""
    session = Session()
    removal = Removal(wait=wait, timeout_s=duration_s(timeout), ignore_not_found=ignore_not_found)
    for name in names:
        _refuse_if_used(session, name)
    delete_all(session, [Key("GPUHost", "", name) for name in names], removal)


def _refuse_if_used(session: Session, name: str) -> None:
    from cli.planning import ports_of
    from provisioner.lifecycle.gpu_hosts import users_of
    from provisioner.model.gpu_claim import GPUClaim

    cleaned = {str(claim.key) for claim in session.store.list(GPUClaim).items if claim.is_released}  # these end by themselves
    users = [user for user in users_of(name, ports_of(session)) if user not in cleaned]
    if users:
        raise Conflict(
            f"host {name} is in use",
            why="\n".join(users),
            hint=f"delete them first; `hikube host cordon {name}` keeps new ones away",
            context={"users": list(users)},
        )
