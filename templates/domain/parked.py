"""The domain of a stopped VM: nothing but its name, its mark and its record.

A VM that is stopped has no devices on the host and must need none, so its full definition is gone. What is left of it in
libvirt is this: a domain that bears the record from which a lost store is rebuilt. Started by hand it would run nothing.
"""

from __future__ import annotations

from templates.environment import render


def render_parked(
    name: str, *, uuid: str, owner_uid: str, owner: str, record: str, domain_type: str = "kvm", machine: str = "q35"
) -> str:
    """The XML; `record` is text without secrets, as `render_domain` takes it."""
    return render(
        "domain/parked.xml.j2",
        domain=name,
        uuid=uuid,
        owner_uid=owner_uid,
        owner=owner,
        record=record,
        domain_type=domain_type,
        machine=machine,
    )
