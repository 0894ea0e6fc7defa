"""What a cluster has, and what of it is taken: nodes, the requests of the pods on them, permitted devices.

Free is what a node can allot minus what the pods ask for that are bound to it and have not ended, ours and anybody's: the same
sum that the scheduler makes. Making the survey of it is pure; see `node_of` and `requests_of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from provisioner.drivers.kubevirt import paths
from provisioner.drivers.kubevirt.api import Api
from provisioner.drivers.kubevirt.permitted import claims_are_on, kubevirt_of, permitted_by, version_of
from provisioner.drivers.kubevirt.sight import Document, holds, metadata, status
from provisioner.drivers.machine_cluster import ClusterSurvey, MachineNode
from provisioner.model.errors import NotAllowed
from provisioner.model.quantities import MIB, amount_of

SCHEDULABLE = "kubevirt.io/schedulable"
_NVIDIA = "nvidia.com/"
_NOTHING = Fraction()
_UNFINISHED = {"fieldSelector": "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"}

Amounts = Mapping[str, Fraction]


def survey(api: Api) -> ClusterSurvey:
    """See MachineCluster.survey."""
    kubevirt = kubevirt_of(api)
    permitted = permitted_by(kubevirt)
    names = frozenset(name for name, _ in permitted)
    nodes, _ = api.items(paths.NODES)
    pods, _ = api.items(paths.PODS, query=_UNFINISHED)
    used = used_by_node(pods)
    return ClusterSurvey(
        version=version_of(kubevirt),
        nodes=tuple(sorted((node_of(node, used, names) for node in nodes), key=lambda node: node.name)),
        permitted_devices=permitted,
        storage_classes=_storage_classes(api),
        can_import_disks=api.find(paths.IMPORTS) is not None,
        can_claim_devices=claims_are_on(kubevirt) and api.find(paths.CLAIMS) is not None,
    )


def node_of(node: Document, used: Mapping[str, Amounts], permitted: frozenset[str]) -> MachineNode:
    """One node, given what is used of each."""
    name = str(metadata(node).get("name", ""))
    has = {resource: _amount(text) for resource, text in (status(node).get("allocatable") or {}).items()}
    taken = used.get(name, {})
    gpus = sorted(resource for resource in has if resource in permitted or resource.startswith(_NVIDIA))
    return MachineNode(
        name=name,
        is_schedulable=takes_machines(node),
        labels=tuple(sorted((str(key), str(value)) for key, value in (metadata(node).get("labels") or {}).items())),
        devices=tuple((resource, int(has[resource])) for resource in gpus),
        devices_used=tuple((resource, int(taken[resource])) for resource in gpus if taken.get(resource)),
        memory_mib=int(has.get("memory", _NOTHING) / MIB),
        memory_used_mib=_up(taken.get("memory", _NOTHING) / MIB),
        cpu_milli=int(has.get("cpu", _NOTHING) * 1000),
        cpu_used_milli=_up(taken.get("cpu", _NOTHING) * 1000),
    )


def takes_machines(node: Document) -> bool:
    """Whether it is ready, not cordoned, and KubeVirt's own agent on it is alive."""
    is_open = not (node.get("spec") or {}).get("unschedulable") and holds(node, "Ready")
    return is_open and (metadata(node).get("labels") or {}).get(SCHEDULABLE) == "true"


def used_by_node(pods: Iterable[Document]) -> dict[str, Amounts]:
    """What the pods ask for, summed up by node; pods that are bound to none or have ended ask for nothing."""
    used: dict[str, Amounts] = {}
    for pod in pods:
        node = (pod.get("spec") or {}).get("nodeName")
        if node and status(pod).get("phase") not in {"Succeeded", "Failed"}:
            used[str(node)] = _sum(used.get(str(node), {}), requests_of(pod))
    return used


def requests_of(pod: Document) -> Amounts:
    """What the scheduler counts: the containers and sidecars together, or the largest other init container, and the overhead.

    Sidecars are init containers that stay; one that starts before another init container counts beside it.
    """
    spec = pod.get("spec") or {}
    together: Amounts = {}
    largest: Amounts = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            together = _sum(together, _requests(container))
        else:
            largest = _larger(largest, _sum(together, _requests(container)))
    for container in spec.get("containers") or ():
        together = _sum(together, _requests(container))
    overhead = {str(name): _amount(text) for name, text in (spec.get("overhead") or {}).items()}
    return _sum(_larger(together, largest), overhead)


def _requests(container: Document) -> Amounts:
    asked = (container.get("resources") or {}).get("requests") or {}
    return {str(name): _amount(text) for name, text in asked.items()}


def _sum(one: Amounts, other: Amounts) -> Amounts:
    return {name: one.get(name, _NOTHING) + other.get(name, _NOTHING) for name in {**one, **other}}


def _larger(one: Amounts, other: Amounts) -> Amounts:
    return {name: max(one.get(name, _NOTHING), other.get(name, _NOTHING)) for name in {**one, **other}}


def _amount(text: object) -> Fraction:
    try:
        return amount_of(str(text))
    except ValueError:
        return _NOTHING  # a quantity that Kubernetes has and we do not would be a negative one


def _up(exact: Fraction) -> int:
    return -(-exact.numerator // exact.denominator)


def _storage_classes(api: Api) -> tuple[str, ...]:
    """Names; none where they may not be read: they only help to choose."""
    try:
        found, _ = api.items(paths.STORAGE_CLASSES)
    except NotAllowed:
        return ()
    return tuple(sorted(str(metadata(each).get("name", "")) for each in found))
