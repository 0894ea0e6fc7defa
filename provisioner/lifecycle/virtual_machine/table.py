"""The life of a VM, as one table. Read it top to bottom for create and start, bottom to top for stop and delete.

    reserve -> image -> disk -> seed -> network -> bind -> define -> start -> address -> reach -> verify -> ready

A stop keeps `disk` (the tenant's data); a restart keeps `reserve` as well, so that nobody takes the GPUs in between. Undoing
`reserve` lets go of the claims and waits for nothing: the way of the GPUs from there is lifecycle/gpu_claim/table.py.
"""

from __future__ import annotations

from provisioner.lifecycle.steps import UNBOUNDED, Lifecycle, Step, nothing
from provisioner.lifecycle.virtual_machine.devices import bind_gpus
from provisioner.lifecycle.virtual_machine.domain import define_domain, start_domain, stop_domain, undefine_domain
from provisioner.lifecycle.virtual_machine.network import leave_network, ready_network
from provisioner.lifecycle.virtual_machine.proving import find_address, hand_over, prove_gpus, reach_guest
from provisioner.lifecycle.virtual_machine.reserve import release_gpus, reserve_gpus
from provisioner.lifecycle.virtual_machine.seed import delete_seed, make_seed
from provisioner.lifecycle.virtual_machine.storage import delete_disks, make_disks, stage_image
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView

View = VirtualMachineView


def _seconds(duration_s: float):  # type: ignore[no-untyped-def]
    return lambda _view: duration_s


def _disks_s(view: View) -> float:
    return view.budgets.image_s + 600.0  # a VMDisk may have an image of its own to fetch


VIRTUAL_MACHINE: Lifecycle[View] = Lifecycle(
    # A VM waits for capacity as long as its owner likes.
    Step("reserve", do=reserve_gpus, undo=release_gpus, within=_seconds(UNBOUNDED), sets="Scheduled"),
    # Base images are shared and named by content: they stay for the next VM.
    Step("image", do=stage_image, undo=nothing, within=lambda view: view.budgets.image_s, sets="ImageReady"),
    Step("disk", do=make_disks, undo=delete_disks, within=_disks_s, sets="DisksReady", keeps_data=True),
    Step("seed", do=make_seed, undo=delete_seed, within=_seconds(300), sets="SeedReady"),
    # Before the domain, which names the filter. What is kept over a stop (addresses) its undo keeps.
    Step("network", do=ready_network, undo=leave_network, within=_seconds(120), sets="NetworkReady"),
    # A failed bind undoes itself; a GPU that a guest may have had goes home by its claim's table, after its reset.
    Step("bind", do=bind_gpus, undo=nothing, within=lambda view: view.budgets.bind_s, sets="DevicesBound"),
    Step("define", do=define_domain, undo=undefine_domain, within=_seconds(60), sets="Defined"),
    Step("start", do=start_domain, undo=stop_domain, within=lambda view: view.budgets.start_s, sets="Started"),
    # The rest happens inside the domain: stopping it undoes all of it.
    Step("address", do=find_address, undo=nothing, within=lambda view: view.budgets.address_s, sets="AddressKnown"),
    Step("reach", do=reach_guest, undo=nothing, within=lambda view: view.budgets.reach_s, sets="Reachable"),
    Step("verify", do=prove_gpus, undo=nothing, within=lambda view: view.budgets.verify_s, sets="GPUsProven"),
    Step("ready", do=hand_over, undo=nothing, within=_seconds(300), sets="Ready"),
)
