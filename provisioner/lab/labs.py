"""Labs by name: create, load, list, delete.

    <data>/labs/<name>/lab.json      the topology, the images it was created from, the accelerator
    <data>/labs/<name>/<host>/       see host

A lab keeps the images it was created with: after a change of the recipes it goes on with its own until it is deleted.
Invariants: creating twice is creating once; deleting leaves no process, no file and no socket; a lab that cannot get ready
stays, for its logs, until it is deleted or created again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.lab import paths
from provisioner.lab.accelerator import probe_kvm
from provisioner.lab.host import HostInABox
from provisioner.lab.images import ensure_images
from provisioner.lab.process import failure
from provisioner.lab.progress import Progress, silent, step
from provisioner.lab.timing import record_boot
from provisioner.lab.topology import LabTopology
from provisioner.model.errors import AlreadyExists, InvalidInput, LabError, NotFound

TOPOLOGY_FILE = "lab.json"


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that exists, running or not."""

    topology: LabTopology
    folder: Path

    @property
    def name(self) -> str:
        """Its name."""
        return self.topology.name

    @property
    def hosts(self) -> tuple[HostInABox, ...]:
        """Its hosts, in the order of the topology."""
        return tuple(HostInABox(host, self.folder / host.name) for host in self.topology.hosts)

    def host(self, name: str | None = None) -> HostInABox:
        """One host; without a name, the only one.

        Raises:
            NotFound: there is no such host.
            InvalidInput: there are several, and no name.
        """
        names = [host.name for host in self.topology.hosts]
        if name is None and len(names) > 1:
            raise InvalidInput(f"lab {self.name!r} has several hosts", hint=f"name one of {', '.join(names)}")
        wanted = name or names[0]
        for host in self.hosts:
            if host.name == wanted:
                return host
        raise NotFound(f"lab {self.name!r} has no host {wanted!r}", hint=f"it has {', '.join(names)}")

    def is_running(self) -> bool:
        """Whether every host's QEMU process exists."""
        return all(host.is_running() for host in self.hosts)


def create(topology: LabTopology, progress: Progress = silent) -> Lab:
    """Build what is missing, start what does not run, and wait until every host is of use.

    Safe to repeat: a lab that runs is left alone, a dead one is started again with the disks it had.

    Raises:
        AlreadyExists: a lab of that name has another topology.
        LabError: images cannot be built, or a host does not get ready.
    """
    lab = Lab(topology, paths.lab_dir(topology.name))
    if (known := _read_topology(lab.folder)) is not None and known != topology:
        raise AlreadyExists(
            f"lab {topology.name!r} exists with another topology",
            hint=f"`hikube lab delete {topology.name}` first, or take another name",
        )
    images = ensure_images(progress)
    verdict = probe_kvm(images)
    progress(verdict.finding)
    lab.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (lab.folder / TOPOLOGY_FILE).write_text(json.dumps(topology.to_data(), indent=2))
    accelerator = "kvm" if verdict.usable else "tcg"
    started = [host for host in lab.hosts if not host.is_running()]
    for host in started:
        host.start(images, verdict)
    for host in lab.hosts:
        with step(progress, f"host {host.name} is up" if host in started else f"host {host.name} runs already"):
            boot_s = host.wait_until_ready(accelerator=accelerator)
        if started == [host]:
            record_boot(boot_s, accelerator=accelerator)
    return lab


def load(name: str) -> Lab:
    """The lab of that name.

    Raises:
        NotFound: there is none.
    """
    folder = paths.lab_dir(name)
    topology = _read_topology(folder)
    if topology is None:
        known = ", ".join(lab.name for lab in list_labs()) or "none"
        raise NotFound(f"there is no lab {name!r}", hint=f"labs: {known}; `hikube lab create` makes one")
    return Lab(topology, folder)


def list_labs() -> list[Lab]:
    """All labs of this user, by name."""
    folder = paths.labs_dir()
    found = [(_read_topology(each), each) for each in sorted(folder.iterdir())] if folder.is_dir() else []
    return [Lab(topology, each) for topology, each in found if topology is not None]


def delete(name: str) -> bool:
    """End a lab's machines and remove all that belongs to it; False if there was no such lab. Safe to repeat."""
    folder = paths.lab_dir(name)
    if not folder.is_dir():
        return False
    topology = _read_topology(folder)
    if topology is None:
        raise failure(f"{folder} is no lab", logs=())
    for host in Lab(topology, folder).hosts:
        host.remove()
    shutil.rmtree(folder)
    return True


def ssh_command(name: str, host: str | None = None, command: Sequence[str] = ()) -> list[str]:
    """How to log in to a lab's host, or to run a command there.

    Raises:
        NotFound: no such lab or host.
        LabError: the host does not run.
    """
    box = load(name).host(host)
    if not box.is_running():
        raise LabError(f"host {box.name} of lab {name!r} does not run", hint="`hikube lab create` with the same options")
    return box.ssh_argv(*command)


def _read_topology(folder: Path) -> LabTopology | None:
    try:
        return LabTopology.from_data(json.loads((folder / TOPOLOGY_FILE).read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise LabError(f"{folder / TOPOLOGY_FILE} cannot be read", why=str(error)) from error
