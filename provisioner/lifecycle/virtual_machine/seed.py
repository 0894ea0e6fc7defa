"""Step `seed`: the NoCloud seed of this start, as an ISO volume beside the disk.

Made anew for every start, since it carries the controller's key of that start; the instance id stays the same until the boot
disk or `cloudInitSeed` changes, so cloud-init runs its once-per-instance parts once. The content is known by the digest
in the VM's Secret: a seed of an earlier attempt whose keys are still valid is used again.
"""

from __future__ import annotations

import hashlib
import io

from provisioner.drivers.images.seed import build_seed_iso
from provisioner.lifecycle.verdicts import Done, Verdict
from provisioner.lifecycle.virtual_machine import access
from provisioner.lifecycle.virtual_machine.domain import is_running
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model import domain_names
from templates.guest import DriverInstall, SeedContent, SeedPlan, seed_content


def make_seed(view: VirtualMachineView) -> Verdict:
    """The seed volume is on the host, complete, with keys that the VM's Secret knows."""
    if is_running(view):
        return Done("used by the running guest")
    keys = access.with_keys(view, identity=identity(view))
    data = dict(keys.spec.data)
    iso = build_seed_iso(content_of(view, data))
    digest = hashlib.sha256(iso).hexdigest()
    volumes, name = view.hypervisor.volumes, domain_names.seed_volume(view.domain_name)
    if data.get(access.SEED_DIGEST) == digest and volumes.find(view.pool, name) is not None:
        return Done()
    volumes.upload(view.pool, name, io.BytesIO(iso), size_bytes=len(iso))
    access.note_seed(view, keys, digest=digest)
    return Done()


def delete_seed(view: VirtualMachineView) -> Verdict:
    """The seed volume is gone, and the controller's key that it carried is worth nothing any more."""
    if view.resource.status.host:
        view.hypervisor.volumes.delete(view.pool, domain_names.seed_volume(view.domain_name))
    access.forget_start(view)
    return Done()


def content_of(view: VirtualMachineView, data: dict[str, str]) -> SeedContent:
    """The four files of the seed, with these keys; without them for a dry run."""
    spec = view.resource.spec
    return seed_content(
        SeedPlan(
            instance_id=data.get(access.INSTANCE_ID, identity(view)),
            hostname=view.resource.metadata.name,
            user_data=spec.cloud_init,
            ssh_keys=spec.ssh_keys,
            mac_addresses=view.mac_addresses,
            host_private_key=data.get(access.HOST_PRIVATE, ""),
            host_public_key=data.get(access.HOST_PUBLIC, ""),
            controller_public_key=data.get(access.CONTROLLER_PUBLIC, ""),
            driver=driver_of(view),
        )
    )


def identity(view: VirtualMachineView) -> str:
    """What cloud-init takes for the machine's identity: new for another VM, another boot disk, and another `cloudInitSeed`.

    Only then does it put our host key in place: a VM that inherits a VMDisk must not be taken for the one before it.
    """
    spec = view.resource.spec
    disk = view.disks[0].metadata.uid if view.disks and spec.system_disk is None else ""
    return domain_names.domain_uuid(view.key, cloud_init_seed=f"{view.resource.metadata.uid}/{disk}/{spec.cloud_init_seed}")


def driver_of(view: VirtualMachineView) -> DriverInstall | None:
    """What to install at first boot: nothing without NVIDIA GPUs, nor where the image has a driver or is not known to us."""
    models = [view.ports.tables.gpus.resolve(gpu.name) for gpu in view.resource.spec.gpus]
    image = view.image
    if image is None or image.spec.nvidia_driver or not any(model and model.is_nvidia for model in models):
        return None
    distribution = image.spec.distribution
    return None if distribution == "other" else DriverInstall(distribution)
