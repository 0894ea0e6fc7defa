"""Makes what a plan of adoption says: the host, then each VM with all that belongs to it. May be repeated, also after a crash.

To be called while no control loop of this store runs: between two writes a claim has no VM yet, and would be sent home.
Order: claims, image, Secret, disks, VM. So a crash leaves GPUs that nobody else can get, and the next adoption completes it.
"""

from __future__ import annotations

import contextlib

from provisioner.lifecycle.adoption.findings import Adoptee, Adoption, Verdict
from provisioner.lifecycle.orphans import STRANGERS_ANNOTATION, SUSPECTS_ANNOTATION
from provisioner.lifecycle.ports import Ports
from provisioner.model.errors import AlreadyExists
from provisioner.model.gpu_host import GPUHost
from provisioner.store.protocol import Event


def adopt(adoption: Adoption, ports: Ports) -> Adoption:
    """Write it all down; the plan is what was done.

    Raises:
        Conflict: somebody wrote the host meanwhile; adopt again.
        AlreadyExists: a name was taken meanwhile; adopt again.
    """
    if adoption.is_new_host:
        with contextlib.suppress(AlreadyExists):
            ports.store.create(adoption.host)
    for adoptee in adoption.adoptees:
        _make(adoptee, ports)
    _strike_off(adoption, ports)
    return adoption


def _make(adoptee: Adoptee, ports: Ports) -> None:
    for resource in adoptee.makes:
        try:
            ports.store.create(resource, keeps_identity=True)
        except AlreadyExists:
            if resource.kind not in ("Image", "Secret"):  # two VMs may bring the same
                raise
    if adoptee.key is not None and adoptee.verdict in (Verdict.ADOPTED, Verdict.COMPLETED):
        message = f"from domain `{adoptee.domain.name}`, which is {adoptee.domain.state.value}"
        ports.store.record(Event(adoptee.key, "Normal", "Adopted", message))


def _strike_off(adoption: Adoption, ports: Ports) -> None:
    """What was adopted is no stranger's any more. Domains of others that were noted stay noted."""
    host = ports.store.get(GPUHost, adoption.host.metadata.name)
    ours = {each.domain.uuid for each in adoption.adoptees if each.is_ours}
    annotations = dict(host.metadata.annotations)
    for name in (STRANGERS_ANNOTATION, SUSPECTS_ANNOTATION):
        noted = [uuid for uuid in annotations.get(name, "").split(",") if uuid and uuid not in ours]
        if name in annotations:
            annotations[name] = ",".join(noted)
    if annotations != host.metadata.annotations:
        ports.store.update(host.with_metadata(annotations=annotations))
