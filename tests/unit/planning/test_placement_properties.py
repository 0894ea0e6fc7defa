"""What holds for every fleet and every request, whatever they are."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.model.gpu_host import GpuFacts, GpuHealth, GPUHost, KvmVerdict
from provisioner.planning.fitting import Fit
from provisioner.planning.fleet import Fleet
from provisioner.planning.placement import NoPlacement, Placement, fits, place
from provisioner.planning.policy import PlacementPolicy
from provisioner.planning.requests import GpuNeed, PlacementRequest
from tests.unit.planning.factory import H100, L40S, claim, commitment, gpu, host, quarantined

POLICY = PlacementPolicy()


class Dice(Random):
    """Fleets come from a seed: strategies of many small draws shrink towards fleets that never place a GPU."""

    def rarely(self) -> bool:
        return self.random() < 0.1

    def gpu(self, bus: int) -> GpuFacts:
        return gpu(
            bus,
            self.choice([L40S, L40S, L40S, H100]),
            node=self.choice([0, 1, None]),
            parent=self.choice(["0000:00:01.0", "0000:00:02.0", ""]),
            health=GpuHealth.MISSING if self.rarely() else GpuHealth.OK,
            sharing=(gpu(bus + 0x80).function,) if self.rarely() else (),
        )

    def host(self, name: str) -> GPUHost:
        gpus = [self.gpu(0x10 + number) for number in range(self.choice([0, 1, 2, 4, 8]))]
        return host(
            name,
            *gpus,
            cpus=self.choice([64, 64, 16, 2]),
            memory_mib=self.choice([262144, 262144, 65536, 4096]),
            reachable=not self.rarely(),
            kvm=KvmVerdict(works=self.choice([True] * 8 + [False, None])),
            labels={"zone": self.choice("ab")},
            quarantined=quarantined(*(facts.address for facts in gpus if self.rarely())),
            spec={"cordoned": self.rarely(), "allow_emulation": self.random() < 0.5},
        )

    def fleet(self) -> Fleet:
        hosts = [self.host(name) for name in "abcde"[: self.randint(0, 5)]]
        claims = [
            claim(each.metadata.name, facts.address, owner=self.choice(["me", "x", "y"]))
            for each in hosts
            for facts in each.status.gpus
            if self.random() < 0.3
        ]
        commitments = [
            commitment(each.metadata.name, owner=f"vm-{each.metadata.name}", vcpus=2, memory_mib=8192)
            for each in hosts
            if self.random() < 0.5
        ]
        return Fleet.of(hosts, claims=claims, commitments=commitments)

    def request(self) -> PlacementRequest:
        models = self.sample([L40S, H100], self.choice([0, 1, 1, 1, 2]))
        return PlacementRequest(
            vcpus=self.choice([1, 1, 4, 32]),
            memory_mib=self.choice([1024, 1024, 16384, 131072]),
            gpus=tuple(GpuNeed(model, self.choice([1, 1, 2, 3])) for model in models),
            owner_uid=self.choice(["", "uid-me"]),
            host_selector={"zone": "a"} if self.rarely() else {},
            pinned_hosts=self.choice([(), (), (), (), ("a",), ("gone",)]),
        )


seeds = st.integers(0, 2**32 - 1)
requests, fleets = seeds.map(lambda seed: Dice(seed).request()), seeds.map(lambda seed: Dice(seed).fleet())


@given(request=requests, fleet=fleets)
@settings(max_examples=200, deadline=None)
def test_a_yes_fits_and_takes_only_what_is_free(request: PlacementRequest, fleet: Fleet) -> None:
    answer = place(request, fleet)
    if not isinstance(answer, Placement):
        return
    view = next(view for view in fleet.views(policy=POLICY, for_uid=request.owner_uid) if view.name == answer.host)
    fit = fits(request, view, policy=POLICY)
    assert isinstance(fit, Fit)
    assert fit.choice.addresses == answer.gpus
    taken = {
        known.spec.address
        for known in fleet.claims
        if known.spec.host == answer.host and known.spec.owner.uid != request.owner_uid
    }
    bad = {entry.address for entry in view.host.status.quarantined}
    assert not (taken | bad) & set(answer.gpus)
    assert len(set(answer.gpus)) == len(answer.gpus)
    assert Counter(answer.gpu_names) == {need.name: need.count for need in request.gpus}


def test_the_fleets_above_give_every_kind_of_answer() -> None:
    """The properties mean something only if GPUs are placed, and refused, often enough."""
    answers: Counter[tuple[bool, bool]] = Counter()
    for seed in range(200):
        request = Dice(seed).request()
        answers[isinstance(place(request, Dice(seed + 1000).fleet()), Placement), bool(request.gpus)] += 1
    assert min(answers[is_placed, with_gpus] for is_placed in (True, False) for with_gpus in (True, False)) >= 10, answers


@given(request=requests, fleet=fleets)
@settings(max_examples=200, deadline=None)
def test_a_no_counts_every_host_once_and_names_the_nearest(request: PlacementRequest, fleet: Fleet) -> None:
    answer = place(request, fleet)
    if not isinstance(answer, NoPlacement):
        return
    assert sum(answer.counts.values()) == len(fleet.hosts)
    assert answer.sentence()
    if fleet.hosts:
        assert answer.nearest is not None
        assert answer.nearest.lacks
        assert answer.nearest.host in {each.metadata.name for each in fleet.hosts}


@given(request=requests, fleet=fleets, shuffle=seeds.map(Random))
@settings(max_examples=100, deadline=None)
def test_the_answer_depends_on_nothing_but_the_fleet(request: PlacementRequest, fleet: Fleet, shuffle: Random) -> None:
    hosts, claims = list(fleet.hosts), list(fleet.claims)
    shuffle.shuffle(hosts)
    shuffle.shuffle(claims)
    again = Fleet.of(hosts, claims=claims, commitments=reversed(fleet.commitments))
    assert place(request, again) == place(request, fleet)


@given(request=requests, fleet=fleets, more=seeds.map(lambda seed: Dice(seed).host("zz")))
@settings(max_examples=100, deadline=None)
def test_another_host_never_turns_a_yes_into_a_no(request: PlacementRequest, fleet: Fleet, more: GPUHost) -> None:
    before = place(request, fleet)
    after = place(request, Fleet.of([*fleet.hosts, more], claims=fleet.claims, commitments=fleet.commitments))
    assert isinstance(after, Placement) or isinstance(before, NoPlacement)


@given(request=requests, fleet=fleets)
@settings(max_examples=100, deadline=None)
def test_a_claim_made_by_the_plan_leaves_room_for_the_plan_itself(request: PlacementRequest, fleet: Fleet) -> None:
    """Placing again after the claims were made gives the same GPUs: an interrupted reservation finds itself."""
    answer = place(request, fleet)
    if not isinstance(answer, Placement) or request.owner_uid != "uid-me" or not answer.gpus:
        return
    others = tuple(known for known in fleet.claims if known.spec.owner.uid != "uid-me")
    mine = tuple(claim(answer.host, address, owner="me") for address in answer.gpus)
    again = place(request, Fleet.of(fleet.hosts, claims=(*others, *mine), commitments=fleet.commitments))
    assert isinstance(again, Placement)
    assert (again.host, sorted(again.gpus)) == (answer.host, sorted(answer.gpus))
