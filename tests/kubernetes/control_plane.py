"""A real Kubernetes control plane for the tests of one worker: etcd and kube-apiserver, and more on request.

        etcd  <-  kube-apiserver  <-  kubectl, the code under test
                                  <-  kube-controller-manager, kube-scheduler, kwok        started when a test asks for them

Users are client certificates, authorization is RBAC as in any cluster. Tests may kill, freeze and restart each process; `heal`
makes all well again for the next test. Its folder, its keys and its processes go with it.
"""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import httpx

from tests.kubernetes import audit, command_lines
from tests.kubernetes.access import Admin, write_kubeconfig
from tests.kubernetes.certificates import Authority, KeyPair, signing_key
from tests.kubernetes.command_lines import ADDRESS
from tests.kubernetes.processes import Daemon
from tests.tools import binaries

ADMINISTRATORS = "system:masters"
TOKEN_S = 3600


class ControlPlane:
    """Processes, users and namespaces below a private folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ports = command_lines.free_ports()
        self.server = f"https://{ADDRESS}:{self._ports.api_server}"
        self.audit_log = root / "audit.log"
        self._authority = Authority()
        self._files = self._write_files()
        self.kubeconfig = self.kubeconfig_of("admin", groups=(ADMINISTRATORS,))
        self.admin = self._open_admin()
        self.etcd = self._daemon("etcd", command_lines.etcd(self._ports, self._files))
        self.api_server = self._daemon("kube-apiserver", command_lines.api_server(self._ports, self._files))
        self.controller_manager = self._daemon("kube-controller-manager", self._controller_manager_arguments())
        self.scheduler = self._daemon("kube-scheduler", self._scheduler_arguments())
        self.kwok = self._daemon("kwok", command_lines.kwok(self._ports, kubeconfig=self.kubeconfig))
        self.daemons = (self.etcd, self.api_server, self.controller_manager, self.scheduler, self.kwok)

    def start(self) -> None:
        """etcd and kube-apiserver, ready to be used; raises DaemonTrouble with the last words of who is to blame."""
        self.etcd.start()
        self.etcd.wait_until(self._etcd_is_ready, "is not healthy")
        self.api_server.start()
        self.wait_until_ready()

    def stop(self) -> None:
        """Nothing is left: no process, no file."""
        for daemon in reversed(self.daemons):
            daemon.kill()
        self.admin.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def heal(self) -> None:
        """Whatever a test has killed or frozen runs again."""
        for daemon in self.daemons:
            daemon.thaw()
        if not (self.etcd.is_running and self.api_server.is_running and self.is_ready):
            self.start()
        for daemon in (self.controller_manager, self.scheduler, self.kwok):
            if daemon.was_started:
                daemon.start()

    @property
    def is_ready(self) -> bool:
        """Whether kube-apiserver says so, its store included, and its own first namespaces are made."""
        return self.admin.answers("/readyz") and self.admin.answers("/api/v1/namespaces/default")

    def wait_until_ready(self) -> None:
        """Raises DaemonTrouble if kube-apiserver has ended or takes too long."""
        self.api_server.wait_until(lambda: self.is_ready, "is not ready")

    def restart_api_server(self) -> None:
        """As a crash does it: every connection is cut and every watch ends."""
        self.api_server.kill()
        self.api_server.start()
        self.wait_until_ready()

    def restart_etcd(self) -> None:
        """As a crash does it; kube-apiserver stays, and is ready again when this returns."""
        self.etcd.kill()
        self.etcd.start()
        self.etcd.wait_until(self._etcd_is_ready, "is not healthy")
        self.wait_until_ready()

    def forget_history(self) -> None:
        """Let older resourceVersions expire: etcd is compacted, and kube-apiserver, which remembers too, is restarted."""
        url = f"http://{ADDRESS}:{self._ports.etcd}/v3/kv"
        with httpx.Client(trust_env=False) as client:
            revision = client.post(f"{url}/range", json={"key": "AA=="}).raise_for_status().json()["header"]["revision"]
            client.post(f"{url}/compaction", json={"revision": revision, "physical": True}).raise_for_status()
        self.restart_api_server()

    def run_controller_manager(self) -> None:
        """From now on namespaces are emptied, owner references are followed, service accounts appear."""
        self.controller_manager.start()
        self._wait_until_healthy(self.controller_manager, f"https://{ADDRESS}:{self._ports.controller_manager}/healthz")

    def run_scheduler(self) -> None:
        """From now on pods are bound."""
        self.scheduler.start()
        self._wait_until_healthy(self.scheduler, f"https://{ADDRESS}:{self._ports.scheduler}/healthz")

    def run_kwok(self) -> None:
        """From now on nodes with the annotation `kwok.x-k8s.io/node: fake` are Ready, and pods bound to them run."""
        self.kwok.start()
        self._wait_until_healthy(self.kwok, f"http://{ADDRESS}:{self._ports.kwok}/healthz")

    def make_namespace(self, name: str) -> str:
        """Returns its name. It stays until the control plane goes, or a test deletes it."""
        self.admin.post("/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def kubeconfig_of(self, user: str, *, groups: Sequence[str] = (), namespace: str = "default") -> Path:
        """The file with which anybody is this user; a new user may do nothing until a role binding says otherwise."""
        pair = self._authority.user(user, groups=groups)
        data = {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)}
        return self._write_kubeconfig(f"{user}.{namespace}".replace(":", "-"), data, namespace=namespace)

    def kubeconfig_of_service_account(self, name: str, *, namespace: str) -> Path:
        """The file with which anybody is this service account, which must exist, for an hour."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        made = self.admin.post(path, {"spec": {"expirationSeconds": TOKEN_S}})
        return self._write_kubeconfig(f"sa-{name}.{namespace}", {"token": made["status"]["token"]}, namespace=namespace)

    def _etcd_is_ready(self) -> bool:
        return self.admin.answers(f"http://{ADDRESS}:{self._ports.etcd}/health")

    def _wait_until_healthy(self, daemon: Daemon, url: str) -> None:
        daemon.wait_until(lambda: self.admin.answers(url), "is not healthy")

    def _daemon(self, program: str, arguments: Sequence[str]) -> Daemon:
        place = binaries.find(program)
        assert place is not None, f"{program} is not built"
        environment = {"HOME": str(self.root), "PATH": "/usr/bin:/bin"}
        return Daemon(program, [str(place), *arguments], folder=self.root, environment=environment)

    def _controller_manager_arguments(self) -> list[str]:
        kubeconfig = self.kubeconfig_of("system:kube-controller-manager")
        return command_lines.controller_manager(self._ports, self._files, kubeconfig=kubeconfig)

    def _scheduler_arguments(self) -> list[str]:
        kubeconfig = self.kubeconfig_of("system:kube-scheduler")
        return command_lines.scheduler(self._ports, self._files, kubeconfig=kubeconfig)

    def _write_kubeconfig(self, name: str, user: dict[str, str], *, namespace: str) -> Path:
        authority = _base64(self._authority.certificate)
        path = self.root / f"{name}.kubeconfig"
        return write_kubeconfig(path, server=self.server, authority=authority, user=user, namespace=namespace)

    def _write_files(self) -> command_lines.Files:
        server = self._authority.server(ADDRESS)
        return command_lines.Files(
            authority=self._write("authority.crt", self._authority.certificate),
            server_certificate=self._write("server.crt", server.certificate),
            server_key=self._write("server.key", server.key),
            service_account_key=self._write("service-accounts.key", signing_key()),
            etcd_data=self.root / "etcd",
            audit_policy=self._write("audit-policy.json", audit.POLICY),
            audit_log=self.audit_log,
        )

    def _open_admin(self) -> Admin:
        pair: KeyPair = self._authority.user("admin", groups=(ADMINISTRATORS,))
        certificate, key = self._write("admin.crt", pair.certificate), self._write("admin.key", pair.key)
        return Admin(self.server, authority=self._files.authority, certificate=certificate, key=key)

    def _write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
