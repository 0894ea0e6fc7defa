"""`hikube controller` on a cluster: tenants write with kubectl, one replica works, and the next one goes on where it died."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.model.gpu_host import GPUHostSpec
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubectl import Kubectl
from tests.kubernetes.replicas import Replicas
from tests.kubernetes.stores import empty, store_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

READY_LIMIT_S = 90
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF8hCP4Rd2gAxlvVYFD2uTJ1N0yPPLyjFcPg7gPCj9Qq test"
MACHINE = f"""
apiVersion: apps.cozystack.io/v1alpha1
kind: VirtualMachine
metadata: {{name: train}}
spec:
  running: true
  instanceType: u1.large
  gpus: [{{name: nvidia.com/AD102GL_L40S}}]
  systemDisk: {{image: ubuntu, size: 40Gi}}
  sshKeys: ["{KEY}"]
"""


@pytest.fixture
def replicas(kinds: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Replicas]:
    """Two, not started; at the end nothing of ours is in the cluster."""
    made = Replicas(kinds, tmp_path, count=2)
    yield made
    made.stop()
    kinds.heal()
    with store_of(kinds) as store:
        empty(store, kinds)


@pytest.fixture
def tenant(kubectl: Kubectl) -> Kubectl:
    """Somebody who may write VMs in her namespace, and nothing else."""
    kubectl.ok("create", "role", "tenant", "--verb=*", "--resource=virtualmachines.apps.cozystack.io")
    kubectl.ok("create", "rolebinding", "tenant", "--role=tenant", "--user=alice")
    return kubectl.as_user("alice")


def gets_ready(tenant: Kubectl) -> None:
    wait = f"--timeout={READY_LIMIT_S}s"
    tenant.ok("wait", "--for=condition=Ready", "virtualmachine/train", wait, limit_s=READY_LIMIT_S + 10)


def nothing_is_left(replicas: Replicas, kubectl: Kubectl) -> None:
    assert kubectl.ok("get", "gpuclaims,virtualmachines,secrets", "--output=name") == ""
    host, pool = replicas.host(), GPUHostSpec(uri="simulated://any").storage_pool
    assert host.domains.owned() == ()
    assert [each.name for each in host.volumes.list(pool, prefix="hikube-") if not each.name.startswith("hikube-base-")] == []


def wait_for(replicas: Replicas, holds: Callable[[], bool], otherwise: str) -> None:
    running = next(replica for replica in replicas.all if replica.is_running)
    running.wait_until(holds, otherwise, limit_s=READY_LIMIT_S)


def test_what_a_tenant_applies_gets_ready_and_what_she_deletes_leaves_nothing(replicas, tenant, kubectl):
    replicas.start()
    tenant.ok("apply", "--filename", "-", stdin=MACHINE)
    gets_ready(tenant)
    assert "l40s-1" in kubectl.ok("get", "gpuclaims", "--output=wide")
    tenant.ok("delete", "virtualmachine/train", f"--timeout={READY_LIMIT_S}s", limit_s=READY_LIMIT_S + 10)
    wait_for(replicas, lambda: kubectl.ok("get", "gpuclaims", "--output=name") == "", "the GPU is not free")
    nothing_is_left(replicas, kubectl)


def test_every_command_works_on_the_cluster(replicas, namespace, tmp_path):
    replicas.start()
    (tmp_path / "vm.yaml").write_text(MACHINE)
    where = ("--namespace", namespace)
    replicas.ok("apply", "--filename", "vm.yaml", *where, "--wait")
    (machine,) = json.loads(replicas.ok("get", "vm", *where, "-o", "json"))["items"]
    assert machine["status"]["phase"] == "Ready"
    assert "1 GPU proven" in replicas.ok("describe", "vm/train", *where)
    assert "on host l40s-1" in replicas.ok("events", "vm/train", *where)
    replicas.ok("wait", "vm/train", *where, "--for=condition=Ready", "--timeout", "30s")
    assert "0/1" in replicas.ok("host", "list")
    replicas.ok("delete", "vm/train", *where)
    assert replicas("get", "vm/train", *where).returncode == 11
    assert replicas("store", "rotate-key").returncode == 2


@pytest.mark.parametrize("moment", ["claimed", "deleting"])
def test_a_leader_that_is_killed_in_the_middle_is_followed_and_its_work_finished(replicas, tenant, kubectl, moment):
    leader = replicas.start()
    tenant.ok("apply", "--filename", "-", stdin=MACHINE)
    if moment == "claimed":
        wait_for(replicas, lambda: kubectl.ok("get", "gpuclaims", "--output=name") != "", "no GPU is claimed")
    else:
        gets_ready(tenant)
        tenant.ok("delete", "virtualmachine/train", "--wait=false")
    leader.kill()
    follower = replicas.wait_for_leader(among=[each for each in replicas.all if each is not leader])
    assert replicas.lease["leaseTransitions"] == 1
    if moment == "claimed":
        gets_ready(tenant)
        assert len(replicas.host().domains.owned()) == 1
        tenant.ok("delete", "virtualmachine/train", "--wait=false")
    follower.wait_until(
        lambda: kubectl.ok("get", "gpuclaims,virtualmachines", "--output=name") == "", "it stays", limit_s=READY_LIMIT_S
    )
    nothing_is_left(replicas, kubectl)


def test_a_leader_that_is_asked_to_end_hands_over_at_once(replicas):
    leader = replicas.start()
    leader.stop()
    assert "the control loop has ended" in leader.tail()
    other = next(each for each in replicas.all if each is not leader)
    other.wait_until(lambda: f"-{other.pid}-" in str(replicas.lease.get("holderIdentity")), "does not lead", limit_s=10.0)


def test_a_leader_that_was_away_too_long_changes_nothing_more_and_ends(replicas, tenant, kubectl):
    leader = replicas.start()
    leader.freeze()
    try:
        follower = replicas.wait_for_leader(among=[each for each in replicas.all if each is not leader])
        tenant.ok("apply", "--filename", "-", stdin=MACHINE)
    finally:
        leader.thaw()
    gets_ready(tenant)
    follower.wait_until(lambda: not leader.is_running, "its predecessor does not end", limit_s=READY_LIMIT_S)
    assert "another process has taken over" in leader.tail()
    assert replicas.lease["leaseTransitions"] == 1
