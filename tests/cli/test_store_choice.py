"""Which store a command works on is said in one way, before it or by the environment; what makes no sense is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.cluster import WatchedLease
from cli.store_choice import CONTEXT, KUBECONFIG, STORE, is_kubernetes, kubeconfig, put_in_place, taken_from
from provisioner.clocks import ManualClock
from provisioner.model.errors import InvalidInput, NotAllowed
from provisioner.store.kubernetes.leader_lease import LeaderLease
from tests.cli.conftest import COMMAND, ROOT, Hikube

NOBODY = """
apiVersion: v1
kind: Config
current-context: tests
contexts: [{name: tests, context: {cluster: tests, user: tests}}]
clusters: [{name: tests, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: tests, user: {}}]
"""


def test_the_choice_stands_before_the_command() -> None:
    words = ["--store", "kubernetes", "--context=prod", "get", "vm", "--store", "x"]
    assert taken_from(words) == ({STORE: "kubernetes", CONTEXT: "prod"}, ["get", "vm", "--store", "x"])
    with pytest.raises(InvalidInput, match="--store needs a value"):
        taken_from(["--store"])


def test_the_environment_is_as_before_when_the_command_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STORE, "file")
    monkeypatch.delenv(CONTEXT, raising=False)
    undo = put_in_place({STORE: "kubernetes", CONTEXT: "prod"})
    assert is_kubernetes()
    undo()
    assert (os.environ[STORE], os.environ.get(CONTEXT)) == ("file", None)


def test_without_a_word_the_store_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (STORE, KUBECONFIG, CONTEXT):
        monkeypatch.delenv(name, raising=False)
    assert not is_kubernetes()
    assert kubeconfig() is None


def test_a_store_that_there_is_not_is_refused_with_those_that_there_are(hikube: Hikube) -> None:
    refused = hikube("--store", "etcd", "get", "vm")
    assert refused.code == 2
    assert "there is no store 'etcd'" in refused.err
    assert "--store kubernetes" in refused.err


@pytest.mark.parametrize("arguments", [["--context", "prod", "get", "vm"], ["controller", "--kubeconfig", "/tmp/some"]])
def test_a_cluster_that_would_not_be_looked_at_is_refused(hikube: Hikube, arguments: list[str]) -> None:
    refused = hikube(*arguments)
    assert refused.code == 2
    assert "add --store kubernetes" in refused.err
    assert STORE not in os.environ


def test_a_kubeconfig_that_is_not_there_is_named(hikube: Hikube) -> None:
    absent = str(hikube.home / "absent")
    refused = hikube("--store", "kubernetes", "--kubeconfig", absent, "get", "vm")
    assert refused.code == 2
    assert "no Kubernetes cluster is configured" in refused.err


@pytest.mark.parametrize("is_in_a_pod", [False, True])
def test_without_any_cluster_nothing_is_said_on_stdout(
    hikube: Hikube, monkeypatch: pytest.MonkeyPatch, is_in_a_pod: bool
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    if is_in_a_pod:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    refused = hikube.process("--store", "kubernetes", "get", "vm", "-o", "json")
    assert refused.code == 2
    assert refused.out == ""
    assert "Service token file does not exist" in refused.err or not is_in_a_pod


def test_a_cluster_that_does_not_answer_is_no_bug(hikube: Hikube) -> None:
    path = hikube.file("nobody.yaml", NOBODY)
    failed = hikube("--store", "kubernetes", "--kubeconfig", path, "get", "vm")
    assert failed.code == 9
    assert "https://127.0.0.1:1 does not answer" in failed.err
    assert not (hikube.home / "data").exists(), "a file store was made though another one was chosen"


def test_a_controller_that_waits_for_its_lease_ends_when_it_is_asked_to(hikube: Hikube) -> None:
    path = hikube.file("nobody.yaml", NOBODY)
    argv = [*COMMAND, "controller", "--store", "kubernetes", "--kubeconfig", path]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == "waiting for the lease of the control loop\n"
            assert "the lease cannot be had" in process.stderr.readline()
            process.terminate()
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "the control loop has ended" in said


def test_a_choice_of_the_store_costs_other_commands_nothing() -> None:
    script = "import sys, cli.session, cli.store_choice, cli.lazy; print('kubernetes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


def test_who_may_not_look_at_the_lease_is_not_told_that_nobody_leads(tmp_path: Path) -> None:
    class Refusing:
        def request(self, method: str, path: str, *, body: dict[str, Any] | None = None) -> dict[str, Any]:
            raise NotAllowed("forbidden")

    lease = WatchedLease(LeaderLease(Refusing(), namespace="n", clock=ManualClock(), identity="a", command="c", renews=False))
    assert str(lease.holder()) == "a controller of the cluster"
    assert not lease.try_acquire()
