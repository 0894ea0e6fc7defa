"""Lets a machine and its Secret be as a spec says: server-side apply, under our own field manager.

    look first ──> somebody else's, or still going: Conflict
    Secret ──> VirtualMachine ──> Secret again, with the machine as its owner (so that it goes with it)

The Secret comes first: an instance that starts without it hangs, and nothing in KubeVirt says so. What exists is changed only
under the uid that was looked at; what did not exist is made without force, so that a stranger's object of the same name that
came in between is a conflict and is never taken over.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.drivers.kubevirt import paths
from provisioner.drivers.kubevirt.api import Api, Document
from provisioner.drivers.kubevirt.sight import is_going, metadata, owner_of
from provisioner.drivers.machine_cluster import ImportedDisk, MachineSpec
from provisioner.model.errors import Conflict, InvalidInput
from templates.kubevirt import OWNER, seed_name, seed_secret, virtual_machine

_SCHEMES = ("https://", "http://", "docker://")


def apply(api: Api, spec: MachineSpec) -> None:
    """See MachineCluster.apply."""
    _check(spec)
    path = paths.machine(spec.namespace, spec.name)
    before = api.find(path)
    _check_owner(before, spec, what=f"the machine {spec.namespace}/{spec.name}")
    requests = _claim_requests(api, spec, before)
    uid = str(metadata(before).get("uid", ""))
    _apply_secret(api, spec, machine_uid=uid)
    after = api.apply(path, virtual_machine(spec, claim_requests=requests, uid=uid), force=bool(uid))
    if not uid:
        _apply_secret(api, spec, machine_uid=str(metadata(after)["uid"]))


def _check(spec: MachineSpec) -> None:
    if isinstance(spec.disk, ImportedDisk) and not spec.disk.url.startswith(_SCHEMES):
        hint = f"the cluster imports from {', '.join(_SCHEMES)}"
        raise InvalidInput(f"the disk of {spec.namespace}/{spec.name} cannot be imported from {spec.disk.url!r}", hint=hint)


def _check_owner(before: Document | None, spec: MachineSpec, *, what: str) -> None:
    if before is None:
        return
    if owner_of(before) != spec.owner_uid:
        whose = "bears another mark of hikube's" if owner_of(before) else f"has no label {OWNER}"
        raise Conflict(f"{what} belongs to somebody else", why=f"it {whose}", hint="rename one of the two, or remove that one")
    if is_going(before):
        raise Conflict(f"{what} is still going", why="an earlier one of that name is being removed")


def _apply_secret(api: Api, spec: MachineSpec, *, machine_uid: str) -> None:
    path = paths.secret(spec.namespace, seed_name(spec.name))
    before = api.find(path)
    _check_owner(before, spec, what=f"the Secret {spec.namespace}/{seed_name(spec.name)}")
    document = seed_secret(spec, machine_uid=machine_uid)
    if before is not None:
        document["metadata"]["uid"] = metadata(before)["uid"]
    api.apply(path, document, force=before is not None)


def _claim_requests(api: Api, spec: MachineSpec, before: Document | None) -> Sequence[str]:
    """Names of the requests of its claim template: KubeVirt wants one for each GPU, by name.

    A machine that shall stop keeps those that it has: it must stop also when its template is gone.
    """
    if not spec.claim_template or not spec.gpus:
        return ()
    if before is not None and not spec.is_to_run:
        gpus = before["spec"]["template"]["spec"]["domain"]["devices"].get("gpus") or ()
        return [str(gpu["requestName"]) for gpu in gpus if gpu.get("requestName")]
    name = f"{spec.namespace}/{spec.claim_template}"
    template = api.find(paths.claim_template(spec.namespace, spec.claim_template))
    if template is None:
        hint = "the cluster would leave the machine waiting for ever"
        raise InvalidInput(f"there is no ResourceClaimTemplate {name}", hint=hint)
    requests = [str(request.get("name", "")) for request in _devices(template).get("requests") or ()]
    if len(requests) != len(spec.gpus):
        why = f"it has {len(requests)} requests, and the machine wants {len(spec.gpus)} GPUs: one request for each"
        raise InvalidInput(f"the ResourceClaimTemplate {name} does not fit", why=why)
    return requests


def _devices(template: Document) -> Document:
    devices: Document = ((template.get("spec") or {}).get("spec") or {}).get("devices") or {}
    return devices
