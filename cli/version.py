"""`hikube version`."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

from cli.options import NAMELESS, NamelessOutput, output_format
from cli.output import as_json, as_yaml, put

DISTRIBUTION = "hikube-provisioner"


def version(output: NamelessOutput = "table") -> None:
    """Print the versions of hikube and of what it stands on."""
    facts = {
        "hikube": version_of(DISTRIBUTION),
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "libvirt-python": version_of("libvirt-python"),
        "pydantic": version_of("pydantic"),
    }
    form = output_format(output, allowed=NAMELESS)
    if form == "table":
        put("".join(f"{name} {value}\n" for name, value in facts.items()))
    else:
        put(as_json(facts) if form == "json" else as_yaml(facts))


def version_of(distribution: str) -> str:
    """Of an installed package; says so if it is not."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
