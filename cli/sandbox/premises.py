"""Where the sandbox is: its files, and which of the stored hosts and images are its own.

    <data dir>/sandbox/<host>.json     the state of one simulated host; whoever opens its URI sees that host
    <data dir>/sandbox/images/         small files that stand for the built-in images, so that nothing is downloaded

A host is of the sandbox if its URI leads to a state file there; nothing else is written down about it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from cli.places import data_dir, has_store
from cli.session import Session, no_such
from provisioner.model.errors import NotFound

if TYPE_CHECKING:
    from provisioner.drivers.simulated.host import SimulatedHost

HOW_TO_BEGIN = "`hikube sandbox create` makes one"


def sandbox_dir() -> Path:
    """Its folder; it need not exist."""
    return data_dir().absolute() / "sandbox"


def state_file(name: str) -> Path:
    """Where the state of the host of that name is kept."""
    return sandbox_dir() / f"{name}.json"


def uri_of(name: str, *, preset: str) -> str:
    """The URI of its host of that name."""
    return f"simulated://{name}?preset={preset}&state={quote(state_file(name).as_posix())}"


def sandbox_hosts(session: Session) -> list[dict[str, Any]]:
    """The stored hosts that are of the sandbox, as plain JSON. Makes no store where there is none."""
    if not has_store():
        return []
    return [item for item in session.raw("GPUHost") if is_of_sandbox(item)]


def is_of_sandbox(host: dict[str, Any]) -> bool:
    """Whether this stored host is a simulated one of the sandbox."""
    parts = urlsplit(host["spec"]["uri"])
    state = parse_qs(parts.query).get("state", [""])[0]
    return parts.scheme == "simulated" and bool(state) and Path(state).parent == sandbox_dir()


def sandbox_images(session: Session) -> list[str]:
    """Names of the stored images that stand for built-in ones."""
    if not has_store():
        return []
    folder = sandbox_dir() / "images"
    return [item["metadata"]["name"] for item in session.raw("Image") if _file_of(item["spec"]["url"]).parent == folder]


def handles(session: Session) -> dict[str, SimulatedHost]:
    """A handle on every host of the sandbox, by its name.

    Raises:
        NotFound: there is no sandbox.
    """
    from provisioner.drivers.simulated.sandbox import file_fleet

    hosts = sandbox_hosts(session)
    if not hosts:
        raise NotFound("there is no sandbox", hint=HOW_TO_BEGIN)
    fleet = file_fleet()
    return {item["metadata"]["name"]: fleet.at(item["spec"]["uri"]) for item in hosts}


def handle(known: dict[str, SimulatedHost], name: str) -> SimulatedHost:
    """The handle of that name.

    Raises:
        NotFound: the sandbox has no such host; the hint has the nearest.
    """
    if name not in known:
        raise no_such("host of the sandbox", name, namespace="", known=known)
    return known[name]


def _file_of(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))
