"""The simulated fleet: hosts by name or by URI, one clock, one seed, one place to stage faults.

    simulated://a                        a host that `add_host` made, for as long as this process lives
    simulated://l40s?state=/path.json    a host of the preset `l40s` that lives in a file; every process sees the same one
    simulated://b?preset=l40s&state=…    the same with a name of its own, which errors name it by

The hardware of a host in a file is decided when the file is first written; the name of the preset is then only its name.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Unpack
from urllib.parse import parse_qs, urlsplit

from provisioner.drivers.simulated.faults import CallLog, Faults
from provisioner.drivers.simulated.hardware import HardwareChanges, SimulatedHardware, build_state
from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.drivers.simulated.presets import ONE_L40S, PRESETS
from provisioner.drivers.simulated.storage import FileStorage, MemoryStorage
from provisioner.drivers.simulated.timing import QUICK, Chance, Timing
from provisioner.drivers.simulated.world import World
from provisioner.model.clock import Clock
from provisioner.model.errors import AlreadyExists, HostUnreachable, InvalidInput, NotFound

SCHEME = "simulated"
_DEFAULT_TIMING = Timing()


class SimulatedFleet:
    """Hosts, and what they share."""

    def __init__(self, clock: Clock, *, seed: int = 0, timing: Timing = _DEFAULT_TIMING, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.calls = CallLog()
        self._world = World(clock=clock, chance=Chance(seed), timing=timing, faults=self.faults, calls=self.calls)
        self._lock = threading.Lock()
        self._hosts: dict[str, SimulatedHost] = {}

    @property
    def world(self) -> World:
        """Clock, chance, durations, faults and log."""
        return self._world

    @property
    def hosts(self) -> tuple[SimulatedHost, ...]:
        """The hosts that are known so far, by URI."""
        with self._lock:
            return tuple(self._hosts[uri] for uri in sorted(self._hosts))

    def add_host(self, name: str, hardware: SimulatedHardware = ONE_L40S, **changes: Unpack[HardwareChanges]) -> SimulatedHost:
        """A new host at `simulated://<name>`: the hardware with these fields changed.

        Raises:
            AlreadyExists: the name is taken.
        """
        uri = f"{SCHEME}://{name}"
        storage = MemoryStorage(build_state(name, replace(hardware, **changes)))
        with self._lock:
            if uri in self._hosts:
                raise AlreadyExists(f"The fleet has a host {name} already")
            host = self._hosts[uri] = SimulatedHost(name, uri=uri, storage=storage, world=self._world)
        return host

    def host(self, name: str) -> SimulatedHost:
        """The host of that name that `add_host` made.

        Raises:
            NotFound: there is none.
        """
        uri = f"{SCHEME}://{name}"
        if uri not in self._hosts:
            raise NotFound(f"The fleet has no host {name}")
        return self._hosts[uri]

    def at(self, uri: str) -> SimulatedHost:
        """The host behind that URI.

        Raises:
            InvalidInput: it is no `simulated://` URI, or the preset of a new state file does not exist.
            HostUnreachable: no host has that name.
        """
        parts = urlsplit(uri)
        if parts.scheme != SCHEME or not parts.netloc:
            raise InvalidInput(f"{uri!r} is no URI of a simulated host", hint="simulated://l40s?state=/path/to/state.json")
        asked = parse_qs(parts.query)
        with self._lock:
            if "state" in asked:
                path = Path(asked["state"][0]).expanduser().absolute()
                return self._in_file(parts.netloc, path, preset=asked.get("preset", [parts.netloc])[0])
            known = self._hosts.get(f"{SCHEME}://{parts.netloc}")
        if known is None:
            raise HostUnreachable(f"Host {uri} cannot be reached", why="the simulated fleet has no host of that name")
        return known

    def _in_file(self, name: str, path: Path, *, preset: str) -> SimulatedHost:
        uri = f"{SCHEME}://{name}?state={path}"
        if uri in self._hosts:
            return self._hosts[uri]
        if preset not in PRESETS and not path.exists():
            raise InvalidInput(
                f"There is no preset {preset!r} for a simulated host", hint=f"One of: {', '.join(sorted(PRESETS))}"
            )
        storage = FileStorage(path, first=lambda: build_state(name, PRESETS[preset]))
        world = replace(self._world, timing=QUICK)
        host = self._hosts[uri] = SimulatedHost(name, uri=uri, storage=storage, world=world)
        return host
