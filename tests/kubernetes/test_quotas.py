"""Quotas on a cluster: operators write them with kubectl, tenants read them and are held to them."""

from __future__ import annotations

import pytest

from tests.kubernetes.kubectl import Kubectl
from tests.kubernetes.test_controller import MACHINE, READY_LIMIT_S, gets_ready, nothing_is_left, replicas, tenant, wait_for

__all__ = ["replicas", "tenant"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

QUOTA = """
apiVersion: hikube.cloud/v1alpha1
kind: GPUQuota
metadata: {name: limit}
spec: {hard: {L40S: %s}, hostSelector: {}}
"""
USED = '{"nvidia.com/AD102GL_L40S":1}'


def status(kubectl: Kubectl, what: str) -> str:
    """Of `KIND/NAME {.path}`."""
    name, path = what.split(" ", 1)
    return kubectl.ok("get", name, f"--output=jsonpath={path}")


def test_a_tenant_is_held_to_what_the_operator_wrote(replicas, tenant, kubectl):
    """The model is written by another of its names, in a document that says every field: it is counted all the same."""
    kubectl.ok("apply", "--filename", "-", stdin=QUOTA % 0)
    kubectl.ok("create", "role", "reader", "--verb=get,list,watch", "--resource=gpuquotas.hikube.cloud")
    kubectl.ok("create", "rolebinding", "reader", "--role=reader", "--user=alice")
    refused = tenant("apply", "--filename", "-", stdin=QUOTA % 9)
    assert refused.code != 0
    assert "gpuquotas.hikube.cloud" in refused.err and "forbidden" in refused.err
    replicas.start()
    tenant.ok("apply", "--filename", "-", stdin=MACHINE)
    wait = "--for=jsonpath={.status.conditions[?(@.type=='Scheduled')].reason}=QuotaExceeded"
    tenant.ok("wait", wait, "virtualmachine/train", f"--timeout={READY_LIMIT_S}s", limit_s=READY_LIMIT_S + 10)
    said = status(tenant, "virtualmachine/train {.status.conditions[?(@.type=='Scheduled')].message}")
    assert said == "quota limit allows 0 L40S in all, 1 asked: this can never be given"
    kubectl.ok("apply", "--filename", "-", stdin=QUOTA % 1)
    gets_ready(tenant)
    wait_for(replicas, lambda: status(tenant, "gq/limit {.status.used}") == USED, "what is used is not counted")
    header, row = tenant.ok("get", "gq").splitlines()
    assert header.split() == ["NAME", "WITHIN", "USED", "HARD", "HOSTS", "AGE"]
    assert row.split()[:4] == ["limit", "True", USED, '{"L40S":1}']
    tenant.ok("delete", "virtualmachine/train", f"--timeout={READY_LIMIT_S}s", limit_s=READY_LIMIT_S + 10)
    wait_for(replicas, lambda: kubectl.ok("get", "gpuclaims", "--output=name") == "", "the GPU is not free")
    nothing_is_left(replicas, kubectl)
