"""Simulated virtual machines: defined, started, stopped and looked at as libvirt's are."""

from __future__ import annotations

from provisioner.drivers.hypervisor import Domain, DomainState
from provisioner.drivers.simulated import booting, starting
from provisioner.drivers.simulated.console_log import begin_log
from provisioner.drivers.simulated.domain_xml import parse_domain
from provisioner.drivers.simulated.link import Link
from provisioner.drivers.simulated.state import DiskDevice, DomainConfig, DomainRecord, HostState
from provisioner.model.errors import AlreadyExists, Conflict, InvalidInput, NotFound


class SimulatedDomains:
    """See drivers.hypervisor.Domains."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def define(self, xml: str) -> Domain:
        """See the protocol. A running domain goes on with the hardware that it was started with."""
        config = parse_domain(xml)
        with self._link.call("domains.define", subject=config.name) as state:
            if config.domain_type == "kvm" and state.kvm == "absent":
                raise InvalidInput("The domain XML is refused", why="could not find capabilities for domaintype=kvm")
            record = state.domains.get(config.name)
            _refuse_other_identity(state, config, record)
            if record is None:
                record = state.domains[config.name] = DomainRecord(config)
            record.config = config
            return _domain(record)

    def start(self, name: str, *, timeout_s: float) -> None:
        """See the protocol."""
        with self._link.call("domains.start", subject=name, limit_s=timeout_s) as state:
            record = _known(state, name)
            if record.is_running:
                return
            record.state = DomainState.OFF  # also of one that crashed, and also if this start fails
            starting.check(state, record.config)
            record.live = record.config
            record.state = DomainState.RUNNING
            record.starts += 1
            begin_log(state, record.live)
            booting.boot(state, record, world=self._link.host.world)

    def shutdown(self, name: str) -> None:
        """See the protocol. A guest whose system does not run yet, or will not, ignores it."""
        with self._link.call("domains.shutdown", subject=name) as state:
            world = self._link.host.world
            record, now_s = state.domains.get(name), world.clock.now_s()
            if record is None or record.boot is None or record.boot.ssh_s is None or record.ends_s is not None:
                return
            if now_s >= record.boot.ssh_s and state.behaviour_of(name).heeds_shutdown:
                takes_s = world.chance.within(world.timing.shutdown, "shutdown", state.name, name, record.boots)
                record.ends_s, record.ends_as = now_s + takes_s, DomainState.OFF

    def destroy(self, name: str, *, timeout_s: float) -> None:
        """See the protocol."""
        with self._link.call("domains.destroy", subject=name, limit_s=timeout_s) as state:
            record = state.domains.get(name)
            if record is not None and record.is_running:
                record.stop(DomainState.OFF, at_s=self._link.host.world.clock.now_s())

    def undefine(self, name: str) -> None:
        """See the protocol."""
        with self._link.call("domains.undefine", subject=name) as state:
            record = state.domains.get(name)
            if record is not None and record.is_running:
                raise Conflict(f"Domain {name} cannot be undefined", why="it is running", context={"domain": name})
            state.domains.pop(name, None)

    def look(self, name: str) -> Domain | None:
        """See the protocol."""
        with self._link.call("domains.look", subject=name) as state:
            record = state.domains.get(name)
            return None if record is None else _domain(record)

    def owned(self) -> tuple[Domain, ...]:
        """See the protocol."""
        with self._link.call("domains.owned") as state:
            return tuple(_domain(state.domains[name]) for name in sorted(state.domains) if state.domains[name].config.owner_uid)

    def eject(self, name: str, target: str) -> None:
        """See the protocol."""
        with self._link.call("domains.eject", subject=name) as state:
            record = _known(state, name)
            for config in (record.live, record.config):
                if config is not None:
                    _cdrom(config, target).eject()

    def addresses(self, name: str, *, mac_address: str) -> tuple[str, ...]:
        """See the protocol."""
        with self._link.call("domains.addresses", subject=name) as state:
            record = state.domains.get(name)
            if record is None or record.live is None or record.boot is None or record.boot.address_s is None:
                return ()
            if self._link.host.world.clock.now_s() < record.boot.address_s:
                return ()
            known = [interface for interface in record.live.interfaces if interface.mac_address == mac_address.lower()]
            # Of a guest that shares an interface of the host the host sees nothing, and no agent runs in it.
            return tuple(filter(None, (booting.lease_of(state, each) for each in known if not each.is_direct)))


def _known(state: HostState, name: str) -> DomainRecord:
    if name not in state.domains:
        raise NotFound(f"There is no domain {name} on {state.name}", context={"domain": name})
    return state.domains[name]


def _refuse_other_identity(state: HostState, config: DomainConfig, record: DomainRecord | None) -> None:
    if record is not None and record.config.uuid != config.uuid:
        why = f"domain '{config.name}' already exists with uuid {record.config.uuid}"
        raise AlreadyExists(f"Domain {config.name} cannot be defined", why=why)
    for other in state.domains.values():
        if other.config.uuid == config.uuid and other is not record:
            why = f"domain '{other.config.name}' is already defined with uuid {config.uuid}"
            raise AlreadyExists(f"Domain {config.name} cannot be defined", why=why)


def _cdrom(config: DomainConfig, target: str) -> DiskDevice:
    for disk in config.disks:
        if disk.target == target and disk.is_cdrom:
            return disk
    raise NotFound(f"Domain {config.name} has no CD-ROM {target}", context={"domain": config.name, "target": target})


def _domain(record: DomainRecord) -> Domain:
    shown = record.live or record.config
    return Domain(
        name=shown.name,
        uuid=shown.uuid,
        state=record.state,
        owner_uid=shown.owner_uid,
        functions=tuple(device.host_address for device in shown.devices),
    )
