"""Steps `define` and `start`: the domain as planned, and running; and the way back, gently first.

A start pins all of the guest's memory and can take minutes, so it runs in the background. A guest that stops while it is being
brought up ends the attempt: under nested emulation a guest can reset without a word, and a reset there means destroy.
"""

from __future__ import annotations

from provisioner.drivers.hypervisor import DomainState
from provisioner.lifecycle.background import Running
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.virtual_machine.blueprint import domain_xml, host_now
from provisioner.lifecycle.virtual_machine.leases import lost_claims, note_given
from provisioner.lifecycle.virtual_machine.record import park, record_text
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model.redaction import guest_words
from provisioner.planning.networks import primary_mac
from provisioner.planning.restart import running_spec_of

POLL_S = 0.5
DESTROY_TIMEOUT_S = 60.0
DELETION_GRACE_S = 30.0
"""As KubeVirt's terminationGracePeriodSeconds: VMDisks may outlive the VM and want to be unmounted."""


def define_domain(view: VirtualMachineView) -> Verdict:
    """The host knows the domain as planned. A running one is left alone: changes wait for a restart."""
    known = view.look()
    if known is not None and known.owner_uid != view.resource.metadata.uid:
        return Abort("ForeignDomain", f"a domain `{known.name}` that is not ours is on host `{view.host.metadata.name}`")
    if view.holds("Started") or (known is not None and known.state is DomainState.RUNNING):
        return Done()  # what was started in this attempt and runs no more is for `start` to judge, not to be made anew
    xml, plan = domain_xml(view, record=record_text(view), host=host_now(view))
    if known is not None and known.uuid != plan.uuid:
        view.hypervisor.domains.undefine(known.name)  # another cloudInitSeed since it was defined
    domain = view.hypervisor.domains.define(xml)
    view.write(
        domain=domain.name,
        domain_uuid=domain.uuid,
        mac_address=primary_mac(view.resource, view.host),
        running_spec=running_spec_of(view.resource, size=view.size, vm_disks=view.disks),
    )
    return Done(domain.name)


def undefine_domain(view: VirtualMachineView) -> Verdict:
    """The host has no domain of this VM; of one that may come back it has a parked one, which bears its record."""
    if not view.resource.status.host:
        return Done()
    known, uid = view.look(), view.resource.metadata.uid
    if known is None or known.owner_uid == uid:
        if view.resource.status.first_ready and not view.resource.is_being_deleted:
            park(view, known)
        elif known is not None:
            view.hypervisor.domains.undefine(known.name)
    if view.resource.status.domain:
        view.write(domain="", domain_uuid="")
    return Done()


def start_domain(view: VirtualMachineView) -> Verdict:
    """The domain runs."""
    known = view.look()
    job = _start_job(view)
    if known is not None and known.state is DomainState.RUNNING:
        view.ports.background.forget(job)
        return Done()
    record = view.record("start")
    if record is not None and record.finished:
        return guest_stopped(view)
    if not view.ports.background.is_under_way(job) and (lost := lost_claims(view)):
        return Abort("ClaimLost", f"its claim on {', '.join(lost)} is gone: others may have the GPU by now")
    note_given(view)
    hypervisor, name, timeout_s = view.hypervisor, view.domain_name, view.budgets.start_s * view.ports.time_scale

    def work(_meter: object) -> None:
        hypervisor.domains.start(name, timeout_s=timeout_s)

    outcome = view.ports.background.run(job, work, waiter=view.key)
    if isinstance(outcome, Running):
        return Retry(POLL_S, "Starting", f"starting, {view.size.memory_mib} MiB of memory to pin")
    return Done()


def stop_domain(view: VirtualMachineView) -> Verdict:
    """The domain does not run: asked to power off, and stopped hard when its time is up."""
    if not view.resource.status.host:
        return Done()
    job = _start_job(view)
    if view.ports.background.is_under_way(job):
        return Retry(POLL_S, "Starting", "a start is under way; the domain is stopped as soon as that has ended")
    view.ports.background.forget(job)
    known = view.look()
    if known is None or known.owner_uid != view.resource.metadata.uid or known.state is not DomainState.RUNNING:
        return Done()
    waited_s = view.stopping_for_s()
    grace_s = _grace_s(view)
    if waited_s < grace_s:
        view.hypervisor.domains.shutdown(known.name)
        return Retry(POLL_S, "ShuttingDown", f"asked to power off, stopped hard in {grace_s - waited_s:.0f} s")
    view.hypervisor.domains.destroy(known.name, timeout_s=DESTROY_TIMEOUT_S)
    return Done()


def _start_job(view: VirtualMachineView) -> str:
    return f"start {view.domain_name} on {view.resource.status.host}"


def _grace_s(view: VirtualMachineView) -> float:
    """How long a guest may take to power off: no time if it never was the tenant's, little if its disk goes with it."""
    if not view.resource.status.first_ready:
        return 0.0
    full_s = view.budgets.shutdown_s * view.ports.time_scale
    return min(full_s, DELETION_GRACE_S) if view.resource.is_being_deleted else full_s


def guest_stopped(view: VirtualMachineView) -> Abort:
    """The verdict on a guest that stopped while it was being brought up."""
    return Abort("GuestStopped", "the guest stopped or reset while it was being brought up" + last_words(view))


def is_running(view: VirtualMachineView) -> bool:
    """Whether the domain runs at this moment; on a cluster, the instance of its machine."""
    if view.is_on_cluster:
        return view.instance_runs()
    known = view.look()
    return known is not None and known.state is DomainState.RUNNING


def last_words(view: VirtualMachineView, *, lines: int = 15) -> str:
    """The end of the console, for an error; empty if nothing is kept."""
    if view.is_on_cluster:
        return ""  # the cluster keeps it for whoever has rights there
    text = view.hypervisor.console.tail(view.domain_name, limit_bytes=4000).strip()
    tail = guest_words("\n".join(text.splitlines()[-lines:]), user_data=view.resource.spec.cloud_init)
    return f"\nconsole:\n{tail}" if tail else ""
