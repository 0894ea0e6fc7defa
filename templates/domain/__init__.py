"""A DomainPlan as libvirt's domain XML. Nothing is decided here: what the plan does not say, the XML does not say either.

The mark `<hikube:vm uid=… name=…/>` in the metadata is what tells our domains from those of others, so it is always there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from provisioner.model.errors import InvalidInput, NotFound
from provisioner.planning.plans import DomainDisk, DomainPlan
from templates.environment import render

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_PCI_ADDRESS = re.compile(r"(?P<domain>[0-9a-f]{4}):(?P<bus>[0-9a-f]{2}):(?P<slot>[0-9a-f]{2})\.(?P<function>[0-7])", re.ASCII)


def render_domain(plan: DomainPlan, *, pool_paths: Mapping[str, str], console_log_path: str, record: str = "") -> str:
    """The domain's XML. `pool_paths` says where each storage pool keeps its volumes on the host.

    `record` is kept beside the mark; whoever may list the host's domains can read it, so it holds no secret.

    Raises:
        NotFound: a disk's pool has no path.
        InvalidInput: a name holds a character that XML cannot hold, or an address is none.
    """
    text = render(
        "domain/domain.xml.j2",
        plan=plan,
        paths={disk.target: _path(disk, pool_paths) for disk in plan.disks},
        sources={function.alias: _source(function.host_address) for function in plan.functions},
        console_log_path=console_log_path,
        owner_uid=plan.owner_uid,
        owner=plan.owner,
        record=record,
    )
    if found := _NOT_IN_XML.search(text):
        raise InvalidInput(f"The domain of {plan.owner!r} cannot be written", why=f"it holds the character {found.group()!r}")
    return text


def _path(disk: DomainDisk, pool_paths: Mapping[str, str]) -> str:
    if not pool_paths.get(disk.pool):
        raise NotFound(f"Storage pool {disk.pool} has no path on the host", why=f"the volume {disk.volume} would be there")
    return f"{pool_paths[disk.pool].rstrip('/')}/{disk.volume}"


def _source(address: str) -> dict[str, str]:
    """The four numbers of a PCI address, as libvirt writes them."""
    matched = _PCI_ADDRESS.fullmatch(address)
    if matched is None:
        raise InvalidInput(f"{address!r} is no PCI address such as 0000:41:00.0")
    return {name: f"0x{digits}" for name, digits in matched.groupdict().items()}
