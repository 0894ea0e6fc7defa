"""Removes machines with our mark without a living owner: a start that took effect after its VM had gone, a VM removed by force.

As on every host (lifecycle/orphans.py): the cluster is asked before the store, what was there when this store first saw the
cluster is a stranger's and is never touched, and an orphan is seen twice before it goes. A few go in each pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.drivers.machine_cluster import Machine, MachineCluster
from provisioner.lifecycle.orphans import (
    AGAIN_S,
    ORPHANS_PER_PASS,
    STRANGERS_ANNOTATION,
    SUSPECTS_ANNOTATION,
    is_first_sweep,
    note_ids,
    noted_ids,
)
from provisioner.lifecycle.verdicts import Done, Retry, Verdict
from provisioner.lifecycle.view import View
from provisioner.model.gpu_host import GPUHost
from provisioner.planning.refusals import counted


def sweep_machines(view: View[GPUHost], cluster: MachineCluster) -> Verdict:
    """One pass over our machines on the cluster; Retry while there are some without an owner. Raises as the cluster's calls."""
    marked = cluster.owned()
    uids = view.ports.snapshots.ownerless((each.owner_uid for each in marked), view.ports.store, view.ports.tables)
    ownerless = [machine for machine in marked if machine.owner_uid in uids]
    strangers = _strangers(view, ownerless)
    orphans = [machine for machine in ownerless if machine.owner_uid not in strangers]
    suspects = noted_ids(view.resource, SUSPECTS_ANNOTATION)
    if orphans or suspects:
        note_ids(view, SUSPECTS_ANNOTATION, (machine.owner_uid for machine in orphans))
    for machine in [each for each in orphans if each.owner_uid in suspects][:ORPHANS_PER_PASS]:
        cluster.remove(machine.namespace, machine.name)
        what = f"machine {machine.namespace}/{machine.name} had no owner ({machine.owner_uid}) and is removed"
        view.tell("OrphanRemoved", what, warning=True)
    if orphans:
        first = orphans[0]
        return Retry(AGAIN_S, "Orphans", f"{counted(len(orphans), 'machine')} without an owner: {first.namespace}/{first.name}")
    return Done(f"{counted(len(marked), 'machine')} of ours")


def _strangers(view: View[GPUHost], ownerless: Sequence[Machine]) -> set[str]:
    """What this store found when it swept there for the first time; decided once."""
    if not is_first_sweep(view.resource):
        return noted_ids(view.resource, STRANGERS_ANNOTATION)
    note_ids(view, STRANGERS_ANNOTATION, (machine.owner_uid for machine in ownerless))
    for machine in ownerless:
        what = f"machine {machine.namespace}/{machine.name} bears our mark, has no owner here, and is left alone"
        view.tell("StrangeMachine", what, warning=True)
    return {machine.owner_uid for machine in ownerless}
