"""Is each GPU on the NUMA node of the guest that the plan put it on? A wrong node costs speed and nothing else: a warning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provisioner.model.guest_report import GuestReport
from provisioner.planning.proof import Finding, Weight


def numa_findings(report: GuestReport, *, places: Mapping[str, str], planned: Mapping[str, int]) -> Iterator[Finding]:
    """One finding for each GPU that is elsewhere, or one for all if they are right; nothing where the plan has no nodes.

    `places` and `planned` say each GPU's guest address and its planned node, by its address on the host.
    """
    seen = {function.address: function.numa_node for function in report.functions}
    there = {address: seen.get(places[address]) for address in planned if address in places}
    for address, node in there.items():
        if node != planned[address]:
            found = "no NUMA node" if node is None else f"NUMA node {node}"
            yield Finding(Weight.WARNING, f"{places[address]} is on {found} in the guest, planned on {planned[address]}")
    if there and all(node == planned[address] for address, node in there.items()):
        nodes = ", ".join(str(node) for node in sorted({planned[address] for address in there}))
        yield Finding(Weight.OK, f"on the guest's NUMA node {nodes} as planned")
