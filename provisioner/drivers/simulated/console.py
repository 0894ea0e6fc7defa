"""The serial console of a simulated guest: what it would have printed by now."""

from __future__ import annotations

from provisioner.drivers.simulated.link import Link
from provisioner.drivers.simulated.state import Boot, HostState

_BEFORE = "SeaBIOS (version 1.16.3-debian-1.16.3-2)\n"
_SYSTEM = "Booting from Hard Disk...\n[    0.000000] Linux version 6.12.0\n"


class SimulatedConsole:
    """See drivers.hypervisor.Console."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def tail(self, name: str, *, limit_bytes: int) -> str:
        """See the protocol. Nothing is kept of a domain that has stopped."""
        with self._link.call("console.tail", subject=name) as state:
            text = _text(state, name, now_s=self._link.host.world.clock.now_s())
        return text.encode()[-limit_bytes:].decode(errors="replace") if limit_bytes > 0 else ""


def _text(state: HostState, name: str, *, now_s: float) -> str:
    record = state.domains.get(name)
    if record is None or record.live is None or record.boot is None or not record.live.has_console:
        return ""
    if record.boot.console:
        return _BEFORE + record.boot.console
    return _BEFORE + _SYSTEM + "".join(_progress(record.boot, name=name, now_s=now_s))


def _progress(boot: Boot, *, name: str, now_s: float) -> list[str]:
    lines = (
        (boot.address_s, "[    2.100000] cloud-init: Cloud-init running 'init'\n"),
        (boot.ssh_s, f"{name} login: \n"),
        (boot.cloud_init_s, "cloud-init: Cloud-init finished\n"),
    )
    return [line for at_s, line in lines if at_s is not None and now_s >= at_s]
