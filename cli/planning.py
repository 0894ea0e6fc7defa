"""Asking the planner: dry runs, and why a VM finds no host, by the functions that the control loop itself uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cli.applying import changes_of
from cli.output import as_json, as_list, as_yaml, put
from cli.overlay import Overlay
from cli.render.plan import plan_json, plan_text
from cli.session import Session
from provisioner.model.errors import NoCapacity, QuotaExceeded
from provisioner.model.metadata import Resource
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning.placement import NoPlacement, Placement

if TYPE_CHECKING:
    from provisioner.lifecycle.dry_run import HardwarePreview, Preview
    from provisioner.lifecycle.ports import Ports
    from provisioner.planning.explain import Explanation


def ports_of(session: Session, *, documents: Sequence[Resource] = ()) -> Ports:
    """The seams with their real drivers; `documents` are seen as if they were stored."""
    from provisioner.lifecycle.assembly import build_ports

    store = Overlay.over(session.store, documents) if documents else session.store
    return build_ports(store, cache_dir=session.cache_dir, tables=session.tables)


def preview_of(session: Session, vm: VirtualMachine, *, documents: Sequence[Resource] = ()) -> Preview:
    """What would happen to the VM now. Raises as `preview`."""
    from provisioner.lifecycle.dry_run import preview

    return preview(vm, ports_of(session, documents=documents))


def explanation_of(session: Session, vm: VirtualMachine) -> Explanation:
    """What the planner says about the VM now, host by host. "Its disk is there" is no reason why a VM came to its host.

    Raises:
        InvalidInput: its size or its image is not known.
        NotFound: one of its disks does not exist.
    """
    from cli.fleets import fleet_of
    from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
    from provisioner.planning.explain import explain
    from provisioner.planning.requests import request_for

    view = VirtualMachineView(vm, ports_of(session))
    request = request_for(vm, size=view.size, tables=session.tables, vm_disks=view.disks, firmware=view.firmware)
    fleet = fleet_of(session)
    if vm.status.host:
        homes = tuple(sorted({disk.status.host for disk in view.disks} - {""}))
        anywhere = explain(replace(request, pinned_hosts=homes), fleet)
        if isinstance(anywhere.outcome, Placement) and anywhere.outcome.host == vm.status.host:
            return anywhere
    return explain(request, fleet)


def hardware_of(session: Session, vm: VirtualMachine) -> HardwarePreview:
    """The hardware of the VM, each choice with its reason. Raises as `hardware_preview`."""
    from provisioner.lifecycle.dry_run import hardware_preview

    return hardware_preview(vm, ports_of(session))


def nowhere(vm: VirtualMachine, refusal: NoPlacement, *, hint: str = "") -> NoCapacity | QuotaExceeded:
    """The error for a VM that finds no host, with counts and the nearest miss; or that is over the quota of its namespace."""
    if refusal.over_quota:
        from cli.quota import quota_exceeded

        return quota_exceeded(vm, refusal)
    return no_capacity_for(f"{refusal.request.in_words()} for VM {vm.metadata.name}", refusal, hint=hint)


def no_capacity_for(what: str, refusal: NoPlacement, *, hint: str = "") -> NoCapacity:
    """The error for anything that finds no host."""
    usual = "`hikube gpu offers` shows what is free, and with --gpu MODEL --explain why a host offers none"
    if not refusal.refused:
        hint = "add one: `hikube host add NAME qemu+ssh://root@HOST/system`, or `hikube lab create` for one in a box"
    return NoCapacity(f"no host can take {what}", hint=hint or usual, context=refusal.as_dict())


def print_dry_run(session: Session, resources: Sequence[Resource], *, form: str) -> int:
    """Print what applying these would do.

    Raises:
        NoCapacity, QuotaExceeded: after printing, if a VM that should run would find no host, or be over quota.
    """
    planned = [_planned(session, resource, resources) for resource in resources]
    if form in ("json", "yaml"):
        value = as_list(plan_json(each) for each in planned)
        put(as_json(value) if form == "json" else as_yaml(value))
    elif form == "name":
        put("".join(f"{each['object']}\n" for each in planned))
    else:
        put("\n".join(plan_text(each) for each in planned))
    for each in planned:
        preview = each["preview"]
        if preview is not None and isinstance(preview.placement, NoPlacement):
            raise nowhere(each["resource"], preview.placement)
    return 0


def _planned(session: Session, resource: Resource, all_documents: Sequence[Resource]) -> dict[str, Any]:
    stored = session.find(resource.key)
    changes = changes_of(stored, stored.model_copy(update={"spec": resource.spec})) if stored is not None else ()
    preview = None
    if isinstance(resource, VirtualMachine):
        wanted = stored.model_copy(update={"spec": resource.spec}) if stored is not None else resource
        assert isinstance(wanted, VirtualMachine)
        preview = preview_of(session, wanted, documents=[each for each in all_documents if each is not resource])
    action = "create" if stored is None else ("change" if changes else "leave unchanged")
    return {
        "resource": resource,
        "object": f"{resource.kind.lower()}/{resource.metadata.name}",
        "action": action,
        "changes": changes,
        "preview": preview,
    }
