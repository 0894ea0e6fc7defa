"""Reads the objects of machines: of one, as many as it takes to explain it; of all of ours, in a few lists.

A running and ready machine costs two requests. Its pod, node, events and import are read only where they can say something that
the first two do not, and where we may: a right that is missing makes an explanation poorer, and never a look fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import TypeVar

from provisioner.drivers.kubevirt import paths
from provisioner.drivers.kubevirt.allocation import allocated_addresses
from provisioner.drivers.kubevirt.api import Api
from provisioner.drivers.kubevirt.permitted import permitted_devices
from provisioner.drivers.kubevirt.reading import machine_of
from provisioner.drivers.kubevirt.sight import Document, Sight, holds, metadata, newest, owner_of, status
from provisioner.drivers.kubevirt.troubles import needs_events, needs_permitted
from provisioner.drivers.machine_cluster import Machine
from provisioner.model.errors import NotAllowed
from templates.kubevirt import data_volume_name

T = TypeVar("T")
EVENTS_MAX = 50
_CREATED_BY = "kubevirt.io/created-by"
_IMPORTING = frozenset({"DataVolumeError", "Provisioning"})


def look(api: Api, namespace: str, name: str) -> Machine | None:
    """See MachineCluster.look."""
    sight = _first_look(api, namespace, name)
    if sight is None:
        return None
    if _needs_pod(sight):
        sight = replace(sight, pod=_pod_of(api, sight))
    node, is_gone = _node_of(sight, lambda name: api.find(paths.node(name)))
    sight = replace(sight, node=node, is_node_gone=is_gone)
    machine = machine_of(_explained(api, sight, name))
    if machine is None or machine.gpu_addresses or not _has_claims(sight):
        return machine
    return replace(machine, gpu_addresses=allocated_addresses(api, sight.pod or _pod_of(api, sight)))


def look_at_all(api: Api) -> Sequence[Machine]:
    """See MachineCluster.owned. What only events or an import could tell is not told."""
    machines, instances, pods = (_by_name(api, path) for path in (paths.MACHINES, paths.INSTANCES, paths.PODS))
    launchers: dict[str, list[Document]] = {}
    for launcher in pods.values():
        launchers.setdefault(_creator(launcher), []).append(launcher)
    find_node = cache(lambda name: api.find(paths.node(name)))
    found = []
    for key in sorted(machines.keys() | instances.keys()):
        machine: Document | None = machines.get(key)
        instance = _matching(machine, instances.get(key))
        pod = newest(launchers.get(str(metadata(instance).get("uid", "-")), ()))
        sight = Sight(machine, instance, pod=pod)
        node, is_gone = _node_of(sight, find_node)
        found.append(machine_of(replace(sight, node=node, is_node_gone=is_gone)))
    return tuple(filter(None, found))


def _first_look(api: Api, namespace: str, name: str) -> Sight | None:
    machine = api.find(paths.machine(namespace, name))
    if machine is not None and not owner_of(machine):
        return None
    instance = _matching(machine, api.find(paths.instance(namespace, name)))
    return None if machine is None and instance is None else Sight(machine, instance)


def _matching(machine: Document | None, instance: Document | None) -> Document | None:
    """The instance, if it is of that machine; of one that is gone, if it is ours. Another's may have the same name."""
    mark = owner_of(instance)
    return instance if mark and (machine is None or mark == owner_of(machine)) else None


def _needs_pod(sight: Sight) -> bool:
    is_well = sight.phase == "Running" and holds(sight.instance, "Ready")
    return sight.instance is not None and not is_well and sight.phase != "Succeeded"


def _pod_of(api: Api, sight: Sight) -> Document | None:
    about = metadata(sight.instance)
    query = {"labelSelector": f"{_CREATED_BY}={about.get('uid', '')}"}
    return newest(api.items(paths.pods(str(about["namespace"])), query=query)[0])


def _node_of(sight: Sight, find: Callable[[str], Document | None]) -> tuple[Document | None, bool]:
    """The node of an instance that is not well, and whether it is gone."""
    if not sight.node_name or sight.is_final or holds(sight.instance, "Ready"):
        return None, False
    try:
        node = find(sight.node_name)
    except NotAllowed:
        return None, False
    return node, node is None


def _explained(api: Api, sight: Sight, name: str) -> Sight:
    namespace = str(metadata(sight.machine or sight.instance)["namespace"])
    if status(sight.machine).get("printableStatus") in _IMPORTING:
        sight = replace(sight, volume=_if_allowed(lambda: api.find(paths.data_volume(namespace, data_volume_name(name)))))
    if needs_permitted(sight):
        sight = replace(sight, permitted=tuple(name for name, _ in _if_allowed(lambda: permitted_devices(api)) or ()))
    if needs_events(sight):
        query = {"fieldSelector": f"involvedObject.uid={metadata(sight.pod).get('uid', '')}", "limit": str(EVENTS_MAX)}
        answer = _if_allowed(lambda: api.request("GET", paths.events(namespace), query=query))
        sight = replace(sight, events=tuple((answer or {}).get("items") or ()))
    return sight


def _if_allowed(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except NotAllowed:
        return None


def _has_claims(sight: Sight) -> bool:
    return sight.phase == "Running" and bool((sight.instance or {}).get("spec", {}).get("resourceClaims"))


def _by_name(api: Api, path: str) -> dict[tuple[str, str], Document]:
    items, _ = api.items(path, query=paths.OURS)
    return {(str(metadata(item).get("namespace")), str(metadata(item).get("name"))): item for item in items}


def _creator(pod: Document) -> str:
    return str((metadata(pod).get("labels") or {}).get(_CREATED_BY, ""))
