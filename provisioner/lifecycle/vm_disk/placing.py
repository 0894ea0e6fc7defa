"""Step `host`: which host the disk is on. A volume cannot be seen from another host, so this is decided once.

A copy goes where its origin is; an annotation names a host; any other disk waits for the first VM that uses it, as a volume
that waits for its first consumer does in Kubernetes: then it is placed where the VM's GPUs are.
"""

from __future__ import annotations

from provisioner.lifecycle.verdicts import Done, Retry, Verdict
from provisioner.lifecycle.vm_disk.view import VMDiskView
from provisioner.model.errors import NotFound
from provisioner.model.gpu_host import GPUHost
from provisioner.model.vm_disk import HOST_ANNOTATION, VMDisk

WAIT_S = 60.0


def choose_host(view: VMDiskView) -> Verdict:
    """The disk has a host."""
    if view.resource.status.host:
        return Done(view.resource.status.host)
    wanted = view.resource.metadata.annotations.get(HOST_ANNOTATION, "")
    source = view.resource.spec.source.disk
    if source is not None:
        found = _host_of_origin(view, source.name, wanted)
        if isinstance(found, Retry):
            return found
        wanted = found
    if not wanted:
        return Retry(WAIT_S, "WaitForFirstConsumer", "no VM uses it yet")
    try:
        view.ports.store.get(GPUHost, wanted)
    except NotFound:
        return Retry(WAIT_S, "HostMissing", f"there is no host `{wanted}`", is_patient=True)
    view.write(host=wanted)
    return Done(wanted)


def _host_of_origin(view: VMDiskView, name: str, wanted: str) -> str | Retry:
    try:
        origin = view.ports.store.get(VMDisk, name, namespace=view.resource.metadata.namespace)
    except NotFound:
        return Retry(WAIT_S, "OriginMissing", f"there is no VMDisk `{name}` to copy", is_patient=True)
    home = origin.status.host
    if not home:
        return Retry(WAIT_S, "OriginNotReady", f"VMDisk `{name}` has no content yet: no VM uses it", is_patient=True)
    if wanted not in ("", home):
        message = f"VMDisk `{name}` is on host `{home}`, and copies stay there; `{wanted}` was asked for"
        return Retry(WAIT_S, "OriginElsewhere", message, is_patient=True)
    return home
