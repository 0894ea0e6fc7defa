"""GPUs as people write them: `HOST/ADDRESS`, or `HOST` alone where it has one. `41:00.0` and `41:00` are short addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from cli.completing import complete_gpu_addresses
from cli.render.resources import at
from cli.session import Session
from provisioner.model.errors import InvalidInput, NotFound
from provisioner.model.suggestions import nearest

Gpu = Annotated[str, typer.Argument(metavar="HOST[/ADDRESS]", help="The GPU", autocompletion=complete_gpu_addresses)]
_ADDRESS = re.compile(r"(?:(?P<domain>[0-9a-f]{4,8}):)?(?P<bus>[0-9a-f]{2}):(?P<slot>[01][0-9a-f])(?:\.(?P<function>[0-7]))?")


@dataclass(frozen=True, slots=True, order=True)
class GpuName:
    """Which GPU."""

    host: str
    address: str

    def __str__(self) -> str:
        return f"{self.host}/{self.address}"


def gpu_named(session: Session, text: str) -> GpuName:
    """The GPU that is meant; one that is quarantined or retired counts, also while its host does not show it.

    Raises:
        NotFound: no such host, or no such GPU on it; the hint has the nearest.
        InvalidInput: it cannot be understood, or the host has several.
    """
    host_name, _, word = text.partition("/")
    host = session.raw_one("GPUHost", host_name)
    known = addresses_of(host)
    if word:
        return GpuName(host_name, _known(host, _address(text, word), known))
    if len(known) == 1:
        return GpuName(host_name, known[0])
    if not known:
        raise NotFound(f"host {host_name} has no GPU", hint=f"`hikube host show {host_name}` says what it has")
    raise InvalidInput(
        f"host {host_name} has {len(known)} GPUs: say which",
        hint=f"for example {host_name}/{known[0]}",
        context={"allowed": [f"{host_name}/{address}" for address in known]},
    )


def addresses_of(host: Mapping[str, Any]) -> list[str]:
    """Of every GPU that the host shows, and of those that are quarantined or retired whether it shows them or not."""
    shown = [gpu["function"]["address"] for gpu in at(host, "status.gpus", ())]
    quarantined = [entry["address"] for entry in at(host, "status.quarantined", ())]
    return sorted({*shown, *quarantined, *at(host, "spec.retired", ())})


def full_address(word: str) -> str:
    """`0000:41:00.0` for `41:00`; empty if it is no PCI address."""
    match = _ADDRESS.fullmatch(word.strip().lower())
    if match is None:
        return ""
    domain, function = int(match["domain"] or "0", 16), match["function"] or "0"
    return f"{domain:04x}:{match['bus']}:{match['slot']}.{function}"


def _address(text: str, word: str) -> str:
    address = full_address(word)
    if not address:
        raise InvalidInput(f"{text!r} names no GPU", hint="HOST/ADDRESS, such as gpu-04/0000:41:00.0 or gpu-04/41:00.0")
    return address


def _known(host: Mapping[str, Any], address: str, known: Sequence[str]) -> str:
    if address in known:
        return address
    name = at(host, "metadata.name")
    for gpu in at(host, "status.gpus", ()):
        if address in {companion["address"] for companion in gpu.get("companions", ())}:
            raise NotFound(
                f"{name}/{address} is no GPU", hint=f"it is a companion of {name}/{gpu['function']['address']}: name that one"
            )
    meant = nearest(address, known)
    hint = f"did you mean {name}/{meant}?" if meant else f"`hikube gpu list --host {name}` shows what it has"
    raise NotFound(f"host {name} has no GPU at {address}", hint=hint, context={"known": list(known)})
