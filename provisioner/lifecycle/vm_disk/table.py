"""The life of a VMDisk: it waits for a host, gets its content there, and is a volume until it is deleted.

host -> content -> volume
"""

from __future__ import annotations

from provisioner.lifecycle.steps import UNBOUNDED, Lifecycle, Step, nothing
from provisioner.lifecycle.vm_disk.content import bring_content
from provisioner.lifecycle.vm_disk.placing import choose_host
from provisioner.lifecycle.vm_disk.view import VMDiskView
from provisioner.lifecycle.vm_disk.volume import delete_volume, make_volume

MIB = 1 << 20
VOLUME_S = 600.0
COPY_S_PER_MIB = 0.1
"""10 MB/s, which no disk worth copying on is slower than."""


def _volume_s(view: VMDiskView) -> float:
    return VOLUME_S + COPY_S_PER_MIB * view.size_bytes / MIB


VM_DISK: Lifecycle[VMDiskView] = Lifecycle(
    # Both wait for somebody else, for as long as that takes.
    Step("host", do=choose_host, undo=nothing, within=lambda _: UNBOUNDED, sets="Bound"),
    # Base images are shared and named by content: they stay.
    Step("content", do=bring_content, undo=nothing, within=lambda _: UNBOUNDED, sets="ContentReady"),
    Step("volume", do=make_volume, undo=delete_volume, within=_volume_s, sets="Ready", keeps_data=True),
)
