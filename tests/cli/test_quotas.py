"""Quotas on the command line: what is allowed and used, and how a VM over quota is refused or queued."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Hikube
from tests.cli.test_stories import TRAIN, fleet

__all__ = ["fleet"]

QUOTA = """
apiVersion: hikube.cloud/v1alpha1
kind: GPUQuota
metadata: {name: limit}
spec: {hard: {l40s: 1, gpus: 4}}
"""
SECOND = ("gpu", "vm", "create", "second", "--gpu", "l40s", "--image", "tiny", "--disk-size", "4Gi", "--timeout", "60s")
SENTENCE = "quota limit allows 1 L40S, 1 used (by train), 1 asked: 1 too many"


@pytest.fixture
def limited(fleet: Hikube) -> Hikube:
    """Two hosts with an L40S each, a quota of one, and a VM that has it."""
    assert fleet("host", "add", "sim2", f"simulated://l40s?state={fleet.home}/sim2.json").code == 0
    assert fleet("apply", "-f", fleet.file("quota.yaml", QUOTA)).out == "gpuquota/limit created\n"
    assert fleet(*TRAIN).code == 0
    return fleet


def test_a_vm_over_quota_is_refused_and_not_stored(limited: Hikube) -> None:
    refused = limited(*SECOND)
    assert refused.code == 7
    assert "Error: the quota of namespace default has no room for 1 x L40S" in refused.err
    assert SENTENCE in refused.err
    assert "hint: `hikube explain quota limit -n default` shows who uses it" in refused.err
    assert "[HK-QUOTA-001]" in refused.err
    assert limited("get", "vms", "-o", "name").out == "virtualmachine/train\n"
    assert limited(*SECOND, "--dry-run").code == 7
    error = json.loads(limited(*SECOND, "-o", "json").err.splitlines()[-1])
    assert error["error"]["context"]["overQuota"][0]["usedBy"] == ["train"]


def test_more_than_the_quota_ever_gives_is_told_apart(limited: Hikube) -> None:
    never = limited("gpu", "vm", "create", "big", "--gpu", "l40s:2", "--image", "tiny", "--disk-size", "4Gi")
    assert never.code == 7
    assert "never allows" in never.err
    assert "quota limit allows 1 L40S in all, 2 asked: this can never be given" in never.err


def test_a_queued_vm_waits_for_the_quota_and_gets_its_gpu(limited: Hikube) -> None:
    pending = limited(*SECOND[:-1], "1s", "--queue")
    assert pending.code == 8
    assert f"Plan  second has no host yet: {SENTENCE}" in pending.err
    explained = limited("explain", "vm", "second").out.splitlines()
    assert explained[2] == f"goes nowhere: {SENTENCE}"
    assert [line.split()[:2] for line in explained[3:5]] == [["sim2", "fits"], ["sim", "refused"]]
    assert limited("gpu", "vm", "delete", "train").code == 0
    assert limited("wait", "vm/second", "--timeout", "60s").code == 0


def test_a_quota_is_listed_described_explained_changed_and_deleted(limited: Hikube) -> None:
    assert limited("wait", "quota/limit", "--for=condition=WithinQuota", "--timeout", "60s").code == 0
    header, row = limited("get", "quotas").out.splitlines()
    assert header.split() == ["NAME", "USED", "HOSTS", "WITHIN", "AGE"]
    assert row.split()[:4] == ["limit", "AD102GL_L40S:1/1,gpus:1/4", "any", "True"]
    described = limited("describe", "quota", "limit").out
    assert "nvidia.com/AD102GL_L40S: 1" in described
    assert "WithinQuota" in described
    assert limited("explain", "quota/limit").out.splitlines() == [
        "quota limit of namespace default",
        "  nvidia.com/AD102GL_L40S: 1 of 1 used, by train",
        "  gpus: 1 of 4 used, by train",
        "  hosts: any",
    ]
    assert json.loads(limited("explain", "quota", "limit", "-o", "json").out)["limits"][1]["hard"] == 4
    assert limited("explain", "quota", "limits").code == 11
    lowered = limited("apply", "-f", limited.file("quota.yaml", QUOTA.replace("l40s: 1", "l40s: 0")))
    assert lowered.out == "gpuquota/limit configured\n"
    over = ("wait", "quota/limit", "--for=condition=WithinQuota=False", "--timeout", "60s")
    assert limited(*over).code == 0
    assert "OverQuota" in limited("get", "quotas", "-o", "wide").out
    assert "1 of 0 nvidia.com/AD102GL_L40S used: what runs goes on" in limited("describe", "quota", "limit").out
    assert limited("gpu", "vm", "list", "-o", "json").out.count('"phase": "Ready"') == 1
    assert limited("delete", "quota", "limit", "--yes").code == 0
    assert limited("get", "quotas", "-o", "name").out == ""


def test_a_wrong_model_is_a_mistake_with_its_line(hikube: Hikube) -> None:
    refused = hikube("apply", "-f", hikube.file("quota.yaml", QUOTA.replace("l40s", "l40ss")))
    assert refused.code == 2
    assert 'quota.yaml:5:22: spec.hard.l40ss: the GPU "l40ss" is not known' in refused.err
    assert "did you mean nvidia.com/AD102GL_L40S?" in refused.err
