"""Steps `image`, `disk`, `seed` and `network` on a cluster: what the machine is to be made of is known, before it is made.

A disk out of a container image is new with every start, so its guest gets a new host key with every start. An imported disk is
made with the machine and goes with it.
"""

from __future__ import annotations

import hashlib

from provisioner.lifecycle.kubevirt.making import disk_source, identity, is_ephemeral, seed_plan
from provisioner.lifecycle.verdicts import Abort, Done, Retry, Verdict
from provisioner.lifecycle.virtual_machine import access
from provisioner.lifecycle.virtual_machine.publishing import PUBLISHED
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from templates.kubevirt.user_data import user_data

REMOVAL_POLL_S = 2.0


def name_image(view: VirtualMachineView) -> Verdict:
    """The cluster has a way to the image: a containerDisk is named for it, or it can import it."""
    known, image = view.resource.status.machine, view.image
    assert known is not None
    if image is None:
        return Abort("NoImage", "a VM that boots from VMDisks cannot be on a KubeVirt cluster", is_final=True)
    source = known.disk if view.instance_runs() else disk_source(view)
    if not source:
        name, host = image.metadata.name, view.host.metadata.name
        why = f"no containerDisk is named for image `{name}` on host `{host}`, and the cluster cannot import {image.spec.url}"
        return Abort("ImageUnavailable", why)
    if source != known.disk:
        view.write(machine=known.model_copy(update={"disk": source}))
    return Done(source.replace(":", " ", 1))


def check_disk(view: VirtualMachineView) -> Verdict:
    """It is known what disk the machine has, and nothing of a VMDisk is asked for."""
    if view.resource.spec.disks:
        return Abort("DiskUnavailable", "a KubeVirt cluster has no VMDisks", is_final=True)
    if is_ephemeral(view):
        return Done("out of a container image: what is written to it is lost with every stop")
    return Done("imported by the cluster when the machine is made; kept until the VM is deleted")


def remove_machine(view: VirtualMachineView) -> Verdict:
    """Nothing of the VM is on the cluster: no machine, no seed, no disk. Nothing binds the VM to the cluster any more."""
    known = view.resource.status.machine
    if known is None:
        return Done()
    found = view.look_at_machine()
    if found is not None:
        view.cluster.remove(known.namespace, known.name)
        return Retry(REMOVAL_POLL_S, "Removing", f"the cluster removes the machine: {found.status_in_its_words or found.state}")
    view.write(first_ready="", host="", machine=None)
    return Done()


def compose_seed(view: VirtualMachineView) -> Verdict:
    """The VM's Secret has the keys that the seed of this start is made of."""
    if view.instance_runs():
        return Done("used by the running guest")
    data = access.read(view)
    if data and is_ephemeral(view) and access.HOST_PRIVATE not in data:
        access.delete(view)  # its host key went with the disk that had it
    keys = access.with_keys(view, identity=identity(view))
    text = user_data(seed_plan(view, has_keys=True))
    digest = hashlib.sha256(text.encode()).hexdigest()
    if keys.spec.data.get(access.SEED_DIGEST) != digest:
        access.note_seed(view, keys, digest=digest)
    return Done(f"{len(text)} bytes of user-data")


def forget_seed(view: VirtualMachineView) -> Verdict:
    """The key that the seed of this start lets in is worth nothing any more."""
    access.forget_start(view)
    return Done()


def join_pod_network(view: VirtualMachineView) -> Verdict:
    """The machine is on the pod network, with the VM's own MAC address; nothing is published from there by hikube."""
    spec = view.resource.spec
    if spec.networks:
        return Abort("NetworkMissing", "machines on a KubeVirt cluster are on the pod network alone", is_final=True)
    if spec.external:
        why = "nothing is published from a KubeVirt cluster: make a Service of type LoadBalancer for the machine there"
        view.write(view.condition(PUBLISHED, "False", "NoWayIn", why))
    mac = view.mac_addresses[0]
    if view.resource.status.mac_address != mac:
        view.write(mac_address=mac)
    return Done(f"pod network, {mac}")
