"""The one table of everything that the doctor can say. A code is never given another meaning, nor used again.

docs/findings/ has a page for each code; a test holds the two together in both directions.
"""

from __future__ import annotations

from provisioner.model.examination import Finding
from provisioner.planning.doctor.checks import HOST, Check, Found, GpuCase, HostCase
from provisioner.planning.doctor.gpu_table import GPU_CHECKS
from provisioner.planning.doctor.host_table import HOST_CHECKS

AnyCheck = Check[HostCase] | Check[GpuCase]

_ALL: tuple[AnyCheck, ...] = (*HOST_CHECKS, *GPU_CHECKS)
CHECKS: dict[str, AnyCheck] = {check.code: check for check in _ALL}
assert len(CHECKS) == len(_ALL), "codes are unique"


def host_finding(code: str, message: str) -> Finding:
    """A finding about the host that only whoever tried to look can make: the examination failed, or nobody answered."""
    return CHECKS[code].finding(Found(message), subject=HOST)


def page_of(code: str) -> str:
    """The path of the page that explains the code."""
    return f"docs/findings/{code}.md"
