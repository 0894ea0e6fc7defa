"""Calls that fail: of hosts, guests and images, and of the store; before they did anything, or when only the answer is lost."""

from __future__ import annotations

from random import Random

from provisioner.drivers.simulated.faults import Fault
from provisioner.model.errors import Conflict, DeviceBusy, HostTimeout, HostUnreachable, HypervisorError, StoreUnavailable
from tests.simulation.happenings import happening
from tests.simulation.happenings.choosing import a_host
from tests.simulation.process import Crash
from tests.simulation.universe import Universe

CALLS = (
    "domains.*", "domains.start", "domains.define", "domains.look", "domains.destroy", "domains.undefine", "domains.shutdown",
    "devices.*", "devices.bind_vfio", "devices.restore", "devices.reset", "devices.scrub", "volumes.*", "volumes.create",
    "volumes.upload", "volumes.delete", "volumes.clone", "volumes.resize", "guests.*", "guests.hand_over", "guests.report",
    "images.fetch", "connect", "subscribe", "inventory.*", "inventory.examine", "networks.*", "networks.publish",
    "networks.withdraw", "records.*",
)  # fmt: skip
"""Calls of drivers, by pattern; none is one of the store, which fails in its own ways."""
WRITES = ("store.create", "store.update", "store.update_status", "store.delete", "store.record")
READS = ("store.get", "store.list", "store.watch")


@happening
def fail_calls(universe: Universe, random: Random) -> str:
    """The next calls that match fail; after a time-out they may have had their effect all the same."""
    error = random.choice(
        (HostUnreachable("away"), HostTimeout("too slow"), HypervisorError("internal error"), DeviceBusy("held"))
    )
    host, call = ("*" if random.random() < 0.5 else a_host(universe, random).name), random.choice(CALLS)
    fault = Fault(
        error,
        call=call,
        host="" if call == "images.fetch" else host,
        skip=random.choice((0, 0, 1, 5)),
        times=random.choice((1, 1, 2, 6, 20)),
        takes_effect=isinstance(error, HostTimeout) and random.random() < 0.7,
        takes_s=random.choice((0.0, 0.0, 5.0, 30.0)),
    )
    universe.gate.stage(fault)
    return _spelled(fault)


@happening
def fail_store(universe: Universe, random: Random) -> str:
    """Calls to the store fail; writes may have been written all the same."""
    call = random.choice((*WRITES, *READS))
    error = StoreUnavailable("no answer")
    takes_effect = call in WRITES and random.random() < 0.5
    fault = Fault(error, call=call, host="store", times=random.choice((1, 1, 3, 10)), takes_effect=takes_effect)
    universe.gate.stage(fault)
    return _spelled(fault)


@happening
def conflict(universe: Universe, random: Random) -> str:
    """Writes are refused as if somebody else had written a moment before."""
    call = random.choice(("store.update", "store.update_status"))
    fault = Fault(Conflict("it was changed meanwhile"), call=call, host="store", times=random.choice((1, 2, 8)))
    universe.gate.stage(fault)
    return _spelled(fault)


@happening
def crash_in_a_call(universe: Universe, random: Random) -> str:
    """The controller dies in a call, before or after its effect."""
    is_store = random.random() < 0.5
    fault = Fault(
        Crash(),
        call=random.choice((*WRITES, "store.list") if is_store else (*CALLS, "*")),
        host="store" if is_store else "*",
        skip=random.choice((0, 1, 3)),
        takes_effect=random.random() < 0.5,
    )
    universe.gate.stage(fault)
    return _spelled(fault)


def _spelled(fault: Fault) -> str:
    what = "it crashes" if isinstance(fault.error, Crash) else type(fault.error).__name__
    after = " after its effect" if fault.takes_effect else ""
    skip = f", {fault.skip} go well before" if fault.skip else ""
    where = {"*": "", "store": "", "": ""}.get(fault.host, f" of {fault.host}")
    return f"{fault.call}{where}: {what}{after} ({fault.times} ×{skip})"
