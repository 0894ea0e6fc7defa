"""The fleet that a scenario asks for: simulated hosts, a GPUHost in the store for each, and quotas of namespaces."""

from __future__ import annotations

from dataclasses import replace

from provisioner.clocks import SeededIdentifiers
from provisioner.drivers.hypervisor import DomainState
from provisioner.drivers.simulated.host import SimulatedHost
from provisioner.drivers.simulated.presets import PRESETS
from provisioner.drivers.simulated.state import DomainConfig, DomainRecord
from provisioner.model.domain_names import PREFIX
from provisioner.model.gpu_host import GPUHost, GPUHostSpec
from provisioner.model.gpu_quota import GPUQuota, GPUQuotaSpec
from provisioner.model.metadata import Metadata
from tests.simulation.universe import Universe


def build_hosts(universe: Universe) -> None:
    """Hosts `h01`, `h02`, … in the order of the scenario."""
    number, identifiers = 0, SeededIdentifiers(universe.seed)
    for hosts in universe.scenario.hosts:
        hardware = replace(PRESETS[hosts.preset], **hosts.hardware)
        for _ in range(hosts.count):
            number += 1
            host = universe.fleet.add_host(f"h{number:02d}", hardware)
            for stranger in range(hosts.strangers):
                _run_stranger(universe, host, f"{PREFIX}other.vm{stranger}", identifiers)
            spec = universe.host_specs[host.name] = GPUHostSpec(uri=host.uri, **hosts.spec)
            universe.store.create(GPUHost(metadata=Metadata(name=host.name), spec=spec))


def build_quotas(universe: Universe) -> None:
    """A GPUQuota `limit` in each namespace that the scenario limits."""
    for quota in universe.scenario.quotas:
        metadata = Metadata(name="limit", namespace=quota.namespace)
        universe.store.create(GPUQuota(metadata=metadata, spec=GPUQuotaSpec(hard=dict(quota.hard))))


def _run_stranger(universe: Universe, host: SimulatedHost, name: str, identifiers: SeededIdentifiers) -> None:
    """A domain with our mark, of a VM that another store knows."""
    config = DomainConfig(
        name=name,
        uuid=identifiers.uuid(),
        owner_uid=identifiers.uuid(),
        domain_type="kvm",
        cpu_mode="host-passthrough",
        memory_mib=2048,
        vcpus=1,
        on_reboot="restart",
        has_console=True,
    )
    with host.peek() as state:
        state.domains[name] = DomainRecord(config=config, live=config, state=DomainState.RUNNING, starts=1)
    universe.strangers.add(config.uuid)
