"""Steps `address`, `reach`, `verify` and `ready`: the guest is found, answers, proves its GPUs, and is handed over.

"Running" is not "ready": Ready is written only after the guest itself reported the GPUs that the spec asks for, over SSH with
a pinned host key. At hand-over our key, the seed and every private half are removed; from then on the VM is the tenant's alone.
"""

from __future__ import annotations

from dataclasses import replace

from provisioner.drivers.guest.protocol import GuestDoor
from provisioner.lifecycle.quarantine import quarantine
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.virtual_machine import access
from provisioner.lifecycle.virtual_machine.blueprint import hardware_of
from provisioner.lifecycle.virtual_machine.domain import guest_stopped, is_running, last_words
from provisioner.lifecycle.virtual_machine.record import write_record
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model import domain_names
from provisioner.model.gpu_host import GPUHost
from provisioner.model.guest_report import GuestReport
from provisioner.model.redaction import guest_words
from provisioner.model.virtual_machine import GpuAssignment
from provisioner.planning.gpu_health import GUEST_FAULT, may_accuse
from provisioner.planning.guest_numa import numa_findings
from provisioner.planning.proof import Proof, prove
from provisioner.planning.refusals import counted

POLL_S = 1.0
REPORT_TIMEOUT_S = 30.0
HAND_OVER_TIMEOUT_S = 60.0
SEED_TARGET = "sda"
USER = "root"


def find_address(view: VirtualMachineView) -> Verdict:
    """The guest has an address."""
    if not view.resource.spec.networks and not view.host.spec.network:
        return Abort("NoNetwork", "the VM has no network to be reached on", is_final=True)
    mac = view.resource.status.mac_address
    addresses = view.hypervisor.domains.addresses(view.domain_name, mac_address=mac)
    if addresses:
        kept = {known.address for known in view.resource.status.kept_addresses if known.mac_address == mac}
        address = next((each for each in addresses if each in kept), addresses[0])
        if view.resource.status.address != address:
            view.write(address=address)
        return Done(address)
    if not is_running(view):
        return guest_stopped(view)
    return Retry(POLL_S, "NoAddress", f"no address for {mac} yet")


def reach_guest(view: VirtualMachineView) -> Verdict:
    """The guest answers on SSH with its pinned key and a report."""
    if was_proven(view):
        return Done(view.resource.status.address)
    verdict = _ask(view)
    return verdict if verdict is not None else Done(view.resource.status.address)


def prove_gpus(view: VirtualMachineView) -> Verdict:
    """What the guest reports is what the spec asks for."""
    if was_proven(view):
        return Done()
    report = report_of(view)
    if not isinstance(report, GuestReport):
        return report
    proof = _judged(view, report)
    if proof.state == "failed":
        _quarantine_faulty(view, proof)
    unproven = verdict_on(view, report, proof)
    if unproven is not None:
        return unproven
    view.write(gpus=_with_evidence(view, report, proof), driver_version=report.nvidia.driver_version)
    return Done(proof.message)


def report_of(view: VirtualMachineView) -> GuestReport | Verdict:
    """What the guest said in this pass; asked for if nobody did yet. A verdict: it cannot be had now."""
    if view.report is None:
        verdict = _ask(view)
        if verdict is not None:
            return verdict
    assert view.report is not None
    return view.report


def verdict_on(view: VirtualMachineView, report: GuestReport, proof: Proof) -> Verdict | None:
    """What follows from a proof that does not hold; None if it holds."""
    if proof.state == "waiting":
        return Retry(POLL_S, "NotProvenYet", proof.message)
    if proof.state == "failed":
        tail = report.cloud_init.output_tail
        tail = guest_words(tail, user_data=view.resource.spec.cloud_init)
        words = f"\ncloud-init:\n{tail}" if tail else last_words(view)
        return Abort("NotProven", proof.message + words)
    return None


def _quarantine_faulty(view: VirtualMachineView, proof: Proof) -> None:
    """Nobody gets a GPU that its guest calls broken: not this VM's next attempt, and not the next VM.

    Once a namespace's guests have called too many broken, their word alone is told to the operator and does no more.
    """
    namespace, host = view.resource.metadata.namespace, view.host.metadata.name
    for address, why in proof.faulty.items():
        words = f"{why}; reported by the guest of {view.key}"
        if may_accuse(namespace, view.ports.store.list(GPUHost).items):
            quarantine(view.ports, host=host, address=address, reason=words, cause=GUEST_FAULT, accuser=namespace)
        else:
            view.tell("GPUSuspected", f"{address} of {host}: {words}; an operator has to look at it", warning=True)


