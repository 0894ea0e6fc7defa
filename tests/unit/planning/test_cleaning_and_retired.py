"""GPUs that their owner has let go of, and GPUs that an operator has retired: nobody gets them, and it is said why."""

from __future__ import annotations

from provisioner.planning.placement import NoPlacement, place
from tests.unit.planning.factory import asks, claim, fleet, gpu, host

GPU = "0000:41:00.0"


def test_a_gpu_that_is_being_cleaned_is_counted_as_that_also_for_its_last_owner() -> None:
    released = claim("a", GPU, released_at="2026-11-21T12:00:00Z")
    for uid in ("uid-me", "uid-other"):
        answer = place(asks(1, owner_uid=uid), fleet(host("a", gpu(0x41)), claims=(released,)))
        assert isinstance(answer, NoPlacement)
        assert answer.reason == "GPUsBeingCleaned"
        assert answer.sentence() == "1 host: 0 of 1 L40S free (1 being cleaned)"


def test_a_retired_gpu_is_not_taken_again_by_the_vm_that_has_it() -> None:
    retired = host("a", gpu(0x41), spec={"retired": (GPU,)})
    answer = place(asks(1, owner_uid="uid-other"), fleet(retired, claims=(claim("a", GPU),)))
    assert isinstance(answer, NoPlacement)
    assert answer.reason == "GPUsRetired"
