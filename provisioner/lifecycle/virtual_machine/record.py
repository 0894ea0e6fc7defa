"""The record that a VM's domain bears, kept as true as the VM: see provisioner/model/machine_record.py for what it says.

    define ──> written with the domain      handed over ──> written anew      spec changed ──> written anew
    stop ──> the domain is parked: no devices, the record stays               deletion ──> gone with the domain

No VM waits for its record: a host that refuses it is told of, and the VM goes on.
"""

from __future__ import annotations

from typing import Any

from provisioner.drivers.hypervisor import Domain
from provisioner.lifecycle.virtual_machine import access
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model import domain_names
from provisioner.model.errors import AlreadyExists, HypervisorError, InvalidInput, NotFound, SecretsLocked, Unsupported
from provisioner.model.image import Image
from provisioner.model.machine_record import MachineRecord, RecordedHost, RecordedObject, recorded, without_credentials
from provisioner.model.vm_disk import VMDisk
from provisioner.planning.restart import running_spec_of
from templates.domain.parked import render_parked

_REFUSALS = (InvalidInput, HypervisorError, Unsupported, NotFound, AlreadyExists)


def record_text(view: VirtualMachineView, *, is_handed_over: bool = False, is_parked: bool = False) -> str:
    """The VM's record as it is now."""
    vm, keys, withheld = view.resource, _public_keys(view), list[str]()
    machine = recorded(vm)
    spec = dict(machine.spec)
    if spec.pop("cloudInit", ""):
        withheld.append("cloudInit")
    status = dict(machine.status)
    if not is_parked and "runningSpec" not in status:
        status["runningSpec"] = running_spec_of(vm, size=view.size, vm_disks=view.disks).as_json()
    image = _image(view, withheld)
    record = MachineRecord(
        kind=vm.kind,
        namespace=vm.metadata.namespace,
        machine=machine.model_copy(update={"spec": spec, "status": status}),
        is_handed_over=is_handed_over,
        is_parked=is_parked,
        host=RecordedHost(
            name=view.host.metadata.name, labels=view.host.metadata.labels, spec=_without_uri(view.host.spec.as_json())
        ),
        claims=tuple(recorded(claim) for claim in view.claims()),
        disks=tuple(_without_url(recorded(disk), withheld) for disk in _disks(view)),
        image=image,
        host_public_key=keys.get(access.HOST_PUBLIC, ""),
        instance_id=keys.get(access.INSTANCE_ID, ""),
        withheld=tuple(dict.fromkeys(withheld)),
    )
    return record.as_text()


def write_record(view: VirtualMachineView) -> None:
    """The running domain bears the record of a VM that was handed over, as its spec is now."""
    try:
        view.hypervisor.records.write(view.domain_name, record_text(view, is_handed_over=True))
    except _REFUSALS as error:
        view.tell("NotRecorded", f"the domain bears no record of the VM as it is now: {error}", warning=True)


def keep_record(view: VirtualMachineView) -> None:
    """The record of a Ready VM follows its spec. Costs nothing where the spec is the one that was recorded."""
    generation = view.resource.metadata.generation
    if view.resource.status.recorded_generation != generation:
        write_record(view)
        view.write(recorded_generation=generation)


def park(view: VirtualMachineView, known: Domain | None) -> None:
    """In place of the VM's domain there is one without devices that bears its record. Repeating it costs two looks."""
    domains, name = view.hypervisor.domains, view.domain_name
    try:
        if known is not None and _is_parked(view, known):
            return
        text = record_text(view, is_parked=True)
        if known is not None:
            domains.undefine(name)  # its firmware variables go too
        domains.define(_parked_xml(view, text))
    except _REFUSALS as error:
        view.tell("NotRecorded", f"nothing on the host tells of the stopped VM: {error}", warning=True)
        domains.undefine(name)


def _is_parked(view: VirtualMachineView, known: Domain) -> bool:
    """Whether it is, with this spec. Then it stays as it is, since it names claims that the VM may have let go of meanwhile."""
    if known.functions:
        return False
    try:
        record = MachineRecord.from_text(view.hypervisor.records.read(known.name))
    except (InvalidInput, Unsupported):
        return False
    wanted = {name: value for name, value in view.resource.spec.as_json().items() if name != "cloudInit"}
    return record.is_parked and record.machine.uid == view.resource.metadata.uid and record.machine.spec == wanted


def _parked_xml(view: VirtualMachineView, text: str) -> str:
    vm = view.resource.metadata
    return render_parked(
        view.domain_name,
        uuid=domain_names.domain_uuid(view.key, cloud_init_seed=view.resource.spec.cloud_init_seed),
        owner_uid=vm.uid,
        owner=f"{vm.namespace}/{vm.name}",
        record=text,
        domain_type="kvm" if view.host.status.kvm.works else "qemu",
        machine=view.host.status.capabilities.machine,
    )


def _disks(view: VirtualMachineView) -> tuple[VMDisk, ...]:
    """What the VM has of the disks that its spec names; a stopped VM may name one that is gone."""
    try:
        return view.disks
    except NotFound:
        return ()


def _image(view: VirtualMachineView, withheld: list[str]) -> RecordedObject | None:
    """The image as it is stored or built in; none for a VM that boots from VMDisks, or whose image was taken away."""
    try:
        image: Image | None = view.image
    except InvalidInput:
        return None
    return None if image is None else _without_url(recorded(image), withheld)


def _without_url(known: RecordedObject, withheld: list[str]) -> RecordedObject:
    """The object with URLs that let nobody in."""
    spec: dict[str, Any] = dict(known.spec)
    source = spec.get("source")
    if isinstance(source, dict) and isinstance(source.get("http"), dict):
        spec["source"] = source | {"http": source["http"] | {"url": _open_part(source["http"]["url"], withheld)}}
    if isinstance(spec.get("url"), str):
        spec["url"] = _open_part(spec["url"], withheld)
    return known.model_copy(update={"spec": spec})


def _open_part(url: str, withheld: list[str]) -> str:
    shown = without_credentials(url)
    if shown != url:
        withheld.append("credentials in a URL")
    return shown


def _without_uri(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name != "uri"}


def _public_keys(view: VirtualMachineView) -> dict[str, str]:
    """The VM's keys, of which only public parts are used; none while the Secrets are locked, which must not keep a VM up."""
    try:
        return access.read(view)
    except SecretsLocked:
        return {}
