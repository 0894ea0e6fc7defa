"""Telling when `external: true` asks for what no host gives: the VM runs all the same, and nobody outside reaches it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cli.output import say
from provisioner.model.gpu_host import GPUHost
from provisioner.model.metadata import Resource
from provisioner.model.virtual_machine import VirtualMachine

if TYPE_CHECKING:
    from cli.session import Session

WHERE = "docs/how-to/networks.md"


def warn_of_external(session: Session, resources: Iterable[Resource]) -> None:
    """Say on stderr which VMs of these cannot be reached from outside on any host, and what to configure.

    Hosts of the same documents count as they stand there; without any host nothing is known, and nothing is said.
    """
    from provisioner.planning.networks import unpublishable

    resources = tuple(resources)
    machines = [resource for resource in resources if isinstance(resource, VirtualMachine) and resource.spec.external]
    if not machines:
        return
    stored = {host.metadata.name: host for host in session.store.list(GPUHost).items}
    given = {host.metadata.name: host for host in resources if isinstance(host, GPUHost)}
    seen = [stored[name].model_copy(update={"spec": given[name].spec}) for name in given if name in stored]
    hosts = {**stored, **given, **{host.metadata.name: host for host in seen}}
    for vm in machines:
        if why := unpublishable(vm, hosts.values()):
            say(f"warning: external of {vm.metadata.name} has no effect: {why}")
            say(f"  what to configure: {WHERE}")
