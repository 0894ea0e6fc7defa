"""How each program of the control plane is started: its arguments, and nothing else.

Every process listens on the loopback interface only. Ports are taken from below the range from which the kernel takes ports for
outgoing connections: a port of a server that is being restarted must not be taken by a client that waits for it.
"""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass
from pathlib import Path

ADDRESS = "127.0.0.1"
STAGES = Path(__file__).parent / "kwok_stages.yaml"
CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
    "node-lifecycle-controller",
    "taint-eviction-controller",
    "resourceclaim-controller",
)
"""What tests ask of the controller manager: namespaces that go with what is in them, owner references, service accounts,
nodes that take pods only while they are Ready, and claims of devices for pods that name a template."""

NODE_LEASE_S = 40
"""As the kubelet has it; without leases the controller manager takes fake nodes for dead."""

_PORTS = range(20000, 32000)
_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class Ports:
    """One for each listener."""

    etcd: int
    etcd_peer: int
    api_server: int
    controller_manager: int
    scheduler: int
    kwok: int


@dataclass(frozen=True, slots=True)
class Files:
    """What the processes read; all in the control plane's private folder."""

    authority: Path
    server_certificate: Path
    server_key: Path
    service_account_key: Path
    etcd_data: Path
    audit_policy: Path
    audit_log: Path


def etcd(ports: Ports, files: Files) -> list[str]:
    """Without fsync: a process that is killed loses nothing by it, only a machine would."""
    client, peer = f"http://{ADDRESS}:{ports.etcd}", f"http://{ADDRESS}:{ports.etcd_peer}"
    return [
        "--name=only",
        f"--data-dir={files.etcd_data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=only={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server(ports: Ports, files: Files) -> list[str]:
    """As kubeadm has it, where tests could see a difference: authorization, admission, tokens."""
    return [
        f"--etcd-servers=http://{ADDRESS}:{ports.etcd}",
        f"--bind-address={ADDRESS}",
        f"--advertise-address={ADDRESS}",
        "--endpoint-reconciler-type=none",  # nobody reaches it through a Service, and a loopback address would be refused there
        f"--secure-port={ports.api_server}",
        *_serving(files),
        f"--client-ca-file={files.authority}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={files.service_account_key}",
        f"--service-account-signing-key-file={files.service_account_key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        f"--audit-policy-file={files.audit_policy}",
        f"--audit-log-path={files.audit_log}",  # written before the answer is, so whoever has an answer finds its line
    ]


def controller_manager(ports: Ports, files: Files, *, kubeconfig: Path) -> list[str]:
    """The controllers that tests ask for, each under its own service account."""
    return [
        f"--controllers={','.join(CONTROLLERS)}",
        f"--service-account-private-key-file={files.service_account_key}",
        f"--root-ca-file={files.authority}",
        "--use-service-account-credentials",
        *_only_one(ports.controller_manager, files, kubeconfig),
    ]


def scheduler(ports: Ports, files: Files, *, kubeconfig: Path) -> list[str]:
    """With its default profile."""
    return _only_one(ports.scheduler, files, kubeconfig)


def kwok(ports: Ports, *, kubeconfig: Path) -> list[str]:
    """Plays the kubelet of nodes with the annotation `kwok.x-k8s.io/node: fake`, and leaves others alone."""
    return [
        f"--kubeconfig={kubeconfig}",
        f"--config={STAGES}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        f"--node-lease-duration-seconds={NODE_LEASE_S}",
        f"--server-address={ADDRESS}:{ports.kwok}",
    ]


def free_ports() -> Ports:
    """Ports that nobody listens on now."""
    found: set[int] = set()
    wanted = len(Ports.__slots__)
    for _ in range(_ATTEMPTS):
        port = random.choice(_PORTS)
        if _is_free(port):
            found.add(port)
        if len(found) == wanted:
            return Ports(*found)
    raise AssertionError(f"no {wanted} free ports in {_PORTS} after {_ATTEMPTS} attempts")


def _only_one(port: int, files: Files, kubeconfig: Path) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        f"--bind-address={ADDRESS}",
        f"--secure-port={port}",
        *_serving(files),
    ]


def _serving(files: Files) -> list[str]:
    return [f"--tls-cert-file={files.server_certificate}", f"--tls-private-key-file={files.server_key}"]


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET) as probe:
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True
