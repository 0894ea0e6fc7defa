"""The program that acts on one device of a host: bind, restore, reset, scrub.

Nothing is touched before it is seen that nobody has the device open, and whatever may block in the kernel happens in a child
that is left alone if it does (see guarding): this program always answers within its limit.

    ARGUMENTS   operation   bind | restore | reset | scrub
                address     of the function
                limit_s     for the whole
                driver, override     restore: what it had; empty: whatever the kernel chooses, no override
                command     scrub: run by sh, with {address} replaced
                root        where the host's files are; `/` if left out

    answer      outcome     done | not-found | busy | timed-out | unsupported | not-allowed (before anything) | failed
                why         in words, where it is not done
                holders     busy: who is in the way
                driver      after bind and restore: the one that it is on
                method      after reset
                exit_status, output_tail, duration_s     after scrub
"""

from __future__ import annotations

import errno
import json
import os

from templates.host.function import VFIO, Device, Refused
from templates.host.guarding import HELPER, call_itself
from templates.host.kernel_files import group_of, is_alone_on_its_bus, is_vfio, read, reset_methods

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MODPROBE_LIMIT_S = 20.0


def bind(device: Device) -> dict[str, Any]:
    """Put it on vfio-pci; one that is on it, or on a variant of it, is left as it is."""
    if not is_vfio(device.driver):
        device.refuse_held()
        device.refuse_dead_or_bridge()
        load_vfio(device)
        rebind(device, override=VFIO)
        if not device.until(lambda: is_vfio(device.driver)):
            raise Refused("failed", f"it is on {device.driver or 'no driver'} after {VFIO} was asked for", driver=device.driver)
    return {"outcome": "done", "driver": device.driver}


def load_vfio(device: Device) -> None:
    """Have the module loaded; where that fails, the probe that follows says so."""
    if os.path.isdir(os.path.join(device.root, "sys/bus/pci/drivers", VFIO)):
        return

    def load() -> bool:
        import subprocess

        argv = ["modprobe", "-d", device.root, VFIO]
        try:
            return subprocess.run(argv, check=False, timeout=MODPROBE_LIMIT_S, stderr=subprocess.DEVNULL).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    device.guarded(load, doing=f"modprobe {VFIO}", limit_s=MODPROBE_LIMIT_S)


def rebind(device: Device, *, override: str) -> None:
    """Take it from its driver, and let the kernel choose again with this override."""
    before = device.driver

    def work() -> None:
        device.write("driver_override", f"{override}\n")
        if before:
            device.write(f"{device.folder}/driver/unbind", device.address)
        try:
            device.write("sys/bus/pci/drivers_probe", device.address)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENODEV):  # nobody wants it: whoever asked looks at what came of it
                raise

    device.guarded(work, doing=f"taking it from {before or 'no driver'} and having it probed")


def restore(device: Device, *, driver: str, override: str) -> dict[str, Any]:
    """Give it back to the driver that it had, with the override that it had."""

    def is_home() -> bool:
        return device.driver == driver if driver else not is_vfio(device.driver)

    if is_vfio(driver):
        bind(device)
    elif not is_home():
        device.refuse_held()
        rebind(device, override=override)
        if not device.until(is_home) and driver:
            bind_straight(device, driver)
            device.until(is_home)
        if not is_home():
            raise Refused("failed", f"the kernel has it on {device.driver or 'no driver'}", driver=device.driver)
    device.guarded(lambda: set_override(device, override), doing="writing its driver_override")
    return {"outcome": "done", "driver": device.driver}


def bind_straight(device: Device, driver: str) -> None:
    """Bind it to this driver although the kernel chose another one, or none; nothing happens if that driver is not loaded."""
    place, other = f"sys/bus/pci/drivers/{driver}", device.driver
    if not os.path.isdir(os.path.join(device.root, place)):
        return

    def work() -> None:
        if other:
            device.write(f"{device.folder}/driver/unbind", device.address)
        device.write(f"{place}/bind", device.address)

    device.guarded(work, doing=f"binding it to {driver}")


