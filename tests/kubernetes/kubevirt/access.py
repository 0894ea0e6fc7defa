"""Keys: KubeVirt's own account at the API server, and what virt-api shows to it."""

from __future__ import annotations

import json
import ssl
from base64 import b64decode
from pathlib import Path

from tests.kubernetes.certificates import Authority
from tests.kubernetes.control_plane import ADMINISTRATORS, ControlPlane
from tests.kubernetes.kubevirt.api import Api
from tests.kubernetes.kubevirt.https_server import ADDRESS
from tests.kubernetes.kubevirt.resources import INSTALLED_IN

USER = f"system:serviceaccount:{INSTALLED_IN}:kubevirt-controller"


def client_of(plane: ControlPlane, user_name: str = USER) -> Api:
    """As this user, who may do anything here: KubeVirt's controller, or somebody who is not of KubeVirt."""
    kubeconfig = json.loads(plane.kubeconfig_of(user_name, groups=(ADMINISTRATORS,)).read_text())
    user, cluster = kubeconfig["users"][0]["user"], kubeconfig["clusters"][0]["cluster"]
    trusts = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
    certificate = _write(plane.root / "kubevirt-client.crt", b64decode(user["client-certificate-data"]))
    trusts.load_cert_chain(certificate, _write(plane.root / "kubevirt-client.key", b64decode(user["client-key-data"])))
    return Api(cluster["server"], trusts)


def serving_context(authority: Authority, folder: Path) -> ssl.SSLContext:
    """For virt-api's server."""
    pair = authority.server(ADDRESS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = _write(folder / "virt-api.crt", pair.certificate.encode())
    context.load_cert_chain(certificate, _write(folder / "virt-api.key", pair.key.encode()))
    return context


def _write(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path
