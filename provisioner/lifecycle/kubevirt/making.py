"""From a VM and its cluster to the machine that is asked of it: sizes, GPUs by the cluster's names, disk, cloud-init.

Decides nothing about when it runs. The seed of a start is composed anew from the VM's keys each time: the same keys, the same
text.
"""

from __future__ import annotations

from provisioner.lifecycle.virtual_machine import access
from provisioner.lifecycle.virtual_machine.seed import driver_of
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model import domain_names
from provisioner.model.errors import InvalidInput
from provisioner.model.quantities import bytes_of
from provisioner.planning.machine_spec import ContainerDisk, ImportedDisk, MachineSpec
from provisioner.planning.nodes import left_to_nodes, resource_of
from templates.guest import SeedPlan
from templates.kubevirt.user_data import network_data, user_data, user_data_without_us

_CONTAINER, _IMPORT = "container:", "import:"
_IMPORTABLE = ("http://", "https://", "docker://")


def machine_spec(view: VirtualMachineView, *, is_to_run: bool, has_keys: bool) -> MachineSpec:
    """The machine as the VM's spec wants it now; `has_keys`: its seed lets us in, for a start that is to be proven.

    One that shall not run can be described whatever was taken away since it was started: its image, its instance type.

    Raises:
        InvalidInput: its GPUs cannot be asked for together, or its image or its size is not known.
    """
    known = view.resource.status.machine
    assert known is not None, "a VM on a cluster has a machine"
    host, plan = view.host, seed_plan(view, has_keys=has_keys)
    size = view.size if is_to_run else view.size_or_running()
    return MachineSpec(
        namespace=known.namespace,
        name=known.name,
        owner_uid=view.resource.metadata.uid,
        is_to_run=is_to_run,
        vcpus=size.vcpus,
        memory_mib=size.memory_mib,
        gpus=resources(view),
        disk=boot_disk(view),
        user_data=user_data(plan) if has_keys else user_data_without_us(plan),
        network_data=network_data(plan),
        mac_address=view.mac_addresses[0],
        firmware=_firmware(view) if is_to_run else "",
        node_labels=tuple(left_to_nodes(view.resource.spec.host_selector, host.metadata.labels).items()),
        shutdown_timeout_s=int(view.budgets.shutdown_s * view.ports.time_scale),
        claim_template=_claim_template(view) if is_to_run else "",
    )


def resources(view: VirtualMachineView) -> tuple[str, ...]:
    """What the cluster calls each GPU of the spec; a model that it has no name for is asked for by its canonical one."""
    return tuple(resource_of(gpu.name, view.host) or gpu.name for gpu in view.resource.spec.gpus)


def _firmware(view: VirtualMachineView) -> str:
    return "" if view.firmware == "any" else view.firmware


def _claim_template(view: VirtualMachineView) -> str:
    """KubeVirt refuses a machine some of whose GPUs are given by DRA and others not."""
    templates = view.host.spec.cluster.claim_templates
    found = {templates.get(gpu.name, "") for gpu in view.resource.spec.gpus}
    if len(found) > 1:
        why = "KubeVirt gives all GPUs of one machine in the same way"
        raise InvalidInput("these models cannot be in one VM on this cluster", why=why)
    return next(iter(found), "")


def boot_disk(view: VirtualMachineView) -> ContainerDisk | ImportedDisk:
    """What the machine boots from: as recorded in its status."""
    known, disk = view.resource.status.machine, view.resource.spec.system_disk
    assert known is not None, "a VM that got so far has a machine"
    assert disk is not None, "and a disk of its own"
    if known.disk.startswith(_CONTAINER):
        return ContainerDisk(known.disk.removeprefix(_CONTAINER))
    storage_class = view.host.spec.storage_classes.get(disk.storage_class, "")
    facts = view.host.status.cluster
    if not storage_class and facts is not None and disk.storage_class in facts.storage_classes:
        storage_class = disk.storage_class
    url = known.disk.removeprefix(_IMPORT)
    return ImportedDisk(url, size_bytes=bytes_of(disk.storage), storage_class=storage_class)


def is_ephemeral(view: VirtualMachineView) -> bool:
    """Whether what a guest writes to its disk is lost with every stop."""
    known = view.resource.status.machine
    return known is not None and known.disk.startswith(_CONTAINER)


def disk_source(view: VirtualMachineView) -> str:
    """What the machine shall boot from, as its status records it; empty: the cluster has no way to make it.

    A disk that was imported stays what it is: it may hold the tenant's data.
    """
    known, image = view.resource.status.machine, view.image
    if image is None or known is None:
        return ""
    if view.resource.status.first_ready and known.disk.startswith(_IMPORT):
        return known.disk
    container = view.host.spec.cluster.container_disks.get(image.metadata.name, "")
    if container:
        return _CONTAINER + container
    facts = view.host.status.cluster
    can_import = facts is not None and facts.can_import_disks and image.spec.url.startswith(_IMPORTABLE)
    return _IMPORT + image.spec.url if can_import else ""


def identity(view: VirtualMachineView) -> str:
    """What cloud-init takes for the machine's identity: KubeVirt makes it of the machine's name, so nothing else changes it."""
    return domain_names.domain_uuid(view.key, cloud_init_seed=view.resource.metadata.uid)


def seed_plan(view: VirtualMachineView, *, has_keys: bool) -> SeedPlan:
    """What the seed says; without keys for a machine that is the tenant's."""
    spec, data = view.resource.spec, access.read(view) if has_keys else {}
    return SeedPlan(
        instance_id=data.get(access.INSTANCE_ID, ""),
        hostname=view.resource.metadata.name,
        user_data=spec.cloud_init,
        ssh_keys=spec.ssh_keys,
        mac_addresses=view.mac_addresses[:1],
        host_private_key=data.get(access.HOST_PRIVATE, ""),
        host_public_key=data.get(access.HOST_PUBLIC, ""),
        controller_public_key=data.get(access.CONTROLLER_PUBLIC, ""),
        driver=driver_of(view) if has_keys else None,
    )
