"""The store in a Kubernetes cluster, and the lease of its control loop, as commands use them. Imported when that is chosen.

The loop runs in `hikube controller` only: commands that wait watch it, so that whoever types them needs no way to the hosts.
There is one lease for the whole cluster, in a namespace that has one name, wherever a controller runs: two names would be two
leaders.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from cli import store_choice
from cli.output import say
from provisioner.model.errors import HikubeError, NotAllowed
from provisioner.store.kubernetes.api_server import REQUEST_TIMEOUT_S, ApiServer
from provisioner.store.kubernetes.leader_lease import NAME, Leader, LeaderLease
from provisioner.store.kubernetes.leader_lease import REQUEST_TIMEOUT_S as LEASE_TIMEOUT_S
from provisioner.store.kubernetes.side import KubernetesSide
from provisioner.store.kubernetes.store import KubernetesStore

if TYPE_CHECKING:
    from pathlib import Path

    from cli.session import Session
    from provisioner.model.clock import Clock, Identifiers
    from provisioner.model.metadata import Key
    from provisioner.model.tables import Tables
    from provisioner.store.protocol import Store

NAMESPACE = "hikube-system"

log = logging.getLogger("hikube.store")


def open_store(*, clock: Clock, tables: Tables) -> KubernetesStore:
    """The store of the chosen cluster. Objects that only the API server understands are told on stderr, or logged."""
    tell = log.warning if log.isEnabledFor(logging.INFO) else _say
    return KubernetesStore(_server(clock, REQUEST_TIMEOUT_S), clock=clock, tables=tables, refused=_once(tell))


def leader_lease(*, clock: Clock, identifiers: Identifiers, lost: Callable[[], None] = lambda: None) -> LeaderLease:
    """The right to run the control loop of the chosen cluster."""
    identity = f"{socket.gethostname()}-{os.getpid()}-{identifiers.token(8)}"
    command = " ".join(["hikube", *sys.argv[1:4]])
    server = _server(clock, LEASE_TIMEOUT_S)
    class_name = store_choice.class_name()
    name = f"{NAME}-{class_name}" if class_name else NAME
    return LeaderLease(server, namespace=NAMESPACE, clock=clock, identity=identity, command=command, lost=lost, name=name)


def answer(store: Store, fence: Callable[[], None]) -> None:
    """Let whoever leads tell objects whether they are understood; does nothing for another store than a cluster's."""
    if isinstance(store, KubernetesStore):
        store.answer(fence, class_name=store_choice.class_name())


def side(session: Session, *, kubeconfig: Path | None, context: str, is_held: bool) -> KubernetesSide:
    """A cluster as one side of a move. Without a file or a context, the one that other commands would work on."""
    path, clock = kubeconfig or store_choice.kubeconfig(), session.clock
    context = context or ("" if kubeconfig else store_choice.context())
    server = ApiServer.from_kubeconfig(path, clock=clock, context=context)
    lease_server = ApiServer.from_kubeconfig(path, clock=clock, context=context, request_timeout_s=LEASE_TIMEOUT_S)
    store = KubernetesStore(server, clock=clock, tables=session.tables, refused=_once(_say))
    identity = f"{socket.gethostname()}-{os.getpid()}-{session.identifiers.token(8)}"
    return KubernetesSide(lease_server, store, namespace=NAMESPACE, clock=clock, identity=identity, is_held=is_held)


class WatchedLease:
    """The lease for commands that leave the loop to the controllers, and have it for a moment at most (inside the context)."""

    def __init__(self, lease: LeaderLease) -> None:
        self._lease = lease

    def __enter__(self) -> WatchedLease:
        self._lease.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lease.release()

    def try_acquire(self) -> bool:
        """Never: a command that waits does not run the loop of a cluster."""
        return False

    def release(self) -> None:
        """Let it go, if it is held."""
        self._lease.release()

    def holder(self) -> Leader | None:
        """Who runs the loop. Whoever may not know that is not told that nobody does."""
        try:
            return self._lease.holder()
        except NotAllowed:
            return Leader("a controller of the cluster", "", "")


def _server(clock: Clock, timeout_s: float) -> ApiServer:
    path, context = store_choice.kubeconfig(), store_choice.context()
    return ApiServer.from_kubeconfig(path, clock=clock, context=context, request_timeout_s=timeout_s)


def _once(tell: Callable[[str], None]) -> Callable[[Key, HikubeError], None]:
    told: dict[Key, str] = {}

    def refused(key: Key, why: HikubeError) -> None:
        text = f"{key} is not understood, and is left out: {why}"
        if told.get(key) != text:
            told[key] = text
            tell(text)

    return refused


def _say(text: str) -> None:
    say(f"warning: {text}")
