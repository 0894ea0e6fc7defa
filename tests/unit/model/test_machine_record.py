"""The record of a VM as text: whole, the same for the same record, and refused where it is none."""

from __future__ import annotations

import json

import pytest

from provisioner.model.errors import InvalidInput, Unsupported
from provisioner.model.machine_record import (
    LONGEST,
    VERSION,
    MachineRecord,
    RecordedHost,
    RecordedObject,
    recorded,
    without_credentials,
)
from provisioner.model.metadata import Condition, Metadata
from provisioner.model.virtual_machine import Phase, VirtualMachine, VirtualMachineSpec, VirtualMachineStatus

MACHINE = VirtualMachine(
    metadata=Metadata(
        name="x",
        namespace="default",
        uid="uid-1",
        labels={"team": "vision"},
        annotations={"hikube.cloud/request": "start:1", "kubectl.kubernetes.io/last-applied-configuration": "secret"},
        creation_timestamp="2026-01-01T00:00:00Z",
    ),
    spec=VirtualMachineSpec(ssh_keys=("ssh-ed25519 AAAA ü",)),
    status=VirtualMachineStatus(
        phase=Phase.READY,
        first_ready="2026-01-01T00:01:00Z",
        last_failure="what a guest said",
        conditions=(Condition(type="Ready", status="True", reason="Done"),),
    ),
)
RECORD = MachineRecord(
    kind="VirtualMachine",
    namespace="default",
    machine=recorded(MACHINE),
    host=RecordedHost(name="a", spec={"storagePool": "fast"}),
    claims=(RecordedObject(name="a.gpu", spec={"host": "a"}),),
)


def test_it_survives_as_text() -> None:
    assert MachineRecord.from_text(RECORD.as_text()) == RECORD
    assert RECORD.as_text() == RECORD.as_text()
    assert RECORD.as_text().isascii()
    assert "\n" not in RECORD.as_text()
    assert json.loads(RECORD.as_text())["version"] == VERSION


def test_of_an_object_it_has_what_lasts() -> None:
    known = recorded(MACHINE)
    assert known.status == {
        "firstReady": "2026-01-01T00:01:00Z",
        **{
            name: value
            for name, value in VirtualMachineStatus().as_json().items()
            if name in known.status and name != "firstReady"
        },
    }
    assert not {"conditions", "phase", "lastFailure"} & known.status.keys()
    assert known.annotations == {"hikube.cloud/request": "start:1"}, "others may hold anything, such as the whole document"
    assert (known.uid, known.labels, known.created) == ("uid-1", {"team": "vision"}, "2026-01-01T00:00:00Z")


def test_whether_a_tenant_has_had_the_vm() -> None:
    assert RECORD.was_ready
    fresh = RECORD.machine.model_copy(update={"status": {}})
    assert not RECORD.model_copy(update={"machine": fresh}).was_ready


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "1", '"text"', '{"version": 1}', '{"version": 1, "kind": 3}', "x" * 10]
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        MachineRecord.from_text(text)


def test_what_is_too_long_is_not_even_parsed() -> None:
    with pytest.raises(InvalidInput, match="damaged"):
        MachineRecord.from_text(RECORD.as_text() + " " * LONGEST)


def test_one_of_a_newer_version_says_so_whatever_it_holds() -> None:
    with pytest.raises(Unsupported, match=f"version {VERSION + 1}"):
        MachineRecord.from_text(json.dumps({"version": VERSION + 1, "fieldOfTheFuture": True}))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.org/a.qcow2", "https://example.org/a.qcow2"),
        ("https://me:secret@example.org:8443/a.qcow2?X-Amz-Signature=1#x", "https://example.org:8443/a.qcow2"),
        ("https://token@example.org/a", "https://example.org/a"),
        ("file:///srv/a.qcow2", "file:///srv/a.qcow2"),
    ],
)
def test_a_url_lets_nobody_in(url: str, shown: str) -> None:
    assert without_credentials(url) == shown
