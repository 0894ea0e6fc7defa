"""Which device of the guest is which GPU of the host, and whether each is on the node where it was planned."""

from __future__ import annotations

from provisioner.model.guest_report import GuestFunction, GuestReport
from provisioner.planning.guest_devices import expected_gpus, located
from provisioner.planning.guest_numa import numa_findings
from provisioner.planning.proof import Weight
from tests.unit.planning.factory import TABLES, assigned, gpu

CARDS = (gpu(0x41), gpu(0x42))
A, B = (card.address for card in CARDS)


def seen(*slots: str, node: int | None = None) -> tuple[GuestFunction, ...]:
    """An L40S and its audio function at each of these slots."""
    return tuple(
        GuestFunction(address=f"{slot}.{number}", vendor="10de", device=device, numa_node=node)
        for slot in slots
        for number, device in enumerate(("26b9", "22ba"))
    )


def places(functions: tuple[GuestFunction, ...], *planned: str) -> dict[str, str]:
    assignments = assigned("a", *CARDS)
    pairs = zip(assignments, planned, strict=True) if planned else ((each, "") for each in assignments)
    known = [each.model_copy(update={"guest_address": at}) for each, at in pairs]
    return located(expected_gpus(known, host_gpus=CARDS, tables=TABLES), functions)


def test_a_gpu_is_what_is_where_it_was_planned() -> None:
    functions = seen("0000:41:00", "0000:61:00")
    assert places(functions, "0000:61:00.0", "0000:41:00.0") == {A: "0000:61:00.0", B: "0000:41:00.0"}


def test_without_a_plan_they_come_in_order() -> None:
    assert places(seen("0000:61:00", "0000:41:00")) == {A: "0000:41:00.0", B: "0000:61:00.0"}


def test_a_guest_that_counts_buses_otherwise_has_them_in_order() -> None:
    functions = seen("0000:02:00", "0000:03:00")
    assert places(functions, "0000:41:00.0", "0000:61:00.0") == {A: "0000:02:00.0", B: "0000:03:00.0"}


def test_one_where_it_was_planned_leaves_the_other_what_remains() -> None:
    functions = seen("0000:02:00", "0000:41:00")
    assert places(functions, "0000:61:00.0", "0000:41:00.0") == {A: "0000:02:00.0", B: "0000:41:00.0"}


def test_something_else_at_the_planned_place_is_not_the_gpu() -> None:
    stranger = GuestFunction(address="0000:41:00.0", vendor="1af4", device="1041")
    assert places((stranger, *seen("0000:02:00")), "0000:41:00.0", "0000:61:00.0") == {A: "0000:02:00.0"}


def report(*functions: GuestFunction) -> GuestReport:
    return GuestReport(boot_id="one", functions=functions)


def test_gpus_on_their_nodes_are_one_good_word() -> None:
    said = report(*seen("0000:41:00", node=0), *seen("0000:61:00", node=1))
    (found,) = numa_findings(said, places={A: "0000:41:00.0", B: "0000:61:00.0"}, planned={A: 0, B: 1})
    assert (found.weight, found.sentence) == (Weight.OK, "on the guest's NUMA node 0, 1 as planned")


def test_each_gpu_on_another_node_is_a_warning() -> None:
    said = report(*seen("0000:41:00", node=1), *seen("0000:61:00"))
    found = list(numa_findings(said, places={A: "0000:41:00.0", B: "0000:61:00.0"}, planned={A: 0, B: 1}))
    assert [(each.weight, each.sentence) for each in found] == [
        (Weight.WARNING, "0000:41:00.0 is on NUMA node 1 in the guest, planned on 0"),
        (Weight.WARNING, "0000:61:00.0 is on no NUMA node in the guest, planned on 1"),
    ]


def test_a_plan_without_nodes_and_a_gpu_that_is_not_there_say_nothing() -> None:
    said = report(*seen("0000:41:00", node=1))
    assert list(numa_findings(said, places={A: "0000:41:00.0"}, planned={})) == []
    assert list(numa_findings(said, places={}, planned={A: 0})) == []
