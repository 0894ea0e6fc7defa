"""The GPU host in a box: a real GPU host inside QEMU, for whoever has no GPU. Demo, tests, first steps.

A lab is one or more emulated machines with a virtual IOMMU and stand-in GPUs, each with a companion audio function; inside runs
Debian 13 with libvirt, reached by `qemu+ssh://` like any other GPU host. The rest of hikube is given a URI and knows no labs.

    ensure_images -> create(topology) -> host.uri, host.ssh_argv -> delete(name)

Must not import libvirt, drivers or the store. Builds need root; everything else runs as any user.
"""

from __future__ import annotations

from provisioner.lab.host import HostInABox
from provisioner.lab.images import LabImages, ensure_images, find_images
from provisioner.lab.labs import Lab, create, delete, list_labs, load, ssh_command
from provisioner.lab.progress import Progress
from provisioner.lab.timing import time_scale
from provisioner.lab.topology import LabHost, LabTopology, StandIn, StandInModel, uniform

__all__ = [
    "HostInABox",
    "Lab",
    "LabHost",
    "LabImages",
    "LabTopology",
    "Progress",
    "StandIn",
    "StandInModel",
    "create",
    "delete",
    "ensure_images",
    "find_images",
    "list_labs",
    "load",
    "ssh_command",
    "time_scale",
    "uniform",
]
