"""The VM's keys: its SSH host key, made by us so that it can be pinned, and the controller's own key for one forced command.

They live in a Secret that belongs to the VM. The private halves exist from seed to hand-over only; the public host key stays,
since `hikube gpu vm ssh` pins it for as long as the VM lives.
"""

from __future__ import annotations

import contextlib
import hashlib

from provisioner.drivers.guest.keys import generate_key_pair
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.errors import NotFound, SecretsLocked
from provisioner.model.metadata import Key, Metadata
from provisioner.model.secret import Secret, SecretSpec
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from templates.guest import pinned_host_key

HOST_PRIVATE = "hostPrivateKey"
HOST_PUBLIC = "hostPublicKey"
CONTROLLER_PRIVATE = "controllerPrivateKey"
CONTROLLER_PUBLIC = "controllerPublicKey"
INSTANCE_ID = "instanceId"
SEED_DIGEST = "seedDigest"


def secret_name(vm_name: str, *, kind: str = VirtualMachine.KIND) -> str:
    """The name of a VM's Secret. A VMInstance may have the name of a VirtualMachine; names of VMs have no dot."""
    return f"{vm_name}.vmi-access" if kind == VMInstance.KIND else f"{vm_name}-access"


def read(view: VirtualMachineView) -> dict[str, str]:
    """The VM's keys; empty if it has none yet."""
    known = _known(view)
    return dict(known.spec.data) if known is not None else {}


def note_seed(view: VirtualMachineView, keys: Secret, *, digest: str) -> None:
    """These keys are in the seed of that digest. Raises Conflict: they are not the VM's any more."""
    _replace(view, keys, dict(keys.spec.data) | {SEED_DIGEST: digest})


def with_keys(view: VirtualMachineView, *, identity: str) -> Secret:
    """Keys fit for a seed of that machine: a new controller key if the last was handed in, a host key once per identity.

    cloud-init sets host keys once per instance id. So the instance id is made of identity and host key: a machine that becomes
    what it was before (its first boot disk again) gets a new key and is a new instance all the same.

    Raises:
        Conflict: somebody else changed the VM, or its keys, meanwhile.
        NotFound: the VM was removed meanwhile; nothing is left of them then.
    """
    known = _known(view)
    view.ensure_current()  # after the keys were read: a controller that lost its lease gives no new ones to a VM that is Ready
    data = dict(known.spec.data) if known is not None else {}
    comment = f"{view.resource.metadata.namespace}/{view.resource.metadata.name}"
    if data.get(INSTANCE_ID, "").partition(".")[0] != identity:
        pair = generate_key_pair(comment)
        public = pinned_host_key(view.resource.spec.cloud_init, pair.public_line)
        instance_id = f"{identity}.{hashlib.sha256(pair.public_line.encode()).hexdigest()[:8]}"
        data = {INSTANCE_ID: instance_id, HOST_PRIVATE: pair.private_openssh, HOST_PUBLIC: public}
    if CONTROLLER_PRIVATE not in data:
        pair = generate_key_pair(f"hikube {comment}")
        data |= {CONTROLLER_PRIVATE: pair.private_openssh, CONTROLLER_PUBLIC: pair.public_line}
    return _replace(view, known, data)


def forget_private(view: VirtualMachineView) -> None:
    """Drop every private half and the digest of the seed that carried them: the VM is handed over."""
    _keep(view, HOST_PUBLIC, INSTANCE_ID)


def forget_start(view: VirtualMachineView) -> None:
    """Drop what belongs to one start. The host's private key stays until hand-over: a disk may have it or may need it yet.

    Of a VM that goes everything is dropped, unread. A lost key file must not keep anybody's GPUs, so what cannot be read stays,
    sealed, until a start that can read it.
    """
    if view.resource.is_being_deleted:
        delete(view)
        return
    with contextlib.suppress(SecretsLocked):
        _keep(view, HOST_PUBLIC, HOST_PRIVATE, INSTANCE_ID)


def delete(view: VirtualMachineView) -> None:
    """Remove the VM's Secret altogether."""
    with contextlib.suppress(NotFound):
        view.ports.store.delete(Key(Secret.KIND, view.resource.metadata.namespace, _name(view)))


def _keep(view: VirtualMachineView, *names: str) -> None:
    known = _known(view)
    if known is None:
        return
    kept = {name: known.spec.data[name] for name in names if name in known.spec.data}
    if kept != known.spec.data:
        _replace(view, known, kept)


def _known(view: VirtualMachineView) -> Secret | None:
    try:
        return view.ports.store.get(Secret, _name(view), namespace=view.resource.metadata.namespace)
    except NotFound:
        return None


def _replace(view: VirtualMachineView, known: Secret | None, data: dict[str, str]) -> Secret:
    """The VM's keys are these, and were those, as they were read. Raises as `with_keys`."""
    spec = SecretSpec(data=data)
    if known is not None:
        return view.ports.store.update(known.model_copy(update={"spec": spec}))
    owners = (view.resource.owner_reference(),)
    metadata = Metadata(name=_name(view), namespace=view.resource.metadata.namespace, owner_references=owners)
    created = view.ports.store.create(Secret(metadata=metadata, spec=spec))
    if not view.is_stored():  # whoever is removed takes along what is there, not what comes afterwards
        view.ports.store.delete(created.key, uid=created.metadata.uid)
        raise NotFound(f"{view.key} was removed", context={"key": str(view.key)})
    return created


def _name(view: VirtualMachineView) -> str:
    return secret_name(view.resource.metadata.name, kind=view.resource.kind)
