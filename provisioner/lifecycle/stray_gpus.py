"""Takes GPUs home that were put on vfio-pci since the host was booted, and that nobody owns: their claim was lost.

    HK-DOC-223 ─┬─ seen off vfio-pci in this boot of the host ──> a released claim: cleaned and given back as after any tenant
                └─ never, as far as this store knows ───────────> told, and left alone

The second may be an operator's choice (driverctl sets the same override as we do), or be left by a store that was lost: nothing
on the host tells the two apart. What somebody has open, what is quarantined, retired or kept on vfio-pci is no stray.
"""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.lifecycle.gpu_claim.unowned import is_on_vfio, released_claim
from provisioner.lifecycle.view import View
from provisioner.model.errors import AlreadyExists
from provisioner.model.examination import Finding
from provisioner.model.gpu_host import GPUHost
from provisioner.planning.doctor.gpu_table import STRAY

NOBODY_KNOWN = "nobody-known"
"""In the history of the card, in place of the VM that had it."""


def take_strays_home(view: View[GPUHost], hypervisor: Hypervisor, findings: Iterable[Finding]) -> None:
    """Give each a claim that cleans it, right after an examination.

    A claim may have come or gone since: the GPU is looked at once more, and creating the claim fails if somebody owns it.

    Raises: HostUnreachable and whatever the hypervisor says; the next examination finds it again.
    """
    host, ports = view.resource, view.ports
    found = {finding.subject for finding in findings if finding.code == STRAY}
    for gpu in host.status.gpus:
        was_home = bool(gpu.at_home_boot_id) and gpu.at_home_boot_id == host.status.boot_id
        if gpu.address not in found or not was_home or not is_on_vfio(hypervisor.devices, gpu.address):
            continue
        try:
            ports.store.create(released_claim(host, gpu, last=NOBODY_KNOWN, uid="", now=ports.now()))
        except AlreadyExists:
            continue
        view.tell(
            "StrayGPU", f"{gpu.address} was on vfio-pci and claimed by nobody: it is cleaned and given back", warning=True
        )
