"""What answers on SSH in the machines of simulated KubeVirt clusters: a guest that read the seed of its very instance.

It answers at the instance's address, with the host key that the first seed of its disk set, to the key that this instance's
seed names, until it is handed over. What it reports is the GPUs that its kubelet gave it, and when.
"""

from __future__ import annotations

import email
import re

from provisioner.drivers.guest.protocol import GuestDoor
from provisioner.drivers.simulated.guests import public_key_of, unreachable
from provisioner.drivers.simulated.machine_cluster import RunningGuest, SimulatedCluster
from provisioner.drivers.simulated.machine_cluster_driver import SimulatedClusters
from provisioner.drivers.simulated.seed import bare_key
from provisioner.model.guest_report import CloudInitState, GuestFunction, GuestReport, NvidiaGpu, NvidiaState
from templates.guest import pinned_host_key

_RESTRICTED_KEY = re.compile(r'restrict,command="[^"]*" (ssh-ed25519 [A-Za-z0-9+/=]+)')
_FIRST_BUS = 9
"""Where firmware puts the first GPU; the buses before it have the machine's own devices."""


class SimulatedClusterGuests:
    """See drivers.guest.protocol.Guests."""

    def __init__(self, clusters: SimulatedClusters) -> None:
        self._clusters = clusters
        self._host_keys: dict[tuple[str, str, str], str] = {}
        """What is on the disk of each machine, by cluster and name: cloud-init sets it once."""
        self._handed_over: set[str] = set()
        """Uids of instances whose guests have let go of our key."""

    def report(self, door: GuestDoor, *, timeout_s: float) -> GuestReport:
        """See the protocol."""
        cluster, guest = self._answering(door, timeout_s=timeout_s)
        if guest.instance_uid in self._handed_over or public_key_of(door) not in _controller_keys(guest.user_data):
            raise unreachable(door, "authentication was refused: the guest does not know our key")
        if guest.behaviour.report_is_garbage:
            raise unreachable(door, "the report is no valid JSON object")
        return _report(cluster, guest)

    def hand_over(self, door: GuestDoor, *, timeout_s: float) -> None:
        """See the protocol."""
        _, guest = self._answering(door, timeout_s=timeout_s)
        if guest.instance_uid not in self._handed_over and public_key_of(door) not in _controller_keys(guest.user_data):
            raise unreachable(door, "authentication was refused: the guest does not know our key")
        self._handed_over.add(guest.instance_uid)

    def _answering(self, door: GuestDoor, *, timeout_s: float) -> tuple[SimulatedCluster, RunningGuest]:
        cluster = self._clusters.at(door.host_uri)
        with cluster.call("guests.ask", subject=door.address, limit_s=timeout_s):
            guest = cluster.running_at(door.address)
        if guest is None:
            raise unreachable(door, "no route to host")
        if guest.ssh_s is None or cluster.now_s < guest.ssh_s or not guest.behaviour.answers_ssh:
            raise unreachable(door, "connection refused")
        place = (cluster.uri, guest.namespace, guest.name)
        sets = bare_key(pinned_host_key(guest.user_data, ""))
        own = self._host_keys[place] = sets or self._host_keys.get(place, "")
        if guest.behaviour.has_wrong_host_key or bare_key(door.host_public_key) != own:
            raise unreachable(door, "the host key differs from the pinned one")
        return cluster, guest


def _controller_keys(user_data: str) -> tuple[str, ...]:
    parts = [part.get_payload(decode=True) for part in email.message_from_string(user_data).walk()]
    texts = [part.decode(errors="replace") for part in parts if isinstance(part, bytes)]
    return tuple(key for text in texts for key in _RESTRICTED_KEY.findall(text))


def _report(cluster: SimulatedCluster, guest: RunningGuest) -> GuestReport:
    behaviour = guest.behaviour
    shown = guest.gpus[: len(guest.gpus) - behaviour.missing_gpus]
    places = [f"0000:{_FIRST_BUS + index:02x}:00.0" for index in range(len(shown))]
    cloud_init = _cloud_init(cluster, guest)
    is_installed = bool(behaviour.nvidia_driver) and cloud_init.status in {"done", "degraded"}
    rows = tuple(
        NvidiaGpu(
            uuid=gpu.uuid,
            name=gpu.product,
            address=place,
            serial=gpu.serial,
            driver_version=behaviour.nvidia_driver,
            memory_mib=gpu.memory_mib,
        )
        for place, gpu in zip(places, shown, strict=True)
    )
    nvidia = NvidiaState(driver_loaded=True, driver_version=behaviour.nvidia_driver, nvidia_smi=True, gpus=rows)
    return GuestReport(
        boot_id=cluster.world.chance.uuid("boot", guest.instance_uid),
        hostname=guest.name.partition(".")[0],
        kernel="6.12.0-simulated",
        uptime_s=cluster.now_s - guest.started_s,
        memory_mib=guest.memory_mib,
        cpus=guest.vcpus,
        cloud_init=cloud_init,
        functions=tuple(
            GuestFunction(
                address=place,
                vendor=gpu.vendor_device.lower().partition(":")[0],
                device=gpu.vendor_device.lower().partition(":")[2],
                pci_class="030200",
                driver="nvidia" if is_installed else "",
            )
            for place, gpu in zip(places, shown, strict=True)
        ),
        nvidia=nvidia if is_installed and rows else NvidiaState(),
    )


def _cloud_init(cluster: SimulatedCluster, guest: RunningGuest) -> CloudInitState:
    outcome = guest.behaviour.cloud_init
    if guest.cloud_init_s is None or cluster.now_s < guest.cloud_init_s or outcome == "hangs":
        return CloudInitState(status="running", output_tail="Cloud-init running 'modules:final'")
    return CloudInitState(status=outcome, output_tail="failed" if outcome == "error" else "")
