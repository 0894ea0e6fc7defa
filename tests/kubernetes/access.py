"""Ways into the control plane as somebody: a kubeconfig file for each user, and the few requests that the fixture itself makes.

A kubeconfig has its keys inside, so the file is all that a client needs. Requests here are the admin's, one connection each, so
that none of them waits on a connection that a restart has cut.
"""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import httpx

REQUEST_LIMIT_S = 5.0


def write_kubeconfig(path: Path, *, server: str, authority: str, user: dict[str, str], namespace: str) -> Path:
    """Write a kubeconfig (0600) with one cluster, one user and one context.

    Args:
        user: The fields of kubeconfig's user: certificate and key, or a token.
    """
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests", "namespace": namespace}}],
        "clusters": [{"name": "tests", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "tests", "user": user}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=2))  # JSON is YAML
    return path


class Admin:
    """The API server as its administrator sees it, in raw JSON."""

    def __init__(self, server: str, *, authority: Path, certificate: Path, key: Path) -> None:
        trusts = ssl.create_default_context(cafile=str(authority))
        trusts.load_cert_chain(certificate, key)
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(base_url=server, verify=trusts, trust_env=False, timeout=REQUEST_LIMIT_S, limits=limits)

    def answers(self, path: str) -> bool:
        """Whether a GET is answered with 200 within a few seconds."""
        try:
            return self._client.get(path).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def get(self, path: str) -> Any:
        """An object or a list; raises httpx.HTTPError."""
        return self._client.get(path).raise_for_status().json()

    def post(self, path: str, body: Any) -> Any:
        """Create; returns what was created. Raises httpx.HTTPError."""
        return self._client.post(path, json=body).raise_for_status().json()

    def delete(self, path: str) -> Any:
        """An object, or all of a collection; raises httpx.HTTPError."""
        return self._client.delete(path).raise_for_status().json()

    def close(self) -> None:
        """No request after this."""
        self._client.close()
