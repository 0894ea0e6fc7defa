"""What holds for every fleet and every request, whatever they are."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_host import GpuFacts, GpuHealth, GPUHost, KvmVerdict
from provisioner.planning.fitting import Fit
from provisioner.planning.fleet import Commitment, Fleet
from provisioner.planning.placement import NoPlacement, Placement, fits, place
from provisioner.planning.policy import PlacementPolicy
from provisioner.planning.requests import GpuNeed, PlacementRequest
from tests.unit.planning.factory import H100, L40S, claim, commitment, gpu, host, quarantined

POLICY = PlacementPolicy()
MODELS = st.sampled_from([L40S, H100])


@st.composite
def a_gpu(draw: st.DrawFn, bus: int) -> GpuFacts:
    node = draw(st.sampled_from([0, 1, None]))
    foreign = draw(st.integers(0, 9)) == 0
    return gpu(
        bus,
        draw(MODELS),
        node=node,
        parent=draw(st.sampled_from(["0000:00:01.0", "0000:00:02.0", ""])),
        health=draw(st.sampled_from([GpuHealth.OK] * 8 + [GpuHealth.MISSING])),
        sharing=(gpu(bus + 0x80).function,) if foreign else (),
    )


@st.composite
def a_host(draw: st.DrawFn, name: str) -> GPUHost:
    gpus = [draw(a_gpu(0x10 + number)) for number in range(draw(st.integers(0, 8)))]
    bad = [facts.address for facts in gpus if draw(st.integers(0, 7)) == 0]
    return host(
        name,
        *gpus,
        cpus=draw(st.sampled_from([2, 16, 64])),
        memory_mib=draw(st.sampled_from([4096, 65536, 262144])),
        reachable=draw(st.integers(0, 9)) > 0,
        kvm=KvmVerdict(works=draw(st.sampled_from([True, True, True, False, None]))),
        labels={"zone": draw(st.sampled_from(["a", "b"]))},
        quarantined=quarantined(*bad),
        spec={"cordoned": draw(st.integers(0, 9)) == 0, "allow_emulation": draw(st.booleans())},
    )


@st.composite
def a_fleet(draw: st.DrawFn) -> Fleet:
    hosts = [draw(a_host(name)) for name in "abcde"[: draw(st.integers(0, 5))]]
    claims: list[GPUClaim] = []
    commitments: list[Commitment] = []
    for each in hosts:
        for facts in each.status.gpus:
            if draw(st.integers(0, 2)) == 0:
                owner = draw(st.sampled_from(["me", "x", "y"]))
                claims.append(claim(each.metadata.name, facts.address, owner=owner))
        if draw(st.booleans()):
            commitments.append(commitment(each.metadata.name, owner=f"vm-{each.metadata.name}", vcpus=2, memory_mib=8192))
    return Fleet.of(hosts, claims=claims, commitments=commitments)


requests = st.builds(
    PlacementRequest,
    vcpus=st.sampled_from([1, 4, 32]),
    memory_mib=st.sampled_from([1024, 16384, 131072]),
    gpus=st.lists(st.builds(GpuNeed, MODELS, st.integers(1, 8)), max_size=2, unique_by=lambda need: need.name).map(tuple),
    owner_uid=st.sampled_from(["", "uid-me"]),
    host_selector=st.sampled_from([{}, {"zone": "a"}]),
    pinned_hosts=st.sampled_from([(), (), ("a",), ("gone",)]),
)


@given(request=requests, fleet=a_fleet())
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


@given(request=requests, fleet=a_fleet())
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


@given(request=requests, fleet=a_fleet(), shuffle=st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_answer_depends_on_nothing_but_the_fleet(request: PlacementRequest, fleet: Fleet, shuffle: object) -> None:
    hosts, claims = list(fleet.hosts), list(fleet.claims)
    shuffle.shuffle(hosts)  # type: ignore[attr-defined]
    shuffle.shuffle(claims)  # type: ignore[attr-defined]
    again = Fleet.of(hosts, claims=claims, commitments=reversed(fleet.commitments))
    assert place(request, again) == place(request, fleet)


@given(request=requests, fleet=a_fleet(), more=a_host("zz"))
@settings(max_examples=100, deadline=None)
def test_another_host_never_turns_a_yes_into_a_no(request: PlacementRequest, fleet: Fleet, more: GPUHost) -> None:
    before = place(request, fleet)
    after = place(request, Fleet.of([*fleet.hosts, more], claims=fleet.claims, commitments=fleet.commitments))
    assert isinstance(after, Placement) or isinstance(before, NoPlacement)


@given(request=requests, fleet=a_fleet())
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
