"""What the options of `gpu vm create` ask for, and the document that says the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.gpu_names import gpu_documents
from cli.image_names import check_image
from cli.options import labels
from cli.places import data_dir
from provisioner.model.errors import InvalidInput, NotFound
from provisioner.model.metadata import APPS

if TYPE_CHECKING:
    from cli.session import Session
    from cli.vm.keys import ChosenKeys
    from cli.vm.mistakes import Mistakes

DEFAULT_IMAGE = "ubuntu"
DEFAULT_INSTANCE_TYPE = "u1.xlarge"
"""4 vCPUs and 16 GiB: enough for a driver installation and a first job."""
DEFAULT_DISK_SIZE = "20Gi"
STAND_IN_NAME = "unnamed"
"""For a VM without a name, so that the door looks at the rest."""
CLOUD_INIT_BYTES_MAX = 512 << 10


@dataclass(frozen=True, slots=True)
class Wishes:
    """Options as they were typed; empty means not given."""

    name: str
    namespace: str
    gpus: tuple[str, ...] = ()
    image: str = ""
    instance_type: str = ""
    cpu: str = ""
    memory: str = ""
    disk_size: str = ""
    ssh_key_files: tuple[str, ...] = ()
    cloud_init_file: str = ""
    host_selector: tuple[str, ...] = ()
    external_ports: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        namespace: str,
        *,
        gpus: tuple[str, ...],
        image: str,
        size: tuple[str, str, str, str],
        cloud_init_file: str,
        lists: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]],
    ) -> Wishes:
        """From options in their groups: (type, vCPUs, memory, disk) and (key files, host selector, ports, labels)."""
        return cls(name, namespace, gpus, image, *size, lists[0], cloud_init_file, *lists[1:])

    @property
    def say_nothing(self) -> bool:
        """Whether nothing about the VM was given, so that a person must be asked."""
        what = (self.gpus, self.image, self.instance_type, self.cpu, self.memory, self.disk_size, self.cloud_init_file)
        return not any(what)


def document_of(session: Session, wishes: Wishes, keys: ChosenKeys, *, mistakes: Mistakes) -> dict[str, Any]:
    """The VirtualMachine document. The door checks it; only what is no field of it is checked here.

    What cannot be understood is noted in `mistakes` and left out, so that the door can go on to look for more.
    """
    spec: dict[str, Any] = {
        "systemDisk": {"image": wishes.image or DEFAULT_IMAGE, "storage": wishes.disk_size or DEFAULT_DISK_SIZE},
        "sshKeys": list(keys.lines),
    }
    metadata: dict[str, Any] = {"name": wishes.name or STAND_IN_NAME, "namespace": wishes.namespace}
    with mistakes.collected():
        _check_name(wishes.name)
    with mistakes.collected():
        spec["gpus"] = gpu_documents(session.tables, wishes.gpus)
    with mistakes.collected():
        check_image(session, spec["systemDisk"]["image"])
    with mistakes.collected():
        spec |= _size(wishes)
    with mistakes.collected():
        spec |= {"cloudInit": _cloud_init(wishes.cloud_init_file)} if wishes.cloud_init_file else {}
    with mistakes.collected():
        spec |= {"hostSelector": labels(wishes.host_selector, option="--host-selector")} if wishes.host_selector else {}
    with mistakes.collected():
        ports = [_port(text) for text in wishes.external_ports]
        spec |= {"external": True, "externalPorts": ports} if ports else {}
    with mistakes.collected():
        metadata["labels"] = labels(wishes.labels, option="--label")
    return {"apiVersion": APPS, "kind": "VirtualMachine", "metadata": metadata, "spec": spec}


def chosen_keys(wishes: Wishes) -> ChosenKeys:
    """The keys that were named, or the user's own.

    Raises:
        InvalidInput, NotFound: a file cannot be read, or holds no public keys.
    """
    from cli.vm.keys import default_keys, keys_from

    if wishes.ssh_key_files:
        return keys_from(list(wishes.ssh_key_files), home=Path.home())
    return default_keys(Path.home(), data_dir())


def _check_name(name: str) -> None:
    if not name:
        raise InvalidInput("the VM has no name", hint="hikube gpu vm create NAME --gpu MODEL[:COUNT]")


def _size(wishes: Wishes) -> dict[str, Any]:
    """Explicit numbers override the type; both of them make a type unnecessary."""
    resources: dict[str, Any] = {}
    if wishes.cpu:
        if not wishes.cpu.isdecimal():
            raise InvalidInput(f"--cpu {wishes.cpu!r} is no number of vCPUs")
        resources["cpu"] = int(wishes.cpu)
    if wishes.memory:
        resources["memory"] = wishes.memory
    says_all = len(resources) == 2 and not wishes.instance_type
    return {
        "instanceType": "" if says_all else wishes.instance_type or DEFAULT_INSTANCE_TYPE,
        **({"resources": resources} if resources else {}),
    }


def _cloud_init(name: str) -> str:
    path = Path(name).expanduser()
    try:
        with path.open("rb") as file:
            content = file.read(CLOUD_INIT_BYTES_MAX + 1)
        if len(content) > CLOUD_INIT_BYTES_MAX:
            raise InvalidInput(f"{path} is too large", why=f"user-data has at most {CLOUD_INIT_BYTES_MAX >> 10} KiB")
        return content.decode("utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"no file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read as text", why=str(error)) from error


def _port(text: str) -> int:
    if not text.isdecimal():
        raise InvalidInput(f"--external-port {text!r} is no port number")
    return int(text)
