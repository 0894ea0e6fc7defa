"""From what was read of a machine to what it is. Pure: one Sight, one answer.

    VirtualMachine   instance              pod, node          is
    shall run        none                                     WAITING
    shall run        Pending, Scheduling   not bound          WAITING
    shall run        Pending, Scheduling   bound              PLACED
    shall run        Scheduled                                PLACED
    shall run        Running                                  RUNNING
    shall run        told to go, or its pod is                STOPPING
    shall run        ended                                    STOPPED (Once), STOPPING (Always: it is replaced)
    shall not run    not ended                                STOPPING
    shall not run    ended, or none                           STOPPED
    gone or going    any                                      STOPPING
    any              not ended             node silent, gone  LOST

`printableStatus` is handed on and never believed: it says Stopped before a first start and amid every restart, Starting for
ever where a device is not permitted, and Running on a node that is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from provisioner.drivers.kubevirt.sight import Sight, condition, fails, holds, is_going, metadata, owner_of, status
from provisioner.drivers.kubevirt.troubles import trouble_of
from provisioner.drivers.machine_cluster import Ended, Machine, MachineState
from provisioner.model.pci import PciAddress
from templates.kubevirt import CURRENT, GPUS

_ENDED: dict[str, Ended] = {"Succeeded": "off", "Failed": "crashed"}
_PLACED_PHASES = frozenset({"Scheduled", "WaitingForSync"})
_RUNS = frozenset({"Pending", "Running"})


def machine_of(sight: Sight) -> Machine | None:
    """The machine; None if nothing of it is ours, or nothing is left."""
    source = sight.machine or sight.instance
    if source is None or not owner_of(source):
        return None
    state = state_of(sight)
    return Machine(
        namespace=str(metadata(source).get("namespace", "")),
        name=str(metadata(source).get("name", "")),
        owner_uid=owner_of(source),
        state=state,
        instance_uid=str(metadata(sight.instance).get("uid", "")),
        ended=_ENDED.get(sight.phase, ""),
        node=sight.node_name,
        addresses=() if sight.is_final else tuple(_addresses(sight)),
        status_in_its_words=str(status(sight.machine).get("printableStatus", "")),
        trouble=trouble_of(sight, state),
        gpus=_gpus(sight),
        gpu_addresses=_gpu_addresses(sight),
        is_current=_is_current(sight),
        asks_to_leave=_asks_to_leave(sight),
    )


def state_of(sight: Sight) -> MachineState:
    """How far it is: the table above."""
    if is_lost(sight):
        return MachineState.LOST
    if sight.machine is None or is_going(sight.machine):
        return MachineState.STOPPING
    if sight.instance is None:
        return MachineState.STOPPED if sight.run_strategy == "Halted" else MachineState.WAITING
    if sight.is_final:
        return MachineState.STOPPING if _is_replaced(sight) else MachineState.STOPPED
    is_told = sight.run_strategy == "Halted" or is_going(sight.instance)
    if is_told or condition(sight.instance, "Ready").get("reason") == "PodTerminating":
        return MachineState.STOPPING
    return _on_its_way(sight)


def is_lost(sight: Sight) -> bool:
    """Whether its node does not answer, and so nobody knows whether it runs.

    Its node says so itself. Where it may not be read, the one early sign is a Ready that is False for no reason; and the last
    one, that its pod is deleted because of its node, and does not end.
    """
    if sight.instance is None or sight.is_final or not sight.node_name:
        return False
    if sight.phase == "Unknown" or sight.is_node_gone:
        return True
    if holds(sight.instance, "Ready"):
        return False
    if sight.node is not None:
        return condition(sight.node, "Ready").get("status") == "Unknown"
    ready = condition(sight.instance, "Ready")
    is_silent = fails(sight.instance, "Ready") and not ready.get("reason")
    is_evicted = condition(sight.pod, "DisruptionTarget").get("reason") == "DeletionByTaintManager"
    return sight.phase == "Running" and (is_silent or is_evicted)


def _on_its_way(sight: Sight) -> MachineState:
    if sight.phase == "Running":
        return MachineState.RUNNING
    is_bound = bool(sight.node_name) and status(sight.pod).get("phase", "Pending") in _RUNS
    return MachineState.PLACED if is_bound or sight.phase in _PLACED_PHASES else MachineState.WAITING


def _is_replaced(sight: Sight) -> bool:
    """Whether the cluster makes another instance by itself."""
    if sight.run_strategy == "Halted":
        return False
    return sight.run_strategy == "Always" or is_going(sight.instance)


def _addresses(sight: Sight) -> Iterator[str]:
    seen: set[str] = set()
    for interface in status(sight.instance).get("interfaces") or ():
        for address in (interface.get("ipAddress"), *(interface.get("ipAddresses") or ())):
            if address and address not in seen:
                seen.add(address)
                yield str(address)


def _gpus(sight: Sight) -> tuple[str, ...]:
    if sight.instance is None:
        return ()
    asked = sight.instance.get("spec", {}).get("domain", {}).get("devices", {}).get("gpus") or ()
    names = [str(gpu["deviceName"]) for gpu in asked if gpu.get("deviceName")]
    if asked and not names:  # claimed by DRA: the objects do not say what is claimed, our annotation does
        names = _names((metadata(sight.instance).get("annotations") or {}).get(GPUS, "[]"))
    return tuple(sorted(names))


def _names(text: Any) -> list[str]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return []
    return [str(name) for name in found] if isinstance(found, list) else []


def _gpu_addresses(sight: Sight) -> tuple[PciAddress, ...]:
    told = status(sight.instance).get("deviceStatus") or {}
    found = [
        ((gpu.get("deviceResourceClaimStatus") or {}).get("attributes") or {}).get("pciAddress")
        for gpu in told.get("gpuStatuses") or ()
    ]
    return tuple(sorted(str(address).lower() for address in found if address))


def _is_current(sight: Sight) -> bool:
    """By the cluster's own word, and by the digest that the instance took along; never by comparing what admission changes."""
    if sight.instance is None or sight.machine is None:
        return True
    wanted = sight.machine.get("spec", {}).get("template", {}).get("metadata", {}).get("annotations") or {}
    made_from = metadata(sight.instance).get("annotations") or {}
    return wanted.get(CURRENT) == made_from.get(CURRENT) and not holds(sight.machine, "RestartRequired")


def _asks_to_leave(sight: Sight) -> bool:
    if sight.instance is None or sight.is_final or is_going(sight.instance):
        return False
    return holds(sight.instance, "EvictionRequested") or bool(status(sight.instance).get("evacuationNodeName"))
