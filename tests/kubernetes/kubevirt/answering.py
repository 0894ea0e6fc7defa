"""Guests of the stand-in that answer hikube: each read the seed of its instance, and reports the GPUs that its machine has.

The seed is read when the instance is first asked, as a guest reads it at boot; what is put into the Secret later is for later.
"""

from __future__ import annotations

import base64
import email
import re
import threading
from dataclasses import dataclass, field
from uuid import NAMESPACE_OID, uuid5

from provisioner.drivers.guest.protocol import GuestDoor
from provisioner.drivers.simulated.guests import public_key_of, unreachable
from provisioner.drivers.simulated.seed import bare_key
from provisioner.model.guest_report import CloudInitState, GuestFunction, GuestReport, NvidiaGpu, NvidiaState
from templates.guest import pinned_host_key
from tests.kubernetes.kubevirt.cluster import KubeVirtCluster
from tests.kubernetes.kubevirt.fields import Document, at, items
from tests.kubernetes.kubevirt.resources import INSTANCES

_RESTRICTED_KEY = re.compile(r'restrict,command="[^"]*" (ssh-ed25519 [A-Za-z0-9+/=]+)')


@dataclass
class AnsweringGuests:
    """See drivers.guest.protocol.Guests."""

    kubevirt: KubeVirtCluster
    devices: dict[str, tuple[str, str]]
    """PCI ids and nvidia-smi's name by the cluster's resource name."""
    seeds: dict[str, str] = field(default_factory=dict)
    """User-data by the uid of the instance that read it."""
    handed_over: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def report(self, door: GuestDoor, *, timeout_s: float) -> GuestReport:
        """See the protocol."""
        instance = self._answering(door)
        uid = instance["metadata"]["uid"]
        if uid in self.handed_over or public_key_of(door) not in _controller_keys(self.seeds[uid]):
            raise unreachable(door, "authentication was refused")
        gpus = [self.devices[gpu["deviceName"]] for gpu in items(instance, "spec", "domain", "devices", "gpus")]
        places = [f"0000:{9 + number:02x}:00.0" for number in range(len(gpus))]
        rows = tuple(
            NvidiaGpu(uuid=f"GPU-{uuid5(NAMESPACE_OID, uid + place)}", name=name, address=place, serial=f"13{number}")
            for number, (place, (_, name)) in enumerate(zip(places, gpus, strict=True))
        )
        functions = tuple(
            GuestFunction(address=place, vendor=ids[:4], device=ids[5:], pci_class="030200", driver="nvidia")
            for place, (ids, _) in zip(places, gpus, strict=True)
        )
        nvidia = NvidiaState(driver_loaded=True, driver_version="580.95.05", nvidia_smi=True, gpus=rows)
        boot_id = str(uuid5(NAMESPACE_OID, uid))
        return GuestReport(boot_id=boot_id, cloud_init=CloudInitState(status="done"), functions=functions, nvidia=nvidia)

    def hand_over(self, door: GuestDoor, *, timeout_s: float) -> None:
        """See the protocol."""
        self.handed_over.add(self._answering(door)["metadata"]["uid"])

    def _answering(self, door: GuestDoor) -> Document:
        with self._lock:
            instances: list[Document] = items(self.kubevirt.client.list(INSTANCES), "items")
            for instance in instances:
                addresses = [each.get("ipAddress") for each in items(instance, "status", "interfaces")]
                if at(instance, "status", "phase", default="") == "Running" and door.address in addresses:
                    seed = self.seeds.setdefault(instance["metadata"]["uid"], self._seed(instance))
                    if bare_key(door.host_public_key) != bare_key(pinned_host_key(seed, "")):
                        raise unreachable(door, "the host key differs from the pinned one")
                    return instance
        raise unreachable(door, "no route to host")

    def _seed(self, instance: Document) -> str:
        """As a launcher mounts it."""
        namespace = instance["metadata"]["namespace"]
        for volume in items(instance, "spec", "volumes"):
            name = at(volume, "cloudInitNoCloud", "secretRef", "name", default="")
            if name:
                secret = self.kubevirt.client.request("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}", None)
                return base64.b64decode(secret["data"]["userdata"]).decode()
        raise AssertionError("the instance has no seed")


def _controller_keys(user_data: str) -> list[str]:
    parts = [part.get_payload(decode=True) for part in email.message_from_string(user_data).walk()]
    return [key for part in parts if isinstance(part, bytes) for key in _RESTRICTED_KEY.findall(part.decode(errors="replace"))]
