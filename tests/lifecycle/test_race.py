"""Two processes race for the last GPU, 100 times: one wins, the other is told why, and gets it when the winner goes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from provisioner.clocks import SystemClock, SystemIdentifiers
from provisioner.drivers.simulated.fleet import SimulatedFleet
from provisioner.drivers.simulated.hypervisor import SimulatedConnector
from provisioner.drivers.simulated.presets import L40S
from provisioner.lifecycle.surveying import surveyed
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GPUHost, GPUHostSpec, KvmVerdict
from provisioner.model.metadata import Metadata
from provisioner.model.tables import Tables
from provisioner.store.open import open_store
from provisioner.store.protocol import Store

ROUNDS = 100


class Racer:
    """A process that owns one VM."""

    def __init__(self, database: Path, name: str) -> None:
        argv = [sys.executable, "-m", "tests.lifecycle.racer", str(database), name]
        self.name = name
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, str]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def ask(self, command: str) -> dict[str, str]:
        self.say(command)
        return self.answer()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one host that has one GPU."""
    clock = SystemClock()
    fleet = SimulatedFleet(clock)
    fleet.add_host("a", gpus=(L40S,))
    store = open_store(tmp_path / "hikube.db", clock=clock, identifiers=SystemIdentifiers())
    host = store.create(GPUHost(metadata=Metadata(name="a"), spec=GPUHostSpec(uri="simulated://a")))
    found = surveyed(host, SimulatedConnector(fleet).connect("simulated://a"), Tables.builtin().gpus)
    store.update_status(host.model_copy(update={"status": found.model_copy(update={"kvm": KvmVerdict(works=True)})}))
    return store


def test_two_processes_race_for_the_last_gpu(store: Store, tmp_path: Path) -> None:
    racers = [Racer(tmp_path / "hikube.db", name) for name in ("red", "blue")]
    for racer in racers:
        racer.ask("create")
    wins: Counter[str] = Counter()
    for turn in range(ROUNDS):
        starters = racers if turn % 2 else racers[::-1]
        for racer in starters:
            racer.say("go")
        answers = {racer.name: racer.answer() for racer in racers}
        (claim,) = store.list(GPUClaim).items
        winner = next(racer for racer in racers if racer.name == claim.spec.owner.name)
        loser = next(racer for racer in racers if racer is not winner)
        assert answers[winner.name]["verdict"] == "Done"
        assert answers[loser.name]["verdict"] == "Retry", "never two owners"
        told = loser.ask("go")
        assert (told["reason"], told["message"]) == ("InsufficientGPUs", "1 host: 0 of 1 L40S free")
        winner.ask("undo")
        assert loser.ask("go")["verdict"] == "Done"
        assert store.list(GPUClaim).items[0].spec.owner.name == loser.name
        loser.ask("undo")
        assert store.list(GPUClaim).items == ()
        wins[winner.name] += 1
    for racer in racers:
        racer.end()
    print(f"{ROUNDS} races: {dict(wins)}")
    assert sum(wins.values()) == ROUNDS
