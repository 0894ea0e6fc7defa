"""The way home of a GPU on a cluster: short, since kubelet and device plugin give it to the next pod by themselves.

    gone          then the reconciler deletes the claim: nothing here resets, scrubs or gives back a driver, and nothing says so

The claim holds the GPU's name until the instance that had it is gone, and no longer: by then another VM may report it.
"""

from __future__ import annotations

from provisioner.lifecycle.gpu_claim.view import GPUClaimView
from provisioner.lifecycle.hypervisors import WatchedCluster
from provisioner.lifecycle.steps import UNBOUNDED, Lifecycle, Step, nothing
from provisioner.lifecycle.verdicts import Done, Retry, Verdict

POLL_S = 3.0


def wait_until_gone(view: GPUClaimView) -> Verdict:
    """The instance that had the GPU is not on the cluster any more, or it has ended: then its GPUs are given back."""
    known = view.resource.status.machine
    if known is None:
        return Done("no instance had it")
    cluster = WatchedCluster.over(view.ports.cluster_connections, view.host.spec.uri)
    found = cluster.look(known.namespace, known.name)
    if found is not None and found.instance_uid == known.instance_uid and not found.ended:
        return Retry(POLL_S, "InUse", f"instance {known.instance_uid} of {known.namespace}/{known.name} still has it")
    return Done("its instance is gone")


CLUSTER_CLAIM: Lifecycle[GPUClaimView] = Lifecycle(
    Step("gone", do=wait_until_gone, undo=nothing, within=lambda _view: UNBOUNDED, sets="InstanceGone"),
)
