"""Checks of one GPU by itself: is it there, is it alive, can it be reset, who drives it, how does its link run."""

from __future__ import annotations

from provisioner.model.gpu_host import GpuHealth, ResetPolicy
from provisioner.planning.doctor.checks import Answer, Found, GpuCase, Severity, Unknown
from provisioner.planning.refusals import counted

VFIO = "vfio-pci"
STUCK = ("D3cold", "error")
CLINGING_DRIVERS = ("nouveau", "radeon")
"""Drivers that are known not to let a device go cleanly while a console may be on it."""


def present(case: GpuCase) -> Answer:
    """Whether the host still shows it."""
    if case.about.examination.is_known:
        return None if case.function is not None else Found("the host shows no device at this address")
    return Found(case.gpu.health_message or "the host does not show it") if case.gpu.health is GpuHealth.MISSING else None


def config_space(case: GpuCase) -> Answer:
    """Whether its config space answers."""
    dead = [each.address for each in case.endpoints if each.config_alive is False]
    if dead:
        return Found(f"config space of {', '.join(dead)} reads as all ones: fallen off the bus")
    return _unread(case, "config_alive", "its config space could not be read")


def virtual_functions(case: GpuCase) -> Answer:
    """Whether SR-IOV virtual functions are on, which keeps vfio-pci away."""
    count = case.function.virtual_functions if case.function is not None else 0
    return Found(f"{counted(count, 'virtual function')} of it {'is' if count == 1 else 'are'} enabled") if count else None


def power(case: GpuCase) -> Answer:
    """Whether it can be woken."""
    for each in case.endpoints:
        if each.power_state == "error" or (each.power_state == "D3cold" and each.config_alive is not True):
            return Found(f"{each.address} is in power state {each.power_state}")
        if each.power_state == "D3cold":
            return Found(f"{each.address} was in D3cold, and answered", severity=Severity.WARNING)
        if each.power_state == "unknown" and each.driver == VFIO:
            return Found(f"the kernel does not know the power state of {each.address}", severity=Severity.WARNING)
    return None


def deep_sleep(case: GpuCase) -> Answer:
    """Whether it may be put to a sleep from which some cards do not wake."""
    if case.function is None or case.function.d3cold_allowed is None:
        return Unknown("d3cold_allowed could not be read")
    if not case.function.d3cold_allowed:
        return None
    idles_on_vfio = case.about.host.spec.keep_on_vfio
    message = "d3cold_allowed is 1: left alone on vfio-pci it may be switched off, and some cards do not come back"
    return Found(message, severity=Severity.WARNING if idles_on_vfio else Severity.INFO)


def link_width(case: GpuCase) -> Answer:
    """Whether its link has all of its lanes. Its speed is no fault: idle cards slow down."""
    now = case.function.link_width if case.function is not None else None
    most = case.function.link_width_max if case.function is not None else None
    if not now or not most:
        return Unknown("its link could not be read")
    return Found(f"its link runs at x{now} of x{most}") if now < most else None


def reset_method(case: GpuCase) -> Answer:
    """Whether it can be reset between two tenants."""
    if case.function is None or case.function.reset_methods:
        return None
    is_required = case.about.host.spec.reset_policy is ResetPolicy.REQUIRED
    return Found("the kernel knows no way to reset it", severity=Severity.ERROR if is_required else Severity.WARNING)


def driver(case: GpuCase) -> Answer:
    """Whether its driver will let it go, and nobody else manages which driver it has."""
    if case.is_owned or case.function is None:
        return None
    if case.function.driver in CLINGING_DRIVERS:
        return Found(f"it is on {case.function.driver}, which is known to hang when a device is taken from it")
    pinned = case.function.driver_override
    if pinned and pinned != VFIO:
        return Found(f"its driver_override says {pinned}: another tool manages its driver")
    return None


def kept_on_vfio(case: GpuCase) -> Answer:
    """Whether it is on vfio-pci where the operator wants that for good."""
    if not case.about.host.spec.keep_on_vfio or case.is_owned:
        return None
    if case.function is not None:
        drivers = {each.address: each.driver for each in case.endpoints}
    else:
        drivers = {each.address: each.driver for each in (case.gpu.function, *case.gpu.companions)}
    wrong = [f"{address} is on {name or 'no driver'}" for address, name in sorted(drivers.items()) if name != VFIO]
    return Found(f"keepOnVfio is set, and {', '.join(wrong)}") if wrong else None


def left_on_vfio(case: GpuCase) -> Answer:
    """Whether somebody put it on vfio-pci who is not known any more. A driver chosen by `vfio-pci.ids=` sets no override."""
    host, function = case.about.host, case.function
    is_out = case.gpu.address in (*host.spec.retired, *(entry.address for entry in host.status.quarantined))
    if function is None or case.is_owned or is_out or host.spec.keep_on_vfio:
        return None
    if (function.driver, function.driver_override) != (VFIO, VFIO) or any(each.holders for each in case.endpoints):
        return None
    boot_id = case.about.examination.boot_id
    if boot_id and case.gpu.at_home_boot_id == boot_id:
        return Found(
            "it was put on vfio-pci since the host was booted, and nobody has claimed it: the control loop sends it home"
        )
    return Found("its driver_override keeps it on vfio-pci, nobody has claimed it, and keepOnVfio is not set")


def bus_errors(case: GpuCase) -> Answer:
    """Whether its link has reported errors that were not corrected."""
    aer = case.function.aer if case.function is not None else None
    if aer is None:
        return Unknown("it has no error counters, or they could not be read")
    if not aer.fatal and not aer.nonfatal:
        return None
    return Found(f"{aer.fatal} fatal and {aer.nonfatal} other uncorrected PCIe errors since the host was booted")


def quarantined(case: GpuCase) -> Answer:
    """Whether it is in quarantine, and why."""
    entry = next((each for each in case.about.host.status.quarantined if each.address == case.gpu.address), None)
    return Found(f"in quarantine since {entry.since}: {entry.reason}") if entry is not None else None


def retired(case: GpuCase) -> Answer:
    """Whether it was taken out for good."""
    return Found("it is retired: never handed out again") if case.gpu.address in case.about.host.spec.retired else None


def _unread(case: GpuCase, fact: str, why: str) -> Answer:
    return Unknown(why) if case.function is None or getattr(case.function, fact) is None else None
