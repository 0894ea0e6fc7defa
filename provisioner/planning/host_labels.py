"""Labels on a GPUHost that change how planning treats it; the operator sets them, hikube only reads them.

They are hints about the machine, not wishes of a VM: `host_selector` may still name them like any other label. A value that
cannot be understood counts as not set, since a label is free text that no door checks.
"""

from __future__ import annotations

import re

from provisioner.model.gpu_host import GPUHost

NESTED_EMULATION = "hikube.cloud/nested-emulation"
"""`"true"`: the host is itself emulated (a GPU host in a box). Guests there are slow, and their resets are silent."""

VCPUS_PER_CPU = "hikube.cloud/vcpus-per-cpu"
"""How many vCPUs may share one CPU of this host: a number from 1 to 64, as in `"4"` or `"1.5"`."""

_RATIO = re.compile(r"[0-9]{1,2}(\.[0-9]{1,3})?", re.ASCII)


def is_nested_emulation(host: GPUHost) -> bool:
    """Whether the operator says that the host is itself emulated."""
    return host.metadata.labels.get(NESTED_EMULATION, "").strip().lower() == "true"


def vcpus_per_cpu(host: GPUHost) -> float | None:
    """The operator's ratio, or None."""
    text = host.metadata.labels.get(VCPUS_PER_CPU, "").strip()
    if not _RATIO.fullmatch(text):
        return None
    ratio = float(text)
    return ratio if 1 <= ratio <= 64 else None
