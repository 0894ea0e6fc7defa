"""What befalls those who watch: changes and events are lost or told twice, connections drop, reads are old."""

from __future__ import annotations

from random import Random

from provisioner.clocks import SeededIdentifiers
from provisioner.drivers.host_events import HostEvent, HostEventKind
from provisioner.drivers.simulated.watchers import Watchers
from provisioner.store.memory import MemoryStore
from tests.simulation.happenings import trouble
from tests.simulation.happenings.choosing import a_domain, a_gpu, a_host
from tests.simulation.universe import Universe

STALE_S = 10.0
STALE_READS = (3, 15, 60)


@trouble
def lose_changes(universe: Universe, random: Random) -> str:
    """The next changes of the store are never told to a controller."""
    if not universe.processes:
        return ""
    process = random.choice(universe.processes)
    process.store.loses_changes = True
    return f"controller {process.number} is not told the next changes"


@trouble
def repeat_changes(universe: Universe, random: Random) -> str:
    """The next changes of the store are told twice."""
    if not universe.processes:
        return ""
    process = random.choice(universe.processes)
    process.store.repeats_changes = True
    return f"controller {process.number} is told the next changes twice"


@trouble
def read_stale(universe: Universe, random: Random) -> str:
    """From now on a controller reads the store as it is now, for some reads and at most some seconds, whatever is written."""
    if not universe.processes:
        return ""
    process, reads = random.choice(universe.processes), random.choice(STALE_READS)
    identifiers = SeededIdentifiers(random.getrandbits(32))
    old = MemoryStore(clock=universe.clock, identifiers=identifiers, start=universe.store.snapshot())
    process.store.go_stale(reads=reads, old=old)
    universe.later(
        STALE_S, f"controller {process.number} reads what is stored", lambda: process.store.go_stale(reads=0, old=None)
    )
    return f"the next {reads} reads of controller {process.number} are of what is stored now"


@trouble
def lose_event(universe: Universe, random: Random) -> str:
    """QEMU of a domain dies, and the host's word of it is lost."""
    found = a_domain(universe, random)
    if found is None:
        return ""
    host, domain = found
    kept, host.watchers = host.watchers, Watchers()
    host.kill_qemu(domain)
    with host.peek() as state:
        kept.news(state)  # taken note of, and told nobody
    host.watchers = kept
    return f"QEMU of {domain} on {host.name} dies, and nobody is told"


@trouble
def repeat_event(universe: Universe, random: Random) -> str:
    """A host tells what is not so, or not any more."""
    if random.random() < 0.5:
        host, address = a_gpu(universe, random)
        event = HostEvent(HostEventKind.DEVICES_CHANGED, address)
    else:
        found = a_domain(universe, random)
        if found is None:
            return ""
        host, domain = found
        event = HostEvent(random.choice((HostEventKind.DOMAIN_STOPPED, HostEventKind.DOMAIN_STARTED)), domain)
    for _ in range(random.choice((1, 2, 8))):
        host.watchers.tell((event,))
    return f"{host.name} tells again: {event.kind} {event.subject}"


@trouble
def drop_connections(universe: Universe, random: Random) -> str:
    """Connections to a host drop, and it answers when it is called again."""
    host = a_host(universe, random)
    host.watchers.lose("connection reset by peer")
    return f"connections to {host.name} drop"
