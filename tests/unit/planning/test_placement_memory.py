"""A placement with a memory of earlier answers is the placement without one, whatever happened to the fleet in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.planning.answers import answers_of
from provisioner.planning.fleet import Fleet, HostLoad
from provisioner.planning.placement import Memory, Placement, place
from provisioner.planning.policy import PlacementPolicy
from provisioner.planning.requests import PlacementRequest
from tests.unit.planning.factory import claim
from tests.unit.planning.test_placement_properties import Dice


def changed(fleet: Fleet, dice: Dice, answer: object) -> Fleet:
    """A host is surveyed anew, comes or goes, the plan is carried out, or nothing happens. Other loads stay the very same."""
    loads = {load.name: load for load in fleet.loads}
    match dice.choice(["nothing", "survey", "host", "go", "claim", "claim"]):
        case "survey" if loads:
            load = dice.choice(list(loads.values()))
            loads[load.name] = HostLoad.of(dice.host(load.name), claims=load.claims, commitments=load.commitments)
        case "host":
            name = dice.choice("abcdefgh")
            loads[name] = HostLoad.of(dice.host(name))
        case "go" if loads:
            loads.pop(dice.choice(list(loads)))
        case "claim" if isinstance(answer, Placement) and answer.gpus:
            load = loads[answer.host]
            claims = [claim(load.name, address, owner=dice.choice(["me", "x"])) for address in answer.gpus]
            free = [each for each in claims if each.spec.address not in {known.spec.address for known in load.claims}]
            loads[load.name] = HostLoad.of(load.host, claims=(*load.claims, *free), commitments=load.commitments)
    return Fleet(tuple(loads[name] for name in sorted(loads)), fleet.external_addresses)


@pytest.mark.parametrize("seed", range(60))
def test_what_is_remembered_is_what_would_be_answered(seed: int) -> None:
    dice, memory = Dice(seed), Memory()
    fleet = dice.fleet()
    requests = [dice.request() for _ in range(4)]
    for _ in range(30):
        request = replace(dice.choice(requests), owner_uid=dice.choice(["", "uid-me", "uid-x"]))
        answer = place(request, fleet, memory=memory)
        assert answer == place(request, fleet)
        fleet = changed(fleet, dice, answer)


def test_only_hosts_that_changed_are_asked_again() -> None:
    dice, memory, policy = Dice(3), Memory(), PlacementPolicy()
    fleet = Fleet.of(dice.host(name) for name in "abcdef")
    request = PlacementRequest(vcpus=1, memory_mib=1024)
    before = dict(answers_of(request, fleet, policy=policy, memory=memory).common.yes)
    assert len(before) > 2
    chosen = min(before)
    loads = tuple(HostLoad.of(load.host) if load.name == chosen else load for load in fleet.loads)
    after = answers_of(replace(request, owner_uid="uid-other"), Fleet(loads), policy=policy, memory=memory).common.yes
    assert {name for name in before if after[name] is not before[name]} == {chosen}
