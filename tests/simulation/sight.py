"""What the checks look at: the store and the hosts as they are, kept up to date by what changed since the last look.

    store ──changes since──> objects, by kind, by name, by uid          hosts ──who was called──> guests of the touched ones
    clock ──> now, and for how long each host has had no excuse: `calm_s`

Read behind everybody's back: no call passes the gate, no time passes, nothing is changed. Objects are the store's own (frozen);
states of hosts must not be changed nor kept.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TypeVar, cast

from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.drivers.simulated.state import DomainRecord, HostState
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost, claim_name
from provisioner.model.metadata import Key, Resource
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from provisioner.store.protocol import Change, ChangeType
from tests.simulation.universe import Universe

R = TypeVar("R", bound=Resource)

HOSTS = "hosts"
"""Among the news: somebody called a host, or the world itself did something."""
TIME = "time"
"""Among the news: some time has passed since this was last news."""
TICK_S = 15.0
RECOVERING_S = 60.0
"""After a fault or a crash: back-offs run, connections fail fast."""
DISPLAY = "03"
"""PCI class of what counts as a GPU."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A running domain, and the functions that are passed to it."""

    domain: str
    owner_uid: str
    functions: tuple[str, ...]
    gpus: tuple[str, ...]
    """Those of them that are GPUs."""
    volumes: tuple[str, ...]
    """What its disks are on, by path or by pool and name."""
    memory_mib: int
    starts: int
    """How often the domain was started, this time included."""


class Sight:
    """One for all checks of a trial."""

    def __init__(self, universe: Universe) -> None:
        self.universe = universe
        self.news: frozenset[str] = frozenset()
        """The kinds of what was written since the last look; HOSTS, TIME."""
        self.changes: tuple[Change, ...] = ()
        """What was written since the last look, in order."""
        self.gone: dict[Key, Resource] = {}
        """The last state of what was there at the last look and is not there any more; also if its name is another's now."""
        self.touched: frozenset[str] = frozenset()
        """Names of hosts that may differ from what they were at the last look."""
        self.stops: tuple[tuple[str, str, str], ...] = ()
        """Host, call and domain of what controllers did since the last look to end domains."""
        self.now_s = 0.0
        """Monotonic time of the world."""
        self.struck_s = -1.0
        """When the world itself did something last."""
        self.clocks_agree = True
        """Whether no controller's clock was ever set to another time than the world's."""
        self.kept_on_vfio: set[str] = set()
        """Names of hosts whose GPUs were ever to stay on vfio-pci."""
        self._names: dict[str, Key] = {}
        self._objects: defaultdict[str, dict[Key, Resource]] = defaultdict(dict)
        self._by_uid: dict[str, Resource] = {}
        self._claims: defaultdict[str, dict[Key, GPUClaim]] = defaultdict(dict)
        self._version = "0"
        self._states: dict[str, HostState] = {}
        self._gpus: dict[str, frozenset[str]] = {}
        self._guests: dict[str, tuple[Guest, ...]] = {}
        self._calm = _CalmClock(universe)
        self._ticked_s = 0.0

    # time

    @property
    def time_s(self) -> float:
        """The world's time of day, in seconds since the epoch, as hosts know it."""
        return self.universe.clock.now_s()

    @property
    def pass_began_s(self) -> float:
        """When the pass began in which whatever is new may have been decided, by monotonic time."""
        return self.universe.pass_began_s

    def calm_s(self, host: str = "") -> float:
        """A clock that stands while that host, or a controller, has an excuse; without a host, while a controller has one."""
        return self._calm.reads_s(host)

    # what is there

    def refresh(self, *, all_hosts: bool) -> bool:
        """Take in what changed; says whether anything may have. `all_hosts`: the world itself did something."""
        universe = self.universe
        self.now_s = universe.clock.monotonic_s()
        self._calm.note(self.now_s, may_have_broken=all_hosts)
        if self.gone:
            self.gone = {}
        self.changes = self._take_in() if universe.store.version != self._version else ()
        if all_hosts:
            touched = frozenset(host.name for host in universe.fleet.hosts)
            self.struck_s = self.now_s
            self.clocks_agree = self.clocks_agree and all(process.clock.skew_s == 0.0 for process in universe.processes)
        else:
            touched = frozenset(universe.touched)
        self.touched = touched - {"", "store"}
        self.stops = tuple(universe.stops)
        universe.touched.clear()
        universe.stops.clear()
        for name in self.touched:
            self._guests.pop(name, None)
        self.news = self._news()
        return bool(self.news)

    def all(self, kind: type[R]) -> tuple[R, ...]:
        """Every object of exactly that kind."""
        return cast("tuple[R, ...]", tuple(self._objects[kind.KIND].values()))

    def find(self, key: Key) -> Resource | None:
        """The object of that name, or None."""
        return self._objects[key.kind].get(key)

    def of_uid(self, uid: str) -> Resource | None:
        """The object with that uid, or None."""
        return self._by_uid.get(uid)

    def named(self, uid: str) -> Key | None:
        """What the VM with that uid is called, or was; None: there never was one."""
        return self._names.get(uid)

    def machines(self) -> tuple[VirtualMachine, ...]:
        """Of both kinds."""
        return (*self.all(VirtualMachine), *self.all(VMInstance))

    def claim_on(self, host: str, address: str) -> GPUClaim | None:
        """The claim on that GPU, or None."""
        return cast("GPUClaim | None", self.find(Key(GPUClaim.KIND, "", claim_name(host, address))))

    def claims_of(self, uid: str) -> tuple[GPUClaim, ...]:
        """The claims of the VM with that uid, released ones included."""
        return tuple(self._claims[uid].values()) if uid in self._claims else ()

    def gpu_host(self, name: str) -> GPUHost | None:
        """The GPUHost of that name, or None."""
        return cast("GPUHost | None", self.find(Key(GPUHost.KIND, "", name)))

    # hosts as they really are

    def host(self, name: str) -> SimulatedHost:
        """The handle of that host."""
        return self.universe.fleet.host(name)

    def state(self, name: str) -> HostState:
        """How that host is now; what was due by now and nobody has noticed may still be shown as it was."""
        if name not in self._states:
            with self.host(name).peek() as state:
                self._states[name] = state
        return self._states[name]

    def knows(self, name: str) -> bool:
        """Whether there is a host of that name in the fleet."""
        return name in self._states or any(host.name == name for host in self.universe.fleet.hosts)

    def is_running(self, record: DomainRecord) -> bool:
        """Whether QEMU runs at this moment."""
        return record.live is not None and (record.ends_s is None or record.ends_s > self.time_s)

    def gpus(self, name: str) -> frozenset[str]:
        """Addresses of every GPU that the host ever had."""
        if name not in self._gpus:
            functions = self.state(name).functions.values()
            self._gpus[name] = frozenset(each.address for each in functions if each.pci_class.startswith(DISPLAY))
        return self._gpus[name]

    def guests(self, name: str) -> tuple[Guest, ...]:
        """The running domains of that host."""
        known = self._guests.get(name)
        if known is None:
            gpus = self.gpus(name)
            known = self._guests[name] = tuple(
                _guest(record, gpus) for record in self.state(name).domains.values() if self.is_running(record)
            )
        return known

    def _take_in(self) -> tuple[Change, ...]:
        changes: list[Change] = []
        while self.universe.store.version != self._version:
            some = self.universe.store.watch(self._version, timeout_s=0.0)
            self._version = some[-1].version
            changes += some
        for change in changes:
            self._note(change.type, change.resource)
        return tuple(changes)

    def _note(self, what: ChangeType, resource: Resource) -> None:
        key, uid = resource.key, resource.metadata.uid
        if isinstance(resource, GPUClaim):
            self._claims[resource.spec.owner.uid][key] = resource
        elif isinstance(resource, VirtualMachine):
            self._names[uid] = key
        elif isinstance(resource, GPUHost) and resource.spec.keep_on_vfio:
            self.kept_on_vfio.add(key.name)
        if what is not ChangeType.DELETED:
            self._objects[key.kind][key] = self._by_uid[uid] = resource
            return
        self._objects[key.kind].pop(key, None)
        self._by_uid.pop(uid, None)
        self.gone[key] = resource
        if isinstance(resource, GPUClaim):
            del self._claims[resource.spec.owner.uid][key]

    def _news(self) -> frozenset[str]:
        news = {change.resource.kind for change in self.changes}
        if self.touched:
            news.add(HOSTS)
        if self.now_s - self._ticked_s >= TICK_S:
            self._ticked_s = self.now_s
            news.add(TIME)
        return frozenset(news)


