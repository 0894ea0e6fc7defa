"""A cluster as one side of a move (see store/moving): the lease of its control loop is held from `hold` to `close`.

The signpost is an annotation of that Lease, so whoever may lead sees it before he leads. Controllers of classes have Leases of
their own; all of them must have ended.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from provisioner.model.errors import AlreadyExists, ControllerBusy, NotFound
from provisioner.store.fenced import FencedStore
from provisioner.store.kubernetes.api_server import MERGE_PATCH
from provisioner.store.kubernetes.leader_lease import DURATION_S, NAME, RETRY_S, LeaderLease
from provisioner.store.kubernetes.lease import SIGNPOST, Lease, collection

if TYPE_CHECKING:
    from provisioner.model.clock import Clock
    from provisioner.store.kubernetes.api_server import ApiServer
    from provisioner.store.kubernetes.store import KubernetesStore
    from provisioner.store.moving.signposts import Signpost

COMMAND = "hikube migrate"
"""What its Lease says of it: one that died is waited for, and nobody else."""


class KubernetesSide:
    """As moving.Side says.

    Args:
        server: for what is no object of ours.
        store: of the same cluster.
        namespace: where the Leases are.
        identity: as of LeaderLease.
    """

    def __init__(
        self, server: ApiServer, store: KubernetesStore, *, namespace: str, clock: Clock, identity: str, is_held: bool = True
    ) -> None:
        self._server = server
        self._clock = clock
        self._namespace = namespace
        self._leases = collection(namespace)
        self._lease = LeaderLease(
            server, namespace=namespace, clock=clock, identity=identity, command=COMMAND, ignores_signpost=True
        )
        self._opened = store
        self.store = FencedStore(store, self._lease.check) if is_held else store
        self.name = f"the cluster {server.url}"
        uid = server.request("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"]
        self.id = f"cluster:{uid}"

    def hold(self) -> None:
        """Let nobody run its control loop; a migration that died with it is waited for.

        Raises:
            ControllerBusy: somebody runs it.
            HikubeError: as LeaderLease.
        """
        self.prepare((self._namespace,))
        until_s = self._clock.monotonic_s() + 2 * DURATION_S
        while not self._lease.try_acquire():
            holder = self._lease.holder()
            if (holder is not None and holder.command != COMMAND) or self._clock.monotonic_s() > until_s:
                self._lease.acquire()  # says who has it
                break
            self._clock.sleep(RETRY_S)
        self._raise_for_classes()

    def close(self) -> None:
        """Let others have it. Repeating it is harmless."""
        self._lease.release()
        self._opened.close()
        self._server.close()

    def signpost(self) -> Signpost | None:
        """As Side says."""
        try:
            return Lease(self._server.request("GET", f"{self._leases}/{NAME}")).signpost
        except NotFound:
            return None

    def set_signpost(self, signpost: Signpost | None) -> None:
        """As Side says."""
        body = {"metadata": {"annotations": {SIGNPOST: signpost.as_text() if signpost is not None else None}}}
        self._server.request("PATCH", f"{self._leases}/{NAME}", body=body, content_type=MERGE_PATCH)
        self._lease.renew()  # of the version that it has now, so that it can be given back

    def prepare(self, namespaces: Sequence[str]) -> None:
        """Make those that are missing."""
        for name in namespaces:
            try:
                self._server.request("GET", f"/api/v1/namespaces/{name}")
            except NotFound:
                with contextlib.suppress(AlreadyExists):
                    self._server.request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})

    def _raise_for_classes(self) -> None:
        leases = [Lease(item) for item in self._server.request("GET", self._leases).get("items") or ()]
        busy = [each for each in leases if each.name.startswith(f"{NAME}-") and each.holder]
        if busy:
            why = "; ".join(f"{each.name}: {each.holder}" for each in busy)
            hint = f"stop them; of one that has died: kubectl delete lease --namespace {self._namespace} {busy[0].name}"
            raise ControllerBusy("controllers of classes run in this cluster", why=why, hint=hint)
