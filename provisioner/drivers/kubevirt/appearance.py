"""What of a cluster's objects a look would show, as values to compare: a change of anything else is no news. Pure.

VirtualMachine           how it goes, why it cannot be made, whether a restart is due
VirtualMachineInstance   which one, how far, where, why not, whether it is asked to leave
Node                     whether it takes machines, what it offers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from provisioner.drivers.host_events import HostEvent, HostEventKind
from provisioner.drivers.kubevirt import paths
from provisioner.drivers.kubevirt.sight import Document, condition, holds, is_going, metadata, status
from provisioner.drivers.kubevirt.survey import takes_machines

Key = tuple[str, str]
"""Namespace and name."""
Appearance = tuple[object, ...]
"""The first says whether a machine runs."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One kind of object that is watched."""

    path: str
    looks_like: Callable[[Document], Appearance]
    event: Callable[[Key, Appearance | None], HostEvent]
    """What to tell of an object that looks otherwise now; None: it is gone."""
    query: Mapping[str, str] = field(default_factory=dict)


def of_machine(machine: Document) -> Appearance:
    """The instance has most of it."""
    told = status(machine)
    return (
        told.get("printableStatus") == "Running",
        is_going(machine),
        bool(told.get("created")),
        condition(machine, "Failure").get("message"),
        holds(machine, "RestartRequired"),
        (told.get("startFailure") or {}).get("consecutiveFailCount"),
        (machine.get("spec") or {}).get("runStrategy"),
    )


def of_instance(instance: Document) -> Appearance:
    """How far it is."""
    told = status(instance)
    ready, scheduled = condition(instance, "Ready"), condition(instance, "PodScheduled")
    return (
        told.get("phase") == "Running",
        metadata(instance).get("uid"),
        told.get("phase"),
        told.get("nodeName"),
        is_going(instance),
        (ready.get("status"), ready.get("reason")),
        (scheduled.get("status"), scheduled.get("message")),
        condition(instance, "Synchronized").get("reason"),
        bool(told.get("evacuationNodeName")) or holds(instance, "EvictionRequested"),
        tuple(each.get("ipAddress") for each in told.get("interfaces") or ()),
    )


def of_node(node: Document) -> Appearance:
    """What it offers; free memory and CPU are of the survey."""
    offers = status(node).get("allocatable") or {}
    devices = {name: text for name, text in offers.items() if "/" in name}
    return (takes_machines(node), condition(node, "Ready").get("status"), tuple(sorted(devices.items())))


def machine_event(key: Key, looks_like: Appearance | None) -> HostEvent:
    """A machine came to run, or something else about it changed."""
    runs = looks_like is not None and bool(looks_like[0])
    return HostEvent(HostEventKind.DOMAIN_STARTED if runs else HostEventKind.DOMAIN_STOPPED, "/".join(key))


def node_event(key: Key, _: Appearance | None) -> HostEvent:
    """A node came, went, or offers something else."""
    return HostEvent(HostEventKind.DEVICES_CHANGED, key[1])


SUBJECTS = (
    Subject(paths.MACHINES, of_machine, machine_event, paths.OURS),
    Subject(paths.INSTANCES, of_instance, machine_event, paths.OURS),
    Subject(paths.NODES, of_node, node_event),
)
