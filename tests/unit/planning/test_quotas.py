"""What a namespace may have: counted per model and in all, by the strictest quota, and hosts that are not for it."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.gpu_quota import GPUQuota, GPUQuotaSpec
from provisioner.model.metadata import Condition, Key, Metadata
from provisioner.model.virtual_machine import GpuAssignment, GpuRequest, RunningSpec
from provisioner.planning.explain import explain
from provisioner.planning.fleet import Fleet
from provisioner.planning.placement import Memory, NoPlacement, Placement, place
from provisioner.planning.quota_account import account_of
from provisioner.planning.quotas import Holding, Tenancy, excess, over_quota, promised_gpus
from provisioner.planning.requests import GpuNeed, PlacementRequest
from tests.unit.planning.factory import H100, L40S, asks, gpu, host, vm

TEAM = "team-a"
HOSTS = (host("a", gpu(0x41), gpu(0x42), gpu(0x43), labels={"tenant": "a"}), host("b", gpu(0x41), gpu(0x42)))


def quota(name: str = TEAM, selector: dict[str, str] | None = None, **hard: int) -> GPUQuota:
    """Of L40S (`l40s`), H100 (`h100`) and `gpus` in all."""
    names = {"l40s": L40S, "h100": H100, "gpus": "gpus"}
    spec = GPUQuotaSpec(hard={names[word]: count for word, count in hard.items()}, host_selector=selector or {})
    return GPUQuota(metadata=Metadata(name=name, namespace=TEAM), spec=spec)


def held(**gpus: int) -> dict[str, Holding]:
    """VMs by name with so many L40S."""
    names = {name.replace("_", "-"): count for name, count in gpus.items()}
    return {f"uid-{name}": Holding(Key("VirtualMachine", TEAM, name), {L40S: count}) for name, count in names.items()}


def fleet(*quotas: GPUQuota, holdings: dict[str, Holding] | None = None) -> Fleet:
    return Fleet.of(HOSTS, tenancies={TEAM: Tenancy.of(quotas, holdings or {})})


def wants(count: int = 1, name: str = L40S, *, namespace: str = TEAM, **changes: Any) -> PlacementRequest:
    return asks(count, name, owner=Key("VirtualMachine", namespace, "me"), **changes)


def refused(answer: Placement | NoPlacement) -> NoPlacement:
    assert isinstance(answer, NoPlacement), answer
    return answer


def test_a_vm_over_quota_is_told_who_uses_it_and_by_how_much_it_is_too_many() -> None:
    answer = refused(place(wants(2), fleet(quota(l40s=3), holdings=held(train_1=1, train_2=1))))
    assert answer.reason == "QuotaExceeded"
    assert answer.sentence() == "quota team-a allows 3 L40S, 2 used (by train-1 and train-2), 2 asked: 1 too many"
    (limit,) = answer.as_dict()["overQuota"]
    assert limit == {
        **{"quota": TEAM, "namespace": TEAM, "resource": L40S, "hard": 3, "used": 2},
        **{"usedBy": ["train-1", "train-2"], "asked": 2, "canNever": False},
    }


def test_within_the_quota_it_is_placed_as_without_one() -> None:
    within = fleet(quota(l40s=3, gpus=3), holdings=held(train_1=1, train_2=1))
    assert place(wants(), within) == place(wants(), Fleet.of(HOSTS))


def test_what_a_quota_can_never_give_is_said_so() -> None:
    answer = refused(place(wants(4), fleet(quota(l40s=2), holdings=held(train_1=1))))
    assert answer.sentence() == "quota team-a allows 2 L40S in all, 4 asked: this can never be given"
    assert answer.over_quota[0].is_hopeless


def test_many_users_are_counted() -> None:
    many = held(**{f"vm_{number}": 1 for number in range(8)})
    answer = refused(place(wants(), fleet(quota(gpus=8), holdings=many)))
    assert answer.sentence() == (
        "quota team-a allows 8 GPUs of all models, 8 used (by vm-0, vm-1, vm-2, vm-3, vm-4 and 3 others), 1 asked: 1 too many"
    )


def test_of_several_quotas_every_one_holds() -> None:
    both = fleet(quota("wide", l40s=9), quota("tight", gpus=1, l40s=2), holdings=held(train_1=1))
    answer = refused(place(wants(2), both))
    assert [(each.quota, each.resource) for each in answer.over_quota] == [("tight", "gpus"), ("tight", L40S)]
    assert answer.over_quota[0].is_hopeless
    assert not answer.over_quota[1].is_hopeless


def test_a_model_that_is_not_named_is_limited_only_by_the_sum() -> None:
    assert over_quota(wants(5, H100), {TEAM: Tenancy.of([quota(l40s=0)], {})}) == ()
    assert over_quota(wants(5, H100), {TEAM: Tenancy.of([quota(l40s=0, gpus=4)], {})})[0].resource == "gpus"


def test_none_at_all_may_be_allowed_and_a_vm_without_gpus_needs_no_quota() -> None:
    none = fleet(quota(gpus=0))
    assert isinstance(place(wants(), none), NoPlacement)
    assert isinstance(place(wants(0), none), Placement)


def test_other_namespaces_are_not_concerned() -> None:
    assert isinstance(place(wants(namespace="team-b"), fleet(quota(l40s=0), holdings=held(train_1=1))), Placement)
    assert isinstance(place(asks(1), fleet(quota(l40s=0))), Placement), "nobody in particular asks"


def test_a_vm_that_has_its_gpus_is_not_over_quota_by_having_them() -> None:
    lowered = fleet(quota(l40s=1), holdings=held(me=2, other=1))
    assert isinstance(place(wants(2), lowered), Placement)
    assert isinstance(place(wants(1), lowered), Placement), "it gives one back"
    assert isinstance(place(wants(3), lowered), NoPlacement), "it wants more"


def test_what_was_claimed_a_moment_ago_is_judged_as_if_it_had_not_been() -> None:
    tenancies = {TEAM: Tenancy.of([quota(l40s=2)], held(me=1, other=2))}
    assert over_quota(wants(1), tenancies) == ()
    assert over_quota(wants(1), tenancies, is_counted=True)[0].used == 2
    assert over_quota(wants(1), {TEAM: Tenancy.of([quota(l40s=3)], held(me=1, other=2))}, is_counted=True) == ()
    assert over_quota(wants(0), tenancies, is_counted=True) == (), "who has none is not to blame"


def test_hosts_that_are_not_for_the_tenant_are_counted_by_that_name() -> None:
    only_a = fleet(quota(selector={"tenant": "a"}))
    assert refused(place(wants(4), only_a)).counts == {"InsufficientGPUs": 1, "NotForTenant": 1}
    placed = place(wants(2), only_a)
    assert isinstance(placed, Placement)
    assert placed.host == "a"
    assert isinstance(place(wants(2), Fleet.of(HOSTS)), Placement)
    answer = refused(place(wants(1), fleet(quota(selector={"tenant": "b"}))))
    assert answer.counts == {"NotForTenant": 2}
    assert answer.reason == "NotForTenant"
    assert answer.sentence() == (
        "2 hosts: 2 not for this tenant; nearest: a, which lacks label tenant=b, which this namespace's quota asks for"
    )


def test_selectors_of_all_quotas_hold_and_may_leave_no_host() -> None:
    torn = fleet(quota("one", {"tenant": "a"}), quota("two", {"tenant": "b"}))
    assert refused(place(wants(), torn)).counts == {"NotForTenant": 2}


def test_a_memory_of_answers_does_not_mix_up_tenants() -> None:
    memory = Memory()
    only_a = fleet(quota(selector={"tenant": "a"}))
    for namespace in (TEAM, "team-b", TEAM):
        request = wants(2, namespace=namespace)
        assert place(request, only_a, memory=memory) == place(request, only_a)


def test_an_explanation_says_the_quota_first_and_still_asks_every_host() -> None:
    explanation = explain(wants(1), fleet(quota(l40s=0, selector={"tenant": "a"})))
    assert explanation.lines() == (
        "asks for: 1 x L40S, 2 vCPUs, 4 GiB",
        "goes nowhere: quota team-a allows 0 L40S in all, 1 asked: this can never be given",
        "a  fits  1 NUMA node, 1 PCIe bridge, leaves 2 GPUs and 250.7 GiB free",
        "b  refused  not for this tenant: has no label tenant=a",
    )


def test_a_lowered_quota_shows_what_is_too_much() -> None:
    lowered = quota(l40s=1, gpus=9)
    assert excess(lowered, Tenancy.of([lowered], held(train_1=1, train_2=1))) == {L40S: (2, 1)}
    assert excess(lowered, Tenancy.of([lowered], held(train_1=1))) == {}


def test_an_account_says_who_uses_what_and_where() -> None:
    known = quota(selector={"tenant": "a"}, l40s=1, gpus=4)
    account = account_of(known, fleet(known, holdings=held(train_1=1, train_2=1)))
    assert tuple(account.lines()) == (
        "quota team-a of namespace team-a",
        f"  {L40S}: 2 of 1 used, by train-1 and train-2, 1 more than allowed",
        "  gpus: 2 of 4 used, by train-1 and train-2",
        "  hosts with tenant=a: 1 of 2 hosts (a)",
    )
    assert account.as_dict()["limits"][0] == {"resource": L40S, "hard": 1, "used": 2, "usedBy": ["train-1", "train-2"]}
    assert tuple(account_of(quota(gpus=1), Fleet.of(HOSTS)).lines())[-1] == "  hosts: any"


SCHEDULED = Condition(type="Scheduled", status="True", reason="Done")


@pytest.mark.parametrize(
    ("status", "promised"),
    [
        ({}, ()),
        ({"conditions": (SCHEDULED,)}, (L40S,)),
        ({"conditions": (SCHEDULED,), "running_spec": RunningSpec(vcpus=1, memory_mib=1, gpus=(H100,))}, (H100,)),
        ({"conditions": (SCHEDULED,), "gpus": (GpuAssignment(name=H100, host="a", address="0000:41:00.0"),)}, (H100,)),
        ({"conditions": (SCHEDULED.model_copy(update={"status": "False"}),)}, ()),
    ],
)
def test_a_scheduled_vm_has_what_it_was_promised(status: dict[str, Any], promised: tuple[str, ...]) -> None:
    machine = vm()
    machine = machine.model_copy(update={"spec": machine.spec.model_copy(update={"gpus": (GpuRequest(name=L40S),)})})
    assert promised_gpus(machine.with_status(**status)) == promised


def test_the_label_of_a_mixed_request_is_that_of_the_model_in_the_way() -> None:
    mixed = wants(gpus=(GpuNeed(L40S, 1, label="L40S"), GpuNeed(H100, 1, label="H100")))
    answer = refused(place(mixed, fleet(quota(h100=0))))
    assert answer.sentence() == "quota team-a allows 0 H100 in all, 1 asked: this can never be given"
