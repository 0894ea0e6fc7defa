"""Over whole lives of VMs, none of their private keys and nothing of their user-data is said anywhere outside of their seed."""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.clocks import SeededIdentifiers
from provisioner.drivers.simulated.faults import Fault
from provisioner.lifecycle.adoption import adopt, plan_adoption
from provisioner.lifecycle.dry_run import preview
from provisioner.model.errors import GuestNotProven, HypervisorError
from provisioner.model.virtual_machine import Phase, RunStrategy
from tests.lifecycle.eavesdropping import ListeningConnector, ListeningStore, leaks
from tests.lifecycle.world import World, vm_yaml

CANARY = "canary-of-the-user-data-51c2"
WITH_CANARY = vm_yaml(
    "first", extra=f"  cloudInit: |\n    #cloud-config\n    password: {CANARY}\n    chpasswd: {{expire: false}}\n"
)


class Overheard:
    """A world in which everything that is said is heard."""

    def __init__(self, directory: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        self.world, self._log = World(directory), caplog
        self.store = ListeningStore(clock=self.world.clock, identifiers=SeededIdentifiers(1))
        self.connector = ListeningConnector(self.world.ports.connector)
        self.world.store = self.store
        self.world.ports = replace(self.world.ports, store=self.store, connector=self.connector)
        self.world.start_controller()

    def leaks(self) -> list[str]:
        """What of the private things was said until now."""
        assert len(self.store.private) >= 2, "there was something to keep"
        said = "\n".join([*self.connector.said, self.store.said(), self._log.text])
        assert "<domain" in said
        assert "hikube:record" in said
        return leaks(said, self.store.private | {CANARY})


@pytest.fixture
def overheard(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Overheard:
    return Overheard(tmp_path, caplog)


def test_a_whole_life(overheard: Overheard) -> None:
    world = overheard.world.host("a", gpus=2).apply(WITH_CANARY).settle()
    world.annotate("first", "hikube.cloud/request", "restart:1")
    world.run(lambda: world.vm("first").status.handled_request == "restart:1").settle()
    world.edit("first", run_strategy=RunStrategy.HALTED).run(lambda: world.vm("first").status.phase is Phase.STOPPED)
    world.edit("first", run_strategy=RunStrategy.ALWAYS).settle()
    assert world.is_ready("first")
    world.delete("first").run(lambda: not world.exists("first")).pass_time(600)
    assert overheard.leaks() == []


def test_a_life_with_every_kind_of_trouble(overheard: Overheard) -> None:
    world = overheard.world.host("a", gpus=2)
    world.fleet.host("a").behave(cloud_init="error")
    for call in ("domains.define", "domains.start", "volumes.upload", "records.write", "devices.bind_vfio"):
        world.fleet.faults.stage(Fault(HypervisorError("it broke"), call=call))
    world.fleet.faults.stage(Fault(GuestNotProven("no"), call="guests.report"))
    world.fleet.faults.stage(Fault(RuntimeError("a bug"), call="guests.hand_over"))
    world.apply(WITH_CANARY).settle()
    world.delete("first").run(lambda: not world.exists("first")).pass_time(600)
    assert overheard.leaks() == []


def test_a_life_that_goes_on_in_another_store(overheard: Overheard) -> None:
    world = overheard.world.host("a").apply(WITH_CANARY).settle()
    private, overheard.store.private = overheard.store.private, set()
    lost = overheard.store
    overheard.store = ListeningStore(clock=world.clock, identifiers=SeededIdentifiers(2))
    overheard.store.private = private
    world.store = overheard.store
    world.ports = replace(world.ports, store=overheard.store)
    adoption = adopt(plan_adoption("a", uri="simulated://a", ports=world.ports), world.ports)
    world.start_controller()
    world.settle()
    assert leaks(str(adoption.as_dict()) + lost.said(), private | {CANARY}) == []
    assert overheard.leaks() == []


def test_a_dry_run_shows_no_key(overheard: Overheard) -> None:
    world = overheard.world.host("a").apply(WITH_CANARY).settle()
    seen = preview(world.vm("first"), world.ports)
    assert leaks(f"{seen.domain_xml} {seen.seed}", overheard.store.private) == []
    assert leaks(seen.domain_xml, {CANARY}) == []


def test_values_that_are_printed_by_mistake_show_nothing(overheard: Overheard) -> None:
    """`repr` is what ends up in an assertion, a traceback or a log line of a library."""
    world = overheard.world.host("a").apply(WITH_CANARY).settle()
    shown = [repr(each) for each in overheard.store.snapshot().objects] + [repr(world.vm("first").spec)]
    assert leaks("".join(shown), overheard.store.private | {CANARY}) == []


def test_the_ear_hears(overheard: Overheard) -> None:
    """The test of the tests: a key that is said, in whatever way, is found."""
    overheard.world.host("a").apply(WITH_CANARY).settle()
    key = max(overheard.store.private, key=len)
    for said in (key, key.splitlines()[2], json.dumps({"a": key}), base64.b64encode(key.encode()).decode()):
        assert leaks(f"before {said} after", overheard.store.private)
