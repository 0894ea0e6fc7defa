"""Ends instances and removes machines. Every deletion names the uid that it is about, so that none meets a successor.

restart   the instance is deleted: its guest is told to end, and its machine makes another one
destroy   and its pod as well: at once by its node, or, where the node does not answer, without it
remove    the machine, its Secret, and an instance whose machine was deleted without it
"""

from __future__ import annotations

from provisioner.drivers.kubevirt import paths
from provisioner.drivers.kubevirt.api import Api, Document
from provisioner.drivers.kubevirt.sight import holds, is_going, metadata, owner_of
from provisioner.model.errors import Conflict, NotAllowed, NotFound
from templates.kubevirt import seed_name

_AT_ONCE = 1
"""Seconds: the least that leaves the pod's object there until its node has really ended it."""
_WITHOUT_ITS_NODE = 0
"""The object goes at once, whatever runs; for nodes that do not answer."""


def restart(api: Api, namespace: str, name: str, *, instance_uid: str) -> None:
    """See MachineCluster.restart."""
    instance = _instance(api, namespace, name, instance_uid)
    if instance is not None and not is_going(instance):
        _delete(api, paths.instance(namespace, name), instance)


def destroy(api: Api, namespace: str, name: str, *, instance_uid: str) -> None:
    """See MachineCluster.destroy."""
    instance = _instance(api, namespace, name, instance_uid)
    if instance is None:
        return
    if not is_going(instance):
        _delete(api, paths.instance(namespace, name), instance)
    query = {"labelSelector": f"kubevirt.io/created-by={instance_uid}"}
    for pod in api.items(paths.pods(namespace), query=query)[0]:
        node = str((pod.get("spec") or {}).get("nodeName") or "")
        _delete(api, paths.pod(pod), pod, grace_s=_AT_ONCE if node and _answers(api, node) else _WITHOUT_ITS_NODE)


def remove(api: Api, namespace: str, name: str) -> None:
    """See MachineCluster.remove."""
    machine = api.find(paths.machine(namespace, name))
    if machine is not None and not owner_of(machine):
        return
    if machine is not None and not is_going(machine):
        _delete(api, paths.machine(namespace, name), machine)
    if machine is None:
        instance = api.find(paths.instance(namespace, name))
        if owner_of(instance) and instance is not None and not is_going(instance):
            _delete(api, paths.instance(namespace, name), instance)
    secret = api.find(paths.secret(namespace, seed_name(name)))
    if owner_of(secret) and secret is not None:
        _delete(api, paths.secret(namespace, seed_name(name)), secret)


def _instance(api: Api, namespace: str, name: str, uid: str) -> Document | None:
    """That very instance, if it is there and ours."""
    found = api.find(paths.instance(namespace, name))
    return found if found is not None and owner_of(found) and metadata(found).get("uid") == uid else None


def _delete(api: Api, path: str, document: Document, *, grace_s: int | None = None) -> None:
    """Tell that very object to go, with what it owns; one that is gone, or another one of its name, is as good."""
    options: Document = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": metadata(document)["uid"]},
        "propagationPolicy": "Background",
    }
    if grace_s is not None:
        options["gracePeriodSeconds"] = grace_s
    try:
        api.request("DELETE", path, body=options)
    except (NotFound, Conflict):
        return


def _answers(api: Api, name: str) -> bool:
    """Whether that node is there and ready; one that we may not ask counts as such: its pods then wait for it."""
    try:
        node = api.find(paths.node(name))
    except NotAllowed:
        return True
    return node is not None and holds(node, "Ready")
