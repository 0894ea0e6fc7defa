"""What of a host can be adopted, and what is in the way. Looks at the host and at the store; writes nothing.

    domain with our mark ─ its record ─┬─ cannot be read ───────────────> unrecorded
                                       ├─ a name is taken by another ───> refused, by name
                                       └─ what of it the store lacks ───> adopted, completed, or unchanged

A domain whose VM another store looks after cannot be told from one whose store was lost: that the other store is gone, or its
controller stopped, is for the operator to know.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from provisioner.drivers.hypervisor import Domain, DomainState, Hypervisor
from provisioner.lifecycle.adoption.findings import Adoptee, Adoption, Verdict
from provisioner.lifecycle.adoption.rebuilding import (
    claims_of,
    disks_of,
    host_of,
    image_of_record,
    machine_of,
    secret_of,
)
from provisioner.lifecycle.adoption.stranded import with_stranded_gpus
from provisioner.lifecycle.ports import Ports
from provisioner.model import domain_names
from provisioner.model.errors import HikubeError, InvalidInput, NotFound, Unsupported
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.kinds import KINDS
from provisioner.model.machine_record import MachineRecord
from provisioner.model.metadata import Metadata, Resource
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning.networks import primary_mac

Read = tuple[Domain, MachineRecord | HikubeError]
"""Domains with what they bear."""


def plan_adoption(name: str, *, uri: str, ports: Ports) -> Adoption:
    """What would be made in the store from what is on the host.

    Args:
        uri: How to reach it; may be empty for a host that the store knows.

    Raises:
        NotFound: the store does not know the host, and there is no URI.
        InvalidInput: the store knows it under another URI, or the URI cannot be understood.
        HostUnreachable, NotAllowed: it does not answer, or not to us.
    """
    known = _known_host(name, uri, ports)
    hypervisor = ports.connector.connect(known.spec.uri if known is not None else uri)
    reads = [(domain, _read(domain, hypervisor)) for domain in hypervisor.domains.owned()]
    host = known or _host_from(reads, name=name, uri=uri)
    adoptees = tuple(_adoptee(domain, record, host=host, hypervisor=hypervisor, ports=ports) for domain, record in reads)
    adoptees = with_stranded_gpus(adoptees, dict(reads), host=host, hypervisor=hypervisor, ports=ports)
    left = _left(host, adoptees, hypervisor, ports)
    return Adoption(host, is_new_host=known is None, adoptees=adoptees, left=left)


def _known_host(name: str, uri: str, ports: Ports) -> GPUHost | None:
    try:
        host = ports.store.get(GPUHost, name)
    except NotFound:
        if not uri:
            hint = f"give its URI: hikube host adopt {name} qemu+ssh://root@HOST/system"
            raise NotFound(f"no host is called {name!r}", hint=hint) from None
        return None
    if uri not in ("", host.spec.uri):
        hint = f"`hikube host adopt {name}` adopts from there"
        raise InvalidInput(f"host {name} is known under another URI, {host.spec.uri}", hint=hint)
    return host


def _host_from(reads: Iterable[Read], *, name: str, uri: str) -> GPUHost:
    """As the newest VM recorded it; with defaults where nothing did."""
    records = [record for _, record in reads if isinstance(record, MachineRecord) and record.host.spec]
    if not records:
        return GPUHost(metadata=Metadata(name=name), spec=GPUHostSpec(uri=uri))
    newest = max(records, key=lambda record: (record.host.name == name, record.machine.created))
    return host_of(newest, name=name, uri=uri)


def _read(domain: Domain, hypervisor: Hypervisor) -> MachineRecord | HikubeError:
    text = hypervisor.records.read(domain.name)
    if not text:
        return InvalidInput("it bears no record", why="an older version made it, and says no more than its VM's uid")
    try:
        record = MachineRecord.from_text(text)
    except (InvalidInput, Unsupported) as error:
        return error
    if record.machine.uid != domain.owner_uid:
        return InvalidInput("its record is of another VM", why=f"it is marked as made for uid {domain.owner_uid}")
    return record


def _adoptee(
    domain: Domain, record: MachineRecord | HikubeError, *, host: GPUHost, hypervisor: Hypervisor, ports: Ports
) -> Adoptee:
    if not isinstance(record, MachineRecord):
        return Adoptee(domain, Verdict.UNRECORDED, reason=str(record))
    try:
        objects = _objects(record, domain, host=host, hypervisor=hypervisor, ports=ports)
    except (ValidationError, KeyError) as error:
        why = f"its record does not fit this version: {error}"
        return Adoptee(domain, Verdict.UNRECORDED, record.key, reason=why)
    obstacles = [*_taken(objects, ports), *_missing_volumes(record, hypervisor, host)]
    if obstacles:
        return Adoptee(domain, Verdict.REFUSED, record.key, reason="; ".join(obstacles))
    missing = tuple(resource for resource in objects if _stored(resource, ports) is None)
    verdict = Verdict.UNCHANGED if not missing else Verdict.ADOPTED if missing[-1] is objects[-1] else Verdict.COMPLETED
    lost = _lost(record, domain, objects) if verdict is not Verdict.UNCHANGED else ()
    return Adoptee(domain, verdict, record.key, makes=missing, lost=lost)


def _objects(
    record: MachineRecord, domain: Domain, *, host: GPUHost, hypervisor: Hypervisor, ports: Ports
) -> tuple[Resource, ...]:
    """Everything of the VM, the VM last. Claims come first: a GPU that is in use must not look free for a moment."""
    name, now = host.metadata.name, ports.now()
    vm = machine_of(record, domain, host=name, now=now)
    if not record.is_parked:
        vm = vm.with_status(mac_address=vm.status.mac_address or primary_mac(vm, host))
    if domain.state is DomainState.RUNNING and not record.is_parked:
        found = hypervisor.domains.addresses(domain.name, mac_address=vm.status.mac_address)
        vm = vm.with_status(address=found[0] if found else vm.status.address)
    image, secret = image_of_record(record, host=name), secret_of(record)
    disks = disks_of(record, host=name, now=now)
    return (
        *(() if record.is_parked else claims_of(record, host=name, now=now)),
        *(each for each in (image, secret) if each is not None),
        *disks,
        vm,
    )


def _stored(resource: Resource, ports: Ports) -> Resource | None:
    try:
        return ports.store.get(KINDS[resource.kind], resource.metadata.name, namespace=resource.metadata.namespace)
    except NotFound:
        return None


def _taken(objects: Iterable[Resource], ports: Ports) -> Iterable[str]:
    """Names that something else has. An image or a Secret that is there already serves as well."""
    for resource in objects:
        known = _stored(resource, ports)
        if known is None:
            continue
        if isinstance(resource, GPUClaim) and isinstance(known, GPUClaim):
            if known.spec.owner.uid != resource.spec.owner.uid:
                yield f"GPU {known.spec.address} is claimed by {known.spec.owner.key}"
            elif known.is_released:
                yield f"GPU {known.spec.address} is on its way home already"
        elif resource.kind in ("VMDisk", "VirtualMachine", "VMInstance"):
            if known.metadata.uid != resource.metadata.uid:
                yield f"{known.key} exists, and is another one (uid {known.metadata.uid}, not {resource.metadata.uid})"
            elif known.is_being_deleted:
                yield f"{known.key} is being deleted"


def _missing_volumes(record: MachineRecord, hypervisor: Hypervisor, host: GPUHost) -> Iterable[str]:
    """Disks that are not there: with the next start they would be made anew, empty, and nobody would know why."""
    for pool, volume in _volumes(record, host):
        if hypervisor.volumes.find(pool, volume) is None:
            yield f"volume {volume} is not in pool {pool}"


def _volumes(record: MachineRecord, host: GPUHost) -> Iterable[tuple[str, str]]:
    status, usual = record.machine.status, host.spec.storage_pool
    if record.machine.spec.get("systemDisk") is not None:
        name = status.get("systemVolume") or domain_names.system_volume(domain_names.domain_name(record.key))
        yield status.get("systemPool") or usual, name
    for disk in record.disks:
        if disk.status.get("volume"):
            yield disk.status.get("pool") or usual, disk.status["volume"]


def _lost(record: MachineRecord, domain: Domain, objects: Iterable[Resource]) -> tuple[str, ...]:
    found = [f"{name}: apply the VM's document again before its next start" for name in record.withheld if name == "cloudInit"]
    found += [f"{name}: add the image again where it has to be fetched anew" for name in record.withheld if name != "cloudInit"]
    if not record.is_parked and not record.is_handed_over:
        found.append("the controller's key for the guest: it is started anew to be proven")
    if record.was_ready and not record.host_public_key:
        found.append("the guest's SSH host key: `hikube gpu vm ssh` works again after its next start")
    claimed = {function.address for each in objects if isinstance(each, GPUClaim) for function in each.status.functions}
    found += [f"what {address} was bound to before" for address in domain.functions if address not in claimed]
    return tuple(found)


def _left(host: GPUHost, adoptees: Iterable[Adoptee], hypervisor: Hypervisor, ports: Ports) -> tuple[str, ...]:
    """Volumes of the host's pool that nothing accounts for, now or after the adoption."""
    pool = host.spec.storage_pool
    machines = [vm for kind in ("VirtualMachine", "VMInstance") for vm in ports.store.list(KINDS[kind]).items]
    machines += [each for adoptee in adoptees for each in adoptee.makes if isinstance(each, VirtualMachine)]
    disks = [*ports.store.list(KINDS["VMDisk"]).items]
    disks += [each for adoptee in adoptees for each in adoptee.makes if each.kind == "VMDisk"]
    known = {disk.status.volume for disk in disks} | {vm.status.system_volume for vm in machines}
    known |= {name for adoptee in adoptees if not adoptee.is_ours for name in _names_of(adoptee.domain.name)}
    known |= {name for vm in machines for name in _names_of(domain_names.domain_name(vm.key))}
    volumes = hypervisor.volumes.list(pool, prefix=domain_names.PREFIX)
    return tuple(volume.name for volume in volumes if volume.name not in known and not _is_shared(volume.name))


def _names_of(domain: str) -> tuple[str, ...]:
    return domain_names.system_volume(domain), domain_names.seed_volume(domain), domain_names.console_log_volume(domain)


def _is_shared(volume: str) -> bool:
    return volume.startswith((domain_names.BASE_PREFIX, domain_names.CONSOLE_PREFIX))
