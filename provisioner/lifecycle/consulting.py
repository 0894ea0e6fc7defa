"""The doctor on request: a fresh survey and a fresh look from inside, judged, with nothing stored and nothing changed.

What only the store knows counts too: claims, quarantine, the identity that was recorded for each address, the proof of KVM. A
host that does not answer, or cannot be looked into, is no error of the consultation but what it says.
"""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.drivers.hypervisor import Hypervisor
from provisioner.lifecycle.examining import EXAMINE_TIMEOUT_S, addresses_of, diagnosis_of, with_examination
from provisioner.lifecycle.ports import Ports
from provisioner.lifecycle.surveying import survey_host
from provisioner.model.errors import (
    HikubeError,
    HostTimeout,
    HostUnreachable,
    HypervisorError,
    InvalidInput,
    NotAllowed,
    Unsupported,
)
from provisioner.model.examination import HostExamination
from provisioner.model.gpu_host import GPUHost
from provisioner.planning.doctor.diagnosis import Diagnosis, unanswered
from provisioner.planning.doctor.host_table import FAILED, INSIDE
from provisioner.planning.doctor.table import host_finding


@dataclass(frozen=True, slots=True)
class Consultation:
    """What the doctor saw and says of one host."""

    host: GPUHost
    """With what was seen just now in its status; as it was stored if it does not answer."""
    examination: HostExamination
    diagnosis: Diagnosis


def consult(host: GPUHost, ports: Ports) -> Consultation:
    """Look at the host and judge it. Takes up to a minute on a host that hangs. Raises: StoreUnavailable."""
    try:
        found = survey_host(host, ports)
        if host.spec.is_cluster:
            why = "its nodes are the KubeVirt cluster's own, and are not looked into"
            return Consultation(found, HostExamination(why_not=why), Diagnosis())
        seen = _examine(found, ports.connector.connect(host.spec.uri), ports)
    except (HostUnreachable, NotAllowed, HypervisorError, InvalidInput, Unsupported) as error:
        return Consultation(host, HostExamination(why_not=str(error)), unanswered(str(error)))
    failure = "" if isinstance(seen, HostExamination) else seen
    examination = seen if isinstance(seen, HostExamination) else HostExamination(why_not=seen)
    found = with_examination(found, examination)
    diagnosis = diagnosis_of(found, examination, ports)
    if failure:
        diagnosis = diagnosis.with_finding(host_finding(FAILED, failure), instead_of=INSIDE)
    return Consultation(found, examination, diagnosis)


def _examine(host: GPUHost, hypervisor: Hypervisor, ports: Ports) -> HostExamination | str:
    """The look from inside, or in words why it failed. Raises HostUnreachable: the host has gone meanwhile."""
    try:
        return hypervisor.inventory.examine(addresses_of(host), timeout_s=EXAMINE_TIMEOUT_S * ports.time_scale)
    except HostTimeout as error:
        return str(error)
    except HostUnreachable:
        raise
    except HikubeError as error:
        return str(error)
