"""The life of a VM on a KubeVirt cluster, as one table, with the conditions of every VM in their order.

    reserve -> image -> disk -> seed -> network -> place -> instance -> start -> address -> reach -> verify -> ready

`reserve` promises room by the last survey; the cluster decides at `place`, after which the GPUs are the kubelet's gift. A stop
keeps the machine with its disk, halted; a restart keeps the promise as well. Undoing `verify` lets go of the claims, since
another instance may get other GPUs.
"""

from __future__ import annotations

from provisioner.lifecycle.kubevirt.claiming import let_go_of_gpus
from provisioner.lifecycle.kubevirt.placing import await_guest, confirm_instance, place_machine, stop_machine
from provisioner.lifecycle.kubevirt.preparing import (
    check_disk,
    compose_seed,
    forget_seed,
    join_pod_network,
    name_image,
    remove_machine,
)
from provisioner.lifecycle.kubevirt.proving import find_address, hand_over, prove_gpus
from provisioner.lifecycle.steps import UNBOUNDED, Lifecycle, Step, nothing
from provisioner.lifecycle.virtual_machine.proving import reach_guest
from provisioner.lifecycle.virtual_machine.reserve import release_gpus, reserve_gpus
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView

View = VirtualMachineView
PULL_S = 3600.0
"""For a container image of a root disk, or the import of one, on whatever registry."""


def _seconds(duration_s: float):  # type: ignore[no-untyped-def]
    return lambda _view: duration_s


KUBEVIRT_MACHINE: Lifecycle[View] = Lifecycle(
    Step("reserve", do=reserve_gpus, undo=release_gpus, within=_seconds(UNBOUNDED), sets="Scheduled"),
    # The cluster's own cache of images is the cluster's.
    Step("image", do=name_image, undo=nothing, within=_seconds(60), sets="ImageReady"),
    # The machine is made later; it is removed here because its disk goes with it, and a stop keeps that.
    Step("disk", do=check_disk, undo=remove_machine, within=_seconds(60), sets="DisksReady", keeps_data=True),
    Step("seed", do=compose_seed, undo=forget_seed, within=_seconds(300), sets="SeedReady"),
    # Addresses come and go with the pod.
    Step("network", do=join_pod_network, undo=nothing, within=_seconds(60), sets="NetworkReady"),
    Step("place", do=place_machine, undo=stop_machine, within=_seconds(PULL_S), sets="DevicesBound"),
    # What happens in the instance is undone by stopping it.
    Step("instance", do=confirm_instance, undo=nothing, within=_seconds(60), sets="Defined"),
    # Images are pulled, disks imported.
    Step("start", do=await_guest, undo=nothing, within=_seconds(PULL_S), sets="Started"),
    Step("address", do=find_address, undo=nothing, within=lambda view: view.budgets.address_s, sets="AddressKnown"),
    Step("reach", do=reach_guest, undo=nothing, within=lambda view: view.budgets.reach_s, sets="Reachable"),
    Step("verify", do=prove_gpus, undo=let_go_of_gpus, within=lambda view: view.budgets.verify_s, sets="GPUsProven"),
    Step("ready", do=hand_over, undo=nothing, within=_seconds(300), sets="Ready"),
)
