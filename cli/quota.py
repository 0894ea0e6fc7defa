"""What a quota means for whoever types a command: the refusal in words, and the account of `hikube explain quota`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.output import as_json, as_yaml, put
from cli.session import Session, no_such
from provisioner.model.errors import QuotaExceeded

if TYPE_CHECKING:
    from provisioner.model.virtual_machine import VirtualMachine
    from provisioner.planning.placement import NoPlacement

WORD = "GPUQuota"


def quota_exceeded(vm: VirtualMachine, refusal: NoPlacement) -> QuotaExceeded:
    """The error for a VM that is over the quota of its namespace."""
    namespace = vm.metadata.namespace
    first = refusal.over_quota[0]
    asked = refusal.request.in_words()
    show = f"`hikube explain quota {first.quota} -n {namespace}` shows who uses it"
    if first.is_hopeless:
        return QuotaExceeded(
            f"the quota of namespace {namespace} never allows {asked} for VM {vm.metadata.name}",
            hint=f"ask for fewer GPUs, or have the quota raised; {show}",
            context=refusal.as_dict(),
        )
    return QuotaExceeded(
        f"the quota of namespace {namespace} has no room for {asked} for VM {vm.metadata.name}",
        hint=f"{show}; `hikube gpu vm create --queue` and `hikube apply` wait until enough is given back",
        context=refusal.as_dict(),
    )


def explain_quota(session: Session, name: str, namespace: str, *, form: str) -> None:
    """Print what the quota allows, who uses it, and which hosts it leaves.

    Raises:
        NotFound: the namespace has no quota of that name; the hint has the nearest.
    """
    from cli.fleets import fleet_of
    from provisioner.model.gpu_quota import GPUQuota
    from provisioner.model.metadata import Key
    from provisioner.planning.quota_account import account_of

    quota = session.find(Key(WORD, namespace, name))
    if not isinstance(quota, GPUQuota):
        known = [item["metadata"]["name"] for item in session.raw(WORD, namespace=namespace)]
        raise no_such(WORD, name, namespace=namespace, known=known)
    account = account_of(quota, fleet_of(session))
    if form != "table":
        put(as_json(account.as_dict()) if form == "json" else as_yaml(account.as_dict()))
        return
    put("".join(f"{line}\n" for line in account.lines()))
