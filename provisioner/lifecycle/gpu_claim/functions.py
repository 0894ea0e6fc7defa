"""Putting single functions on vfio-pci and back, and telling a device that does not let go from a host that is away.

Shared by a VM's `bind`, which takes functions and may have to give them back at once, and by the claim's `quiesce` and
`restore`. Nothing here writes to the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from provisioner.drivers.hypervisor import Devices
from provisioner.model.errors import HikubeError, HostTimeout, HostUnreachable
from provisioner.model.gpu_claim import ClaimedFunction
from provisioner.model.pci import PciFunction

VFIO = "vfio-pci"
MOVE_TIMEOUT_S = 60.0
"""For one function to change its driver."""


def take(devices: Devices, function: PciFunction) -> None:
    """The function is on vfio-pci. One that it took too long and is there all the same counts.

    Raises:
        HostTimeout: its driver does not let go, and the host answers: it is the device.
        HostUnreachable: the host is away.
        NotFound, DeviceBusy, HypervisorError: as the driver says.
    """
    if function.driver == VFIO:
        return
    try:
        devices.bind_vfio(function.address, timeout_s=MOVE_TIMEOUT_S)
    except HostTimeout:
        if devices.functions([function.address])[0].driver != VFIO:  # a host that is away cannot answer this
            raise


def give_back_all(devices: Devices, functions: Sequence[ClaimedFunction]) -> None:
    """Every function is on the driver that it had, with its override; the last of them first.

    One that does not go does not keep the others: all are tried before the first trouble is raised, as by `take`. Only a host
    that is away ends it at once.
    """
    troubles: list[HikubeError] = []
    for known in reversed(functions):
        try:
            _give_back(devices, known)
        except HostTimeout as error:
            troubles.append(error)
        except HostUnreachable:
            raise
        except HikubeError as error:
            troubles.append(error)
    if troubles:
        raise troubles[0]


def _give_back(devices: Devices, known: ClaimedFunction) -> None:
    """Nothing to do if another driver than ours has it now.

    One that has none is asked for too, also if it had none before: it may be half-way between the two, with what was to move it
    stuck in the kernel, and only the host can tell.
    """
    now = devices.functions([known.address])[0]
    if known.previous_driver == VFIO or now.driver not in (VFIO, ""):
        return
    try:
        devices.restore(known.address, driver=known.previous_driver, override=known.previous_override, timeout_s=MOVE_TIMEOUT_S)
    except HostTimeout:
        if not _is_home(known, driver=devices.functions([known.address])[0].driver):
            raise


def _is_home(known: ClaimedFunction, *, driver: str) -> bool:
    """Whether a move that took too long has ended well. Where any driver will do, none is no end: a hung move stops there."""
    return driver == known.previous_driver if known.previous_driver else driver not in (VFIO, "")


def on_other_drivers(functions: Iterable[PciFunction]) -> Sequence[str]:
    """Those that are not on vfio-pci, with their drivers: `0000:41:00.1 (snd_hda_intel)`."""
    return [f"{function.address} ({function.driver or 'no driver'})" for function in functions if function.driver != VFIO]