def set_override(device: Device, override: str) -> None:
    """Write driver_override if it is another one; a bare newline clears it, while an empty text would write nothing."""
    now = read(device.root, f"{device.folder}/driver_override")
    if now != (override or "(null)"):
        device.write("driver_override", f"{override}\n")


def reset(device: Device) -> dict[str, Any]:
    """Reset it by the kernel's best method, and see that it is the same device that answers afterwards."""
    device.refuse_held()
    device.refuse_native()
    device.refuse_dead_or_bridge()
    methods = reset_methods(device.root, device.address)
    if not methods:
        raise Refused("unsupported", "the kernel has no method to reset it, or its reset_method was emptied")
    method = device.guarded(lambda: reset_by(device, methods[0]), doing=f"the {methods[0]} reset")
    ids = [int(read(device.root, f"{device.folder}/{name}") or "0", 16) for name in ("vendor", "device")]
    expected = b"".join(number.to_bytes(2, "little") for number in ids)

    def found() -> bytes:
        return device.head()[:4]

    if not device.until(lambda: found() == expected):
        raise Refused("failed", f"it did not come back from the {method} reset: its config space begins with {found().hex()}")
    return {"outcome": "done", "method": method}


def reset_by(device: Device, method: str) -> str:
    """Have the kernel reset it; the method that it was. For children only.

    A function that shares its bus may list `bus` and then refuse it: that was found out before the others were. VFIO can do it.
    """
    try:
        device.write("reset", "1")
    except OSError as error:
        can_share = is_vfio(device.driver) and is_alone_on_its_bus(device.root, device.address)
        if error.errno not in (errno.ENOTTY, errno.ENOENT) or not can_share:
            raise
        hot_reset(device)
        return "bus"
    return method


def hot_reset(device: Device) -> None:
    """Have VFIO reset the bus, which it does if its whole group is on vfio-pci and ours. Numbers: include/uapi/linux/vfio.h."""
    import fcntl
    import struct

    set_iommu, set_container, get_device, reset_bus, type1v2 = 0x3B66, 0x3B68, 0x3B6A, 0x3B71, 3
    container = os.open(os.path.join(device.root, "dev/vfio/vfio"), os.O_RDWR)
    group = os.open(os.path.join(device.root, f"dev/vfio/{group_of(device.root, device.address)}"), os.O_RDWR)
    fcntl.ioctl(group, set_container, struct.pack("i", container))
    fcntl.ioctl(container, set_iommu, type1v2)
    opened = fcntl.ioctl(group, get_device, bytearray(device.address.encode() + b"\0"), True)
    fcntl.ioctl(opened, reset_bus, struct.pack("IIIi", 16, 0, 1, group))
    for descriptor in (opened, group, container):
        os.close(descriptor)


def scrub(device: Device, *, command: str) -> dict[str, Any]:
    """Run the operator's command for it."""
    from templates.host.scrubbing import run

    device.refuse_held()
    device.refuse_native()
    return run(command.replace("{address}", device.address), limit_s=device.left_s())


def act(arguments: dict[str, Any]) -> dict[str, Any]:
    """Do the operation; the answer."""
    root, address = arguments.get("root", "/"), arguments["address"]
    if root == "/" and os.geteuid() != 0:
        return {"outcome": "not-allowed", "why": "only root sees who holds a device, and may act on it"}
    try:
        call_itself(HELPER + address)  # before it looks for others: of two that begin at once, each sees the other
        device = Device(address, limit_s=arguments["limit_s"], root=root)
        device.refuse_absent()
        device.refuse_two_at_once()
        operation = arguments["operation"]
        if operation == "restore":
            return restore(device, driver=arguments["driver"], override=arguments["override"])
        if operation == "scrub":
            return scrub(device, command=arguments["command"])
        return {"bind": bind, "reset": reset}[operation](device)
    except Refused as refused:
        return refused.answer


if __name__ == "__main__":
    print(json.dumps(act(globals()["ARGUMENTS"])))
