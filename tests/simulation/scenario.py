"""What kind of fleet a seed makes and what may befall it: a small YAML file in scenarios/.

    hosts:                        so many of each, by a preset of the simulated fleet, with fields of its hardware changed
      - {count: 12, preset: l40s}
    quotas:                       what the VMs of some namespaces may have; none, where nothing is said
      - {namespace: acme, hard: {gpus: 2}}
    hours: 24                     how long, in virtual time
    happenings: 30                how many
    durations: {ssh: [1, 40]}     what takes how long
    weights: {create: 8, ...}     how often each; those that are not named do not happen

Only data: nothing here runs anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from provisioner.drivers.simulated.timing import Timing

DIRECTORY = Path(__file__).parent / "scenarios"


class Hosts(BaseModel):
    """Hosts of one kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = Field(gt=0)
    preset: str
    hardware: Mapping[str, Any] = {}
    spec: Mapping[str, Any] = {}
    """Fields of the GPUHost's spec."""
    strangers: int = Field(default=0, ge=0)
    """How many domains of another store run there when the host is added."""


class Quota(BaseModel):
    """What the VMs of a namespace may have from the beginning."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: str
    hard: Mapping[str, int]


class Durations(BaseModel):
    """What takes how long on the hosts, in seconds; ranges are drawn anew at each boot. See the simulated fleet's Timing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calls: Mapping[str, float] = {"inventory.prove_kvm": 2.0}
    address: tuple[float, float] = (2.0, 6.0)
    ssh: tuple[float, float] = (1.0, 4.0)
    cloud_init: tuple[float, float] = (5.0, 20.0)
    shutdown: tuple[float, float] = (1.0, 3.0)

    def timing(self) -> Timing:
        """As the fleet takes it."""
        return Timing(
            calls=dict(self.calls), address=self.address, ssh=self.ssh, cloud_init=self.cloud_init, shutdown=self.shutdown
        )


class Scenario(BaseModel):
    """One file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    about: str
    hosts: tuple[Hosts, ...]
    quotas: tuple[Quota, ...] = ()
    hours: float = Field(gt=0)
    happenings: int = Field(ge=0)
    machines: int = 8
    """How many names VMs are made under; a name is used again when its VM has gone."""
    interleaving: float = Field(default=0.01, ge=0, le=1)
    """How many port calls have another pass come in between."""
    durations: Durations = Durations()
    weights: Mapping[str, float]

    @property
    def duration_s(self) -> float:
        """In seconds."""
        return self.hours * 3600.0


def read_scenario(name: str) -> Scenario:
    """The scenario of that name in scenarios/, or of that file.

    Raises:
        FileNotFoundError: there is none.
        ValidationError: it is not written as it should be.
    """
    path = Path(name) if name.endswith(".yaml") else DIRECTORY / f"{name}.yaml"
    return Scenario(name=path.stem, **yaml.safe_load(path.read_text(encoding="utf-8")))
