"""The check of quotas hears of a world in which a namespace is given too much, and of no other."""

from __future__ import annotations

import pytest

from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.gpu_quota import GPUQuota, GPUQuotaSpec
from provisioner.model.metadata import Metadata
from tests.simulation.stage import Stage

CHECK = "namespaces-keep-to-their-quotas"


@pytest.fixture
def crowd(stage: Stage) -> Stage:
    """Two VMs with a GPU each, in a namespace that may have one; it was told so after they had them."""
    stage.run_vm("red")
    stage.run_vm("blue")
    spec = GPUQuotaSpec(hard={"gpus": 1})
    stage.store.create(GPUQuota(metadata=Metadata(name="limit", namespace="default"), spec=spec))
    stage.look()
    return stage


def test_what_was_given_before_is_nobodys_mistake(crowd: Stage) -> None:
    crowd.begin_pass()
    crowd.write(crowd.vm("blue"), driver_version="another")
    assert not crowd.says(CHECK)


def test_a_vm_that_is_given_a_gpu_beyond_the_quota(crowd: Stage) -> None:
    crowd.begin_pass()
    _claim_anew(crowd, "blue")
    assert "default has 2 of 1 gpus that GPUQuota default/limit allows" in crowd.says(CHECK)


def test_whoever_was_not_told_in_time_could_not_know(crowd: Stage) -> None:
    _claim_anew(crowd, "blue")
    assert not crowd.says(CHECK)


def test_what_others_have_let_go_of_does_not_count(crowd: Stage) -> None:
    crowd.begin_pass()
    crowd.write(crowd.claim("red"), released_at="2026-01-01T00:00:00Z")
    _claim_anew(crowd, "blue")
    assert not crowd.says(CHECK)


def test_a_quota_that_was_lifted_limits_nobody(crowd: Stage) -> None:
    crowd.store.delete(crowd.store.get(GPUQuota, "limit", namespace="default").key)
    crowd.look()
    crowd.begin_pass()
    _claim_anew(crowd, "blue")
    assert not crowd.says(CHECK)


def _claim_anew(stage: Stage, name: str) -> None:
    """As if the VM were given its GPU now."""
    claim = stage.claim(name)
    stage.strip(claim)
    stage.look()
    stage.store.create(GPUClaim(metadata=Metadata(name=claim.metadata.name, labels=claim.metadata.labels), spec=claim.spec))
    stage.look()
    stage.write(stage.vm(name), driver_version="another")