def _guest(record: DomainRecord, gpus: frozenset[str]) -> Guest:
    live = record.live
    assert live is not None
    functions = tuple(device.host_address for device in live.devices)
    return Guest(
        domain=live.name,
        owner_uid=live.owner_uid,
        functions=functions,
        gpus=tuple(address for address in functions if address in gpus),
        volumes=tuple(
            disk.path or f"{disk.pool}/{disk.volume}" for disk in live.disks if not disk.is_cdrom and not disk.is_empty
        ),
        memory_mib=live.memory_mib,
        starts=record.starts,
    )


class _CalmClock:
    """Counts the time in which controllers run and nothing has just gone wrong; for each host, in which it answers besides."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._seen_s = self._slept_s = self._calm_s = 0.0
        self._troubled_s = -RECOVERING_S
        self._troubles = (0, 0)
        self._was_stopped = True
        self._away: tuple[str, ...] = ()
        self._lost_s: defaultdict[str, float] = defaultdict(float)

    def reads_s(self, host: str) -> float:
        """Seconds."""
        return self._calm_s - self._lost_s.get(host, 0.0)

    def note(self, now_s: float, *, may_have_broken: bool) -> None:
        """Time has passed since the last note, or not."""
        universe = self._universe
        passed_s = now_s - self._seen_s - (universe.slept_s - self._slept_s)
        self._seen_s, self._slept_s = now_s, universe.slept_s
        troubles = (universe.gate.injected, universe.crashes)
        processes = universe.processes
        is_stopped = not processes or any(each.resumes_at_s > now_s or each.clock.skew_s for each in processes)
        if troubles != self._troubles or is_stopped or self._was_stopped:
            self._troubles, self._troubled_s = troubles, now_s
        self._was_stopped = is_stopped
        if now_s - self._troubled_s >= RECOVERING_S:
            self._calm_s += passed_s
            for name in self._away:
                self._lost_s[name] += passed_s
        if may_have_broken:
            self._away = tuple(host.name for host in universe.fleet.hosts if _link_of(host) != "up")


def _link_of(host: SimulatedHost) -> str:
    with host.peek() as state:
        return state.link
