"""How the host's CPU and hypervisor execute the guest: KVM or emulation, which CPU it sees, what a reset does."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.model.gpu_host import GPUHost
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.planning.hardware.choices import Choice
from provisioner.planning.host_labels import is_nested_emulation

KVM, EMULATED = "kvm", "qemu"


@dataclass(frozen=True, slots=True)
class Execution:
    """How the guest runs."""

    domain_type: str
    cpu_mode: str
    on_reboot: str
    pv_spinlocks: bool
    choices: tuple[Choice, ...]


def execution_of(vm: VirtualMachine, host: GPUHost) -> Execution:
    """KVM where it was proven, the best CPU that the host offers."""
    domain_type, why_type = _domain_type(host)
    cpu_mode, why_cpu = _cpu_mode(vm, host, domain_type=domain_type)
    on_reboot, why_reboot = _on_reboot(host, domain_type=domain_type)
    pv_spinlocks, why_locks = _pv_spinlocks(host, domain_type=domain_type)
    choices = (
        Choice("type", "KVM" if domain_type == KVM else "emulation", why_type),
        Choice("CPU", vm.spec.cpu_model or cpu_mode, why_cpu),
        Choice("reset", "stops the guest", why_reboot),
        Choice("spinlocks", "not paravirtual", why_locks),
    )
    said = tuple(choice for choice in choices if choice.why)
    return Execution(domain_type, cpu_mode, on_reboot, pv_spinlocks, said)


def is_kvm(host: GPUHost) -> bool:
    """Whether guests of the host run under KVM."""
    return bool(host.status.kvm.works)


def _domain_type(host: GPUHost) -> tuple[str, str]:
    kvm = host.status.kvm
    if kvm.works:
        return KVM, "it was seen to run a guest there"
    return EMULATED, kvm.message or ("KVM does not work there" if kvm.works is False else "KVM was not proven there")


def _cpu_mode(vm: VirtualMachine, host: GPUHost, *, domain_type: str) -> tuple[str, str]:
    """host-passthrough shows the guest the very CPU, which libvirt offers under KVM only; `maximum` is its like under TCG."""
    if vm.spec.cpu_model:
        return "custom", "the spec asks for this model"
    offered = host.status.capabilities.cpu_modes
    best_first = ("host-passthrough", "host-model", "maximum") if domain_type == KVM else ("maximum", "host-model")
    mode = next((mode for mode in best_first if not offered or mode in offered), best_first[-1])
    return mode, f"the best that the host offers under {'KVM' if domain_type == KVM else 'emulation'}"


def _on_reboot(host: GPUHost, *, domain_type: str) -> tuple[str, str]:
    """A guest under emulation can reset without a word and would look like a slow boot; stopped, it can be seen."""
    if domain_type == KVM and not is_nested_emulation(host):
        return "restart", ""
    return "destroy", "under emulation a reset may be silent and would look like a slow boot"


def _pv_spinlocks(host: GPUHost, *, domain_type: str) -> tuple[bool, str]:
    """A guest of KVM that waits for a lock halts with interrupts off until it is kicked.

    Nested under emulation the kick was seen to be lost: the vCPU halts for ever (in kvm_wait), and the guest with it.
    """
    if domain_type == KVM and is_nested_emulation(host):
        return False, "nested under emulation, the wake-up of a vCPU that halted for a lock can be lost"
    return True, ""