def _judged(view: VirtualMachineView, report: GuestReport) -> Proof:
    """Every GPU as planned: present, driven, and on its NUMA node."""
    hardware = hardware_of(view)
    at = hardware.guest_addresses
    planned = [gpu.model_copy(update={"guest_address": at.get(gpu.address, "")}) for gpu in view.resource.status.gpus]
    proof = prove(
        report,
        assignments=planned,
        host_gpus=view.host.status.gpus,
        tables=view.ports.tables,
        needs_driver=needs_driver(view),
    )
    numa = numa_findings(report, places=proof.guest_addresses, planned=hardware.guest_numa_nodes)
    return replace(proof, findings=(*proof.findings, *numa))


def hand_over(view: VirtualMachineView) -> Verdict:
    """The VM is the tenant's: our key, the seed and all private halves are gone.

    The seed goes first: a guest that boots again in between would take our key from it once more.
    """
    if not is_running(view):
        return guest_stopped(view)
    view.hypervisor.domains.eject(view.domain_name, SEED_TARGET)
    let_guest_go(view)
    view.hypervisor.volumes.delete(view.pool, domain_names.seed_volume(view.domain_name))
    done = handed_over(view)
    write_record(view)
    return done


def let_guest_go(view: VirtualMachineView) -> None:
    """The guest removes our key and all that is private of ours; nothing to do for one that did."""
    data = access.read(view)
    if access.CONTROLLER_PRIVATE in data:
        view.ports.guests.hand_over(_door(view, data), timeout_s=HAND_OVER_TIMEOUT_S)


def handed_over(view: VirtualMachineView) -> Done:
    """Our private halves are gone, and the status says that the VM is its tenant's."""
    access.forget_private(view)
    status = view.resource.status
    view.write(
        first_ready=status.first_ready or view.ports.now(),
        recorded_generation=view.resource.metadata.generation,
        consecutive_failures=0,
        retry_after="",
        last_failure="",
    )
    return Done(f"{counted(len(status.gpus), 'GPU')} proven")


def was_proven(view: VirtualMachineView) -> bool:
    """Proven since its last start, by a controller that did not live to finish the hand-over: our key may be gone already."""
    return view.holds("GPUsProven") and is_running(view)


def _ask(view: VirtualMachineView) -> Verdict | None:
    """Fetch the report into the view; None when it is there. The boot id tells a reset guest from a slow one."""
    if not is_running(view):
        return guest_stopped(view)
    data = access.read(view)
    if access.CONTROLLER_PRIVATE not in data:
        return Abort("KeysLost", "the controller's key for this VM is gone; only a restart with a new seed can prove it")
    report = view.ports.guests.report(_door(view, data), timeout_s=REPORT_TIMEOUT_S)
    known = view.resource.status.boot_id
    if known and known != report.boot_id and view.record("reach") is not None and view.holds("Reachable"):
        return Abort("GuestReset", f"the guest's boot id changed from {known} to {report.boot_id}: it has reset")
    if known != report.boot_id:
        view.write(boot_id=report.boot_id)
    view.report = report
    return None


def _door(view: VirtualMachineView, data: dict[str, str]) -> GuestDoor:
    return GuestDoor(
        address=view.resource.status.address,
        user=USER,
        host_public_key=data[access.HOST_PUBLIC],
        private_key=data[access.CONTROLLER_PRIVATE],
        host_uri=view.host.spec.uri,
    )


def needs_driver(view: VirtualMachineView) -> bool:
    """Whether a driver was baked in or installed by us; elsewhere it is the tenant's to bring."""
    return view.image is not None and (bool(view.image.spec.nvidia_driver) or view.image.spec.distribution != "other")


def _with_evidence(view: VirtualMachineView, report: GuestReport, proof: Proof) -> tuple[GpuAssignment, ...]:
    """The assignments with what the guest calls each GPU: address, UUID and serial."""
    by_address = {gpu.address: gpu for gpu in report.nvidia.gpus}
    found = []
    for assignment in view.resource.status.gpus:
        guest_address = proof.guest_addresses.get(assignment.address, "")
        row = by_address.get(guest_address)
        evidence = {"uuid": row.uuid, "serial": row.serial, "vbios": row.vbios} if row is not None else {}
        found.append(assignment.model_copy(update={"guest_address": guest_address, **evidence}))
    return tuple(found)
