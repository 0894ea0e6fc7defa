"""Volumes with somebody's data that nothing in the store accounts for: kept by `Retain`, or left by a VM removed by force.

Listed, never touched: whether they may go only their owner knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from provisioner.drivers.volumes import Volume
from provisioner.lifecycle.hypervisors import WatchedHypervisor
from provisioner.lifecycle.ports import Ports
from provisioner.model import domain_names
from provisioner.model.errors import HikubeError
from provisioner.model.gpu_host import GPUHost
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from provisioner.model.vm_disk import VMDisk


@dataclass(frozen=True, slots=True)
class Leftover:
    """One volume without an owner."""

    host: str
    pool: str
    volume: Volume


@dataclass(frozen=True, slots=True)
class Search:
    """What was found, and where nobody could look."""

    found: tuple[Leftover, ...]
    unseen: tuple[tuple[str, str], ...]
    """Host (or host and pool) and why."""


def find_leftovers(ports: Ports, *, hosts: tuple[str, ...] = ()) -> Search:
    """Look on these hosts, or on all. Changes nothing."""
    found: list[Leftover] = []
    unseen: list[tuple[str, str]] = []
    for host in ports.store.list(GPUHost).items:
        if hosts and host.metadata.name not in hosts:
            continue
        for pool in sorted({host.spec.storage_pool, *host.spec.storage_classes.values()}):
            try:
                found += _in_pool(host, pool, ports)
            except HikubeError as error:
                unseen.append((f"{host.metadata.name}/{pool}", str(error)))
    return Search(tuple(found), tuple(unseen))


def _in_pool(host: GPUHost, pool: str, ports: Ports) -> Iterator[Leftover]:
    volumes = WatchedHypervisor.over(ports.connections, host.spec.uri).volumes
    there = volumes.list(pool, prefix=domain_names.PREFIX)  # the host before the store: what is being made is no leftover
    known = set(_known(ports))
    for volume in there:
        if domain_names.holds_data(volume.name) and volume.name not in known:
            yield Leftover(host.metadata.name, pool, volume)


def _known(ports: Ports) -> Iterator[str]:
    for disk in ports.store.list(VMDisk).items:
        yield disk.status.volume
        if disk.status.pool:
            for ending in domain_names.DISK_ENDINGS:
                yield domain_names.disk_volume(disk.metadata.namespace, disk.metadata.name, ending=ending)
    for kind in (VirtualMachine, VMInstance):
        for vm in ports.store.list(kind).items:
            yield vm.status.system_volume or domain_names.system_volume(domain_names.domain_name(vm.key))
