"""The life of a GPUHost that is a KubeVirt cluster: reached, surveyed, swept, again and again.

    reach -> survey -> sweep

Its nodes are the cluster's: nothing is examined, no KVM is proven, no driver is changed, so there are no conditions about
that. It leaves nothing behind on the cluster, so there is nothing to undo.
"""

from __future__ import annotations

from functools import cached_property

from provisioner.drivers.machine_cluster import MachineCluster
from provisioner.lifecycle.hypervisors import WatchedCluster
from provisioner.lifecycle.kubevirt.surveying import survey_cluster
from provisioner.lifecycle.kubevirt.sweeping import sweep_machines
from provisioner.lifecycle.steps import UNBOUNDED, Lifecycle, Step, nothing
from provisioner.lifecycle.verdicts import Done, Retry, Verdict
from provisioner.lifecycle.view import View
from provisioner.model.errors import HostUnreachable
from provisioner.model.gpu_host import GPUHost
from provisioner.planning.nodes import all_by_model
from provisioner.planning.refusals import counted

AWAY_RETRY_S = 10.0


class ClusterView(View[GPUHost]):
    """A cluster during one pass."""

    @cached_property
    def cluster(self) -> MachineCluster:
        """A connection to it."""
        return WatchedCluster.over(self.ports.cluster_connections, self.resource.spec.uri)


def reach(view: ClusterView) -> Verdict:
    """The cluster answers, and tells us what happens on it."""
    try:
        view.ports.host_watch.listen(view.key, view.cluster)
    except HostUnreachable as error:
        view.write(reachable=False)
        return Retry(AWAY_RETRY_S, "HostUnreachable", str(error))
    return Done(view.resource.spec.uri)


def survey(view: ClusterView) -> Verdict:
    """What the cluster has is written down, fresh from it."""
    fresh = survey_cluster(view.resource, view.cluster, view.ports.tables.gpus)
    status, facts = fresh.status, fresh.status.cluster
    view.write(
        reachable=True,
        hostname=status.hostname,
        cpus=status.cpus,
        memory_mib=status.memory_mib,
        cluster=facts,
        last_seen=view.ports.now(),
    )
    nodes = counted(len(facts.nodes) if facts is not None else 0, "node")
    gpus = ", ".join(f"{count} x {name.rpartition('/')[2]}" for name, count in sorted(all_by_model(fresh).items()))
    if facts is not None and facts.nodes_left_out:
        nodes += f", and {facts.nodes_left_out} more that are not looked at"
    version = facts.version if facts is not None else ""
    return Done(f"KubeVirt {version} with {nodes}; {gpus or 'no GPU that machines may have'}")


def sweep(view: ClusterView) -> Verdict:
    """No machine of ours is there without a living owner."""
    return sweep_machines(view, view.cluster)


CLUSTER_HOST: Lifecycle[ClusterView] = Lifecycle(
    Step("reach", do=reach, undo=nothing, within=lambda _: UNBOUNDED, sets="Reachable"),
    Step("survey", do=survey, undo=nothing, within=lambda _: UNBOUNDED, sets="Surveyed"),
    # What is swept away is gone.
    Step("sweep", do=sweep, undo=nothing, within=lambda _: UNBOUNDED, sets="Swept"),
)
