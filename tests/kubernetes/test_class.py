"""Controllers of classes on one cluster: each has a lease of its own, and acts on what says its name."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cli.cluster import NAMESPACE
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubectl import Kubectl
from tests.kubernetes.processes import Daemon
from tests.kubernetes.replicas import HIKUBE, LEASES, ROOT
from tests.kubernetes.stores import empty, store_of
from tests.kubernetes.test_controller import MACHINE, READY_LIMIT_S

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def plane(kinds: ControlPlane, namespace: str) -> Iterator[ControlPlane]:
    """With a namespace for leases; at the end nothing of ours is in the cluster."""
    if not kinds.admin.answers(f"/api/v1/namespaces/{NAMESPACE}"):
        kinds.make_namespace(NAMESPACE)
    kinds.admin.delete(LEASES)
    yield kinds
    kinds.heal()
    kinds.admin.delete(LEASES)
    with store_of(kinds) as store:
        empty(store, kinds)


@pytest.fixture
def controllers(plane: ControlPlane, tmp_path: Path) -> Iterator[dict[str, Daemon]]:
    """One of class gpu, and one without; not started."""
    made = {name: _controller(plane, tmp_path, name) for name in ("gpu", "")}
    yield made
    for each in made.values():
        each.kill()


def _environment(plane: ControlPlane, home: Path) -> dict[str, str]:
    places = {f"HIKUBE_{name.upper()}_DIR": str(home / name) for name in ("data", "cache", "config")}
    choice = {"HIKUBE_STORE": "kubernetes", "HIKUBE_KUBECONFIG": str(plane.kubeconfig)}
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **places, **choice}


def _controller(plane: ControlPlane, home: Path, name: str) -> Daemon:
    words = [*HIKUBE, "controller", *(["--class", name] if name else [])]
    return Daemon(f"controller-{name or 'plain'}", words, folder=home, environment=_environment(plane, home))


def _holder(plane: ControlPlane, lease: str) -> str:
    try:
        return str(plane.admin.get(f"{LEASES}/{lease}")["spec"].get("holderIdentity") or "")
    except httpx.HTTPStatusError:  # not made yet
        return ""


def of_class(name: str) -> str:
    return MACHINE.replace("{name: train}", f"{{name: {name}-vm, labels: {{hikube.cloud/class: {name}}}}}")


def test_each_acts_on_its_own_and_others_objects_are_left_alone(plane, controllers, kubectl: Kubectl, tmp_path):
    for each in controllers.values():
        each.start()
    controllers["gpu"].wait_until(lambda: _holder(plane, "hikube-controller-gpu") != "", "does not lead", limit_s=60)
    controllers[""].wait_until(lambda: _holder(plane, "hikube-controller") != "", "does not lead", limit_s=60)
    made = [*HIKUBE, "sandbox", "create", "--preset", "l40s"]
    subprocess.run(made, env=_environment(plane, tmp_path), cwd=tmp_path, timeout=60, check=True, capture_output=True)
    kubectl.ok("apply", "--filename", "-", stdin=of_class("cozystack"))
    kubectl.ok("apply", "--filename", "-", stdin=of_class("gpu"))
    kubectl.ok(
        "wait", "--for=condition=Ready", "virtualmachine/gpu-vm", f"--timeout={READY_LIMIT_S}s", limit_s=READY_LIMIT_S + 10
    )
    (claim,) = json.loads(kubectl.ok("get", "gpuclaims", "-o", "json"))["items"]
    assert claim["metadata"]["labels"]["hikube.cloud/class"] == "gpu"
    foreign = json.loads(kubectl.ok("get", "virtualmachine", "cozystack-vm", "-o", "json"))
    assert "status" not in foreign and "finalizers" not in foreign["metadata"]
    kubectl.ok("label", "virtualmachine", "gpu-vm", "hikube.cloud/class-")
    kubectl.ok("wait", "--for=condition=Accepted=False", "virtualmachine/gpu-vm", "--timeout=20s")
    kubectl.ok("wait", "--for=condition=Ready", "virtualmachine/gpu-vm", "--timeout=5s")
    kubectl.ok("delete", "virtualmachine/gpu-vm", f"--timeout={READY_LIMIT_S}s", limit_s=READY_LIMIT_S + 10)
    controllers["gpu"].wait_until(lambda: kubectl.ok("get", "gpuclaims", "-o", "name") == "", "its GPU stays", limit_s=60)
