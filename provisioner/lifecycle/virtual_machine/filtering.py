"""libvirt's filter before the bridged interface by which a VM with `external: true` is reached.

It bears the domain's name and says at any time what the spec says; libvirt applies a change to the running guest. A domain that
was defined without it gets it with its next start.
"""

from __future__ import annotations

from provisioner.lifecycle.virtual_machine.domain import is_running
from provisioner.lifecycle.virtual_machine.view import VirtualMachineView
from provisioner.model import domain_names
from provisioner.planning.networks import outward_of
from templates.networks import filter_xml


def stand_filter(view: VirtualMachineView) -> None:
    """Define the filter as the spec wants it; one that a running guest has and that is not wanted any more lets all in."""
    spec, outside = view.resource.spec, outward_of(view.resource, view.host)
    is_wanted = outside is not None and outside[1].way == "bridged"
    name = view.resource.status.network_filter
    if is_wanted and not name and not is_running(view):
        name = domain_names.domain_name(view.key)
        view.write(network_filter=name)
    if name:
        whole = not is_wanted or spec.external_method == "WholeIP"
        xml = filter_xml(name, ports=spec.external_ports, whole=whole, allows_icmp=spec.external_allow_icmp)
        view.hypervisor.networks.define_filter(name, xml)


def remove_filter(view: VirtualMachineView) -> None:
    """No filter of the VM is there. Its domain has gone before, or libvirt refuses."""
    name = view.resource.status.network_filter
    if name:
        view.hypervisor.networks.undefine_filter(name)
        view.write(network_filter="")
