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
def test_every_tenant_gets_a_clean_gpu_or_none(operator: Operator) -> None:
    """The first gives it back, after the second it cannot be reset, the third waits, and under the fourth it leaves the bus."""
    rig = operator.rig
    before = rig.drivers()
    gpu, companion = rig.gpu_functions()
    _boots(operator, "first")
    _is_given_back(operator, "first")
    assert rig.drivers() == before
    assert rig.on_box(f"cat {MARK}") == gpu

    rig.apply("second")
    operator.waits(lambda: _has_begun(operator, "second"), until="second has the GPU", timeout_s=CLEAN_S)
    with staging.without_reset(rig, gpu):
        _is_given_back(operator, "second")
        assert _quarantined(operator) == [gpu]
        rig.apply("third")
        operator.waits(lambda: "quarantined" in operator.says("third"), until="third is refused", timeout_s=CLEAN_S)
        assert not rig.vm("third").status.gpus
        operator.types("gpu", "release", f"box/{gpu}", exits=9)
    _is_given_back(operator, "third")
    operator.types("gpu", "release", f"box/{gpu}")
    assert rig.drivers() == before

    _boots(operator, "fourth")
    with staging.running(rig, "remover", f"sh -c 'echo 1 > /sys/bus/pci/devices/{gpu}/remove'"):
        operator.waits(lambda: _is_told(operator, "fourth", gpu), until="told to its tenant", timeout_s=CLEAN_S)
        assert _quarantined(operator) == [gpu]
        _is_given_back(operator, "fourth")
    rig.on_box("echo 1 > /sys/bus/pci/rescan")
    operator.types("gpu", "release", f"box/{gpu}")
    assert set(rig.drivers()) == {gpu, companion}
    assert rig.drivers() == before
    _is_told_by_history(operator, gpu)


def _boots(operator: Operator, tenant: str) -> None:
    operator.rig.apply(tenant)
    operator.waits(partial(operator.is_ready, tenant), until=f"{tenant} is ready", timeout_s=BOOT_S)


def _has_begun(operator: Operator, tenant: str) -> bool:
    found = operator.condition("Started", tenant)
    return found is not None and found.status == "True"


def _is_given_back(operator: Operator, tenant: str) -> None:
    operator.rig.delete(tenant)
    operator.waits(operator.is_gone, until=f"{tenant} is gone", timeout_s=CLEAN_S)


def _quarantined(operator: Operator) -> list[str]:
    return [entry.address for entry in operator.host().status.quarantined]


def _is_told_by_history(operator: Operator, gpu: str) -> None:
    told = operator.types("gpu", "history", f"box/{gpu}", "-o", "json")
    entries = json.loads(told)
    assert entries
    tenants = [tenant for tenant in ("first", "second", "third", "fourth") if tenant in told]
    assert tenants == ["first", "second", "fourth"]
    assert '"bus"' in told, "how it was reset"


def _is_told(operator: Operator, tenant: str, gpu: str) -> bool:
    found = operator.condition("GPUHealthy", tenant)
    return found is not None and found.status == "False" and gpu in found.message
