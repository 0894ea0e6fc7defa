"""One GPU, one tenant after the other: what is done between them, what is kept of it, and what happens if it cannot be done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import pytest

from tests.e2e import staging
from tests.e2e.operator import Operator
from tests.e2e.rig import Rig

BOOT_S = 900.0
CLEAN_S = 300.0
MARK = "/run/scrubbed"


@pytest.fixture
def operator(rig: Rig) -> Iterator[Operator]:
    """Somebody at a terminal, with the control loop beside; between two tenants the host shall run a command."""
    rig.configure(scrub_command=f"echo {{address}} >> {MARK}")
    person = Operator(rig)
    with person.controlling():
        person.waits(lambda: bool(person.host().status.examined), until="examined")
        yield person
    rig.on_box(f"rm -f {MARK}")


@pytest.mark.timeout(2400)
def test_the_second_tenant_gets_a_clean_gpu_and_nobody_gets_one_that_cannot_be_reset(operator: Operator) -> None:
    rig = operator.rig
    before = rig.drivers()
    gpu, _ = rig.gpu_functions()
    for tenant in ("first", "second"):
        rig.apply(tenant)
        operator.waits(partial(operator.is_ready, tenant), until=f"{tenant} is ready", timeout_s=BOOT_S)
        if tenant == "second":
            break
        rig.delete(tenant)
        operator.waits(operator.is_gone, until=f"{tenant} is gone", timeout_s=CLEAN_S)
        assert rig.drivers() == before
        assert rig.on_box(f"cat {MARK}") == gpu

    with staging.without_reset(rig, gpu):
        rig.delete("second")
        operator.waits(operator.is_gone, until="second is gone", timeout_s=CLEAN_S)
        assert [entry.address for entry in operator.host().status.quarantined] == [gpu]
        rig.apply("third")
        operator.waits(lambda: "quarantined" in operator.says("third"), until="third is refused", timeout_s=CLEAN_S)
        assert not rig.vm("third").status.gpus
        operator.types("gpu", "release", f"box/{gpu}", exits=9)
    rig.delete("third")
    operator.waits(operator.is_gone, until="third is gone")
    operator.types("gpu", "release", f"box/{gpu}")

    entries = json.loads(operator.types("gpu", "history", f"box/{gpu}", "-o", "json"))
    told = json.dumps(entries)
    assert "first" in told
    assert "second" in told
    assert "third" not in told
    assert '"bus"' in told, "how it was reset"
    assert rig.drivers() == before


@pytest.mark.timeout(1500)
def test_a_gpu_that_leaves_the_bus_under_a_vm_is_taken_out_of_service(operator: Operator) -> None:
    rig = operator.rig
    before = rig.drivers()
    gpu, companion = rig.gpu_functions()
    rig.apply("first")
    operator.waits(lambda: operator.is_ready("first"), until="ready", timeout_s=BOOT_S)

    with staging.running(rig, "remover", f"sh -c 'echo 1 > /sys/bus/pci/devices/{gpu}/remove'"):
        operator.waits(lambda: _is_told(operator, gpu), until="told to its tenant", timeout_s=CLEAN_S)
        assert [entry.address for entry in operator.host().status.quarantined] == [gpu]
        rig.delete("first")
        operator.waits(operator.is_gone, until="deleted", timeout_s=CLEAN_S)
    rig.on_box("echo 1 > /sys/bus/pci/rescan")
    operator.types("gpu", "release", f"box/{gpu}")
    assert set(rig.drivers()) == {gpu, companion}
    assert rig.drivers() == before


def _is_told(operator: Operator, gpu: str) -> bool:
    found = operator.condition("GPUHealthy", "first")
    return found is not None and found.status == "False" and gpu in found.message
