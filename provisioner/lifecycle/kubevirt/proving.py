"""Steps `address`, `verify` and `ready` on a cluster: the guest's own report is the proof, as everywhere.

KubeVirt's "Running" says that QEMU runs, and nothing of the guest. Which GPUs the machine has is known only now: by count, by
model, and by what the guest's driver calls each. The seed stays attached to a running instance, so at hand-over the seed of
later starts is replaced by one without keys, and the private half of the key that the running one names is gone.
"""

from __future__ import annotations

from provisioner.drivers.machine_cluster import MachineState
from provisioner.lifecycle.kubevirt.claiming import claim_reported
from provisioner.lifecycle.kubevirt.making import machine_spec
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.virtual_machine.domain import guest_stopped
from provisioner.lifecycle.virtual_machine.proving import (
    handed_over,
    let_guest_go,
    needs_driver,
    report_of,
    verdict_on,
    was_proven,
)
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.guest_report import GuestReport
from provisioner.model.virtual_machine import GpuAssignment
from provisioner.planning.guest_devices import ExpectedGpu, expected_by_count
from provisioner.planning.proof import Proof, prove_expected
from provisioner.planning.refusals import counted

POLL_S = 2.0


def find_address(view: VirtualMachineView) -> Verdict:
    """The instance has an address on the pod network."""
    found = view.look_at_machine()
    if found is None or not view.instance_runs():
        if found is not None and found.state is MachineState.LOST:
            return Retry(POLL_S, "NodeLost", "the node does not answer", is_patient=True)
        return guest_stopped(view)
    if not found.addresses:
        return Retry(POLL_S, "NoAddress", "the cluster tells no address yet")
    if view.resource.status.address != found.addresses[0]:
        view.write(address=found.addresses[0])
    return Done(found.addresses[0])


def prove_gpus(view: VirtualMachineView) -> Verdict:
    """What the guest reports is what the spec asks for, and every GPU that it names is claimed."""
    if was_proven(view):
        return Done()
    report = report_of(view)
    if not isinstance(report, GuestReport):
        return report
    expected = _expected(view)
    proof = prove_expected(report, expected, needs_driver=needs_driver(view))
    unproven = verdict_on(view, report, proof)
    if unproven is not None:
        return _with_advice(view, unproven, proof)
    gpus = _assignments(view, expected, report, proof)
    refused = claim_reported(view, gpus)
    if refused is not None:
        return refused
    view.write(gpus=gpus, driver_version=report.nvidia.driver_version)
    return Done("; ".join(filter(None, (proof.message, _unclaimed(gpus)))))


def hand_over(view: VirtualMachineView) -> Verdict:
    """The VM is the tenant's: our key and all private halves are gone, from the guest, from the cluster and from here.

    The cluster's copy goes first: an instance that is made again in between would take our key from it.
    """
    if not view.instance_runs():
        return guest_stopped(view)
    view.cluster.apply(machine_spec(view, is_to_run=True, has_keys=False))
    let_guest_go(view)
    return handed_over(view)


def _expected(view: VirtualMachineView) -> tuple[ExpectedGpu, ...]:
    facts, found = view.host.status.cluster, view.look_at_machine()
    ids = {device.name: device.id for device in facts.permitted} if facts is not None else {}
    names = [gpu.name for gpu in view.resource.spec.gpus]
    return expected_by_count(names, ids=ids, tables=view.ports.tables, addresses=found.gpu_addresses if found else ())


def _assignments(
    view: VirtualMachineView, expected: tuple[ExpectedGpu, ...], report: GuestReport, proof: Proof
) -> tuple[GpuAssignment, ...]:
    rows = {row.address: row for row in report.nvidia.gpus}
    host = view.host.metadata.name
    made = []
    for gpu in expected:
        place = proof.guest_addresses.get(gpu.host_address, "")
        row = rows.get(place)
        evidence = {"uuid": row.uuid, "serial": row.serial, "vbios": row.vbios} if row is not None else {}
        address = "" if gpu.host_address.startswith("#") else gpu.host_address
        made.append(GpuAssignment(name=gpu.name, host=host, address=address, guest_address=place, **evidence))
    return tuple(made)


def _with_advice(view: VirtualMachineView, verdict: Verdict, proof: Proof) -> Verdict:
    """A broken GPU cannot be kept from the next VM by hikube: the cluster's device plugin hands it out."""
    if not isinstance(verdict, Abort) or not proof.faulty:
        return verdict
    found = view.look_at_machine()
    node = found.node if found is not None else ""
    advice = f"the cluster may give it out again: take it out of node {node}'s device plugin, or cordon the node"
    view.tell("GPUSuspected", f"{'; '.join(proof.faulty.values())}; {advice}", warning=True)
    return Abort(verdict.reason, f"{verdict.message}\n{advice}", is_final=verdict.is_final)


def _unclaimed(gpus: tuple[GpuAssignment, ...]) -> str:
    count = sum(not gpu.uuid for gpu in gpus)
    return f"{counted(count, 'GPU')} without a claim: the guest's driver names no UUID" if count else ""
