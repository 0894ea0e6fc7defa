"""The control plane that other tests stand on: quick to come, hard to break for good, gone without a trace."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubectl import Kubectl
from tests.kubernetes.processes import DaemonTrouble

START_CPU_S = 8.0
"""What a start may cost the processor, since on a busy machine the time on the wall says nothing. It costs about 3 s."""

WAIT = "--timeout=50s"


@pytest.fixture
def doomed(tools: None, tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane of this test alone, started."""
    plane = ControlPlane(tmp_path)
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


def test_a_start_is_cheap_and_a_stop_leaves_nothing(doomed: ControlPlane) -> None:
    assert doomed.is_ready
    assert doomed.etcd.cpu_s + doomed.api_server.cpu_s < START_CPU_S
    processes = [doomed.etcd.pid, doomed.api_server.pid]
    assert all(Path(f"/proc/{pid}").exists() for pid in processes)
    doomed.api_server.freeze()
    doomed.stop()
    assert not any(Path(f"/proc/{pid}").exists() for pid in processes)
    assert not doomed.root.exists()


def test_tests_that_are_killed_leave_no_process(tools: None, tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from tests.kubernetes.control_plane import ControlPlane
        plane = ControlPlane(Path(sys.argv[1]))
        plane.etcd.start()
        print(plane.etcd.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    pid = int(killed.stdout)
    assert killed.returncode == -9
    _until_gone(pid)


def test_a_namespace_does_not_see_another(control_plane: ControlPlane, kubectl: Kubectl) -> None:
    other = control_plane.make_namespace("the-other-tenant")
    kubectl.ok("create", "configmap", "mine", "--from-literal=a=b")
    assert "mine" in _names(kubectl)
    assert "mine" not in _names(kubectl, "--namespace", other)


def test_a_user_may_do_what_a_role_says_and_nothing_else(kubectl: Kubectl) -> None:
    alice = kubectl.as_user("alice", groups=("tenants",))
    assert "Forbidden" in alice("get", "configmaps").err
    kubectl.ok("create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    kubectl.ok("create", "rolebinding", "readers", "--role=reader", "--group=tenants")
    kubectl.ok("create", "configmap", "readable")
    assert "readable" in _names(alice)
    assert "Forbidden" in alice("delete", "configmap", "readable").err


def test_a_service_account_is_itself(kubectl: Kubectl) -> None:
    kubectl.ok("create", "serviceaccount", "operator")
    operator = kubectl.as_service_account("operator")
    seen = json.loads(operator.ok("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    assert seen["username"].endswith(":operator")
    assert operator("get", "secrets").code != 0


def test_objects_outlive_every_restart(control_plane: ControlPlane, kubectl: Kubectl) -> None:
    kubectl.ok("create", "configmap", "kept", "--from-literal=a=b")

    def upgrade() -> None:
        control_plane.controller_manager.kill()  # while somebody watches, a server that ends takes a minute
        control_plane.api_server.stop()
        control_plane.heal()

    for restart in (control_plane.restart_api_server, control_plane.restart_etcd, upgrade):
        restart()
        assert "kept" in _names(kubectl)


def test_a_frozen_api_server_does_not_answer_until_it_goes_on(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.api_server.freeze()
    assert control_plane.api_server.is_running
    assert not control_plane.is_ready
    control_plane.heal()
    assert control_plane.is_ready


def test_an_api_server_that_died_says_its_last_words(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.api_server.kill()
    with pytest.raises(DaemonTrouble) as trouble:
        control_plane.wait_until_ready()
    assert "kube-apiserver ended with -9" in str(trouble.value)
    last_line = control_plane.api_server.tail().splitlines()[-1]
    assert last_line and last_line in str(trouble.value)


def test_history_can_be_made_to_expire(control_plane: ControlPlane, kubectl: Kubectl, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    before = control_plane.admin.get(path)["metadata"]["resourceVersion"]
    kubectl.ok("create", "configmap", "later")
    control_plane.forget_history()
    with pytest.raises(httpx.HTTPStatusError, match="410"):
        control_plane.admin.get(f"{path}?resourceVersion={before}&resourceVersionMatch=Exact")


def test_the_controller_manager_makes_accounts_follows_owners_and_empties_namespaces(
    control_plane: ControlPlane, kubectl: Kubectl, namespace: str
) -> None:
    control_plane.run_controller_manager()
    kubectl.ok("wait", WAIT, "--for=create", "serviceaccount/default")
    kubectl.ok("create", "configmap", "owner")
    uid = kubectl.ok("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    owned = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owned", "ownerReferences": [owner]}}
    kubectl.ok("create", "-f", "-", stdin=json.dumps(owned))
    kubectl.ok("delete", "configmap", "owner")
    kubectl.ok("wait", WAIT, "--for=delete", "configmap/owned")
    kubectl.ok("delete", "namespace", namespace, WAIT)


def test_pods_run_on_fake_nodes(control_plane: ControlPlane, kubectl: Kubectl) -> None:
    for run in (control_plane.run_controller_manager, control_plane.run_scheduler, control_plane.run_kwok):
        run()
    gpus = {"nvidia.com/gpu": "8", "cpu": "8", "memory": "64Gi", "pods": "110"}
    fake = {"name": "fake-1", "annotations": {"kwok.x-k8s.io/node": "fake"}}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": fake, "status": {"allocatable": gpus, "capacity": gpus}}
    kubectl.ok("create", "-f", "-", stdin=json.dumps(node))
    kubectl.ok("wait", WAIT, "--for=condition=Ready", "node/fake-1")
    kubectl.ok("wait", WAIT, "--for=create", "serviceaccount/default")
    container = {"name": "train", "image": "train", "resources": {"limits": {"nvidia.com/gpu": "2"}}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "train"}, "spec": {"containers": [container]}}
    kubectl.ok("create", "-f", "-", stdin=json.dumps(pod))
    kubectl.ok("wait", WAIT, "--for=condition=Ready", "pod/train")
    assert kubectl.ok("get", "pod", "train", "-o", "jsonpath={.spec.nodeName} {.status.phase}") == "fake-1 Running"
    kubectl.ok("delete", "pod", "train")
    kubectl.ok("delete", "node", "fake-1")  # the cluster is everybody's


def _names(kubectl: Kubectl, *more: str) -> str:
    return kubectl.ok("get", "configmaps", "-o", "name", *more)


def _until_gone(pid: int) -> None:
    subprocess.run(["tail", f"--pid={pid}", "-f", "/dev/null", "--sleep-interval=0.1"], timeout=60, check=True)
