"""One history out of what several watches and our own writes tell, in whatever order it comes."""

from __future__ import annotations

import pytest

from provisioner.model.errors import Conflict
from provisioner.model.metadata import Metadata
from provisioner.model.secret import Secret, SecretSpec
from provisioner.model.virtual_machine import VirtualMachine, VirtualMachineSpec
from provisioner.store.kubernetes.journal import Journal
from provisioner.store.protocol import ChangeType

ADDED, MODIFIED, DELETED = ChangeType.ADDED, ChangeType.MODIFIED, ChangeType.DELETED


def vm(version: int, *, name: str = "a", uid: str = "1") -> VirtualMachine:
    metadata = Metadata(name=name, namespace="default", uid=uid, resource_version=str(version))
    return VirtualMachine(metadata=metadata, spec=VirtualMachineSpec())


@pytest.fixture
def journal() -> Journal:
    return Journal(kept=5)


def told(journal: Journal, since: str = "0") -> list[tuple[str, str, str]]:
    changes = journal.changes_after(since, timeout_s=0)
    return [(str(each.type), each.resource.metadata.uid, each.resource.metadata.resource_version) for each in changes]


def test_positions_have_no_gaps(journal: Journal) -> None:
    for number in range(3):
        journal.tell(ADDED, vm(10 * number, name=f"vm-{number}", uid=str(number)))
    assert [each.version for each in journal.changes_after("0", timeout_s=0)] == ["1", "2", "3"]
    assert journal.position == "3"


def test_what_we_wrote_is_not_told_again_by_the_server(journal: Journal) -> None:
    journal.tell(ADDED, vm(5))
    journal.tell(MODIFIED, vm(7))
    for change in (vm(5), vm(6), vm(7)):
        journal.tell(MODIFIED, change)
    assert told(journal) == [("ADDED", "1", "5"), ("MODIFIED", "1", "7")]


def test_nothing_older_after_something_newer(journal: Journal) -> None:
    journal.tell(MODIFIED, vm(100))
    journal.tell(ADDED, vm(99))
    assert told(journal) == [("MODIFIED", "1", "100")]


def test_versions_are_compared_as_numbers(journal: Journal) -> None:
    journal.tell(ADDED, vm(9))
    journal.tell(MODIFIED, vm(10))
    assert told(journal)[-1] == ("MODIFIED", "1", "10")


def test_a_removed_object_is_told_once_and_never_comes_back(journal: Journal) -> None:
    journal.tell(ADDED, vm(5))
    journal.tell(DELETED, vm(5))
    journal.tell(MODIFIED, vm(6))
    journal.tell(DELETED, vm(8))
    assert told(journal) == [("ADDED", "1", "5"), ("DELETED", "1", "5")]


def test_an_object_of_the_same_name_ends_the_one_before(journal: Journal) -> None:
    journal.tell(ADDED, vm(5))
    journal.tell(ADDED, vm(9, uid="2"))
    journal.tell(DELETED, vm(8))
    assert told(journal) == [("ADDED", "1", "5"), ("DELETED", "1", "5"), ("ADDED", "2", "9")]


def test_late_news_of_an_object_that_another_has_replaced_are_dropped(journal: Journal) -> None:
    journal.tell(ADDED, vm(9, uid="2"))
    journal.tell(MODIFIED, vm(6, uid="1"))
    assert told(journal) == [("ADDED", "2", "9")]


def test_old_positions_cannot_be_gone_on_from(journal: Journal) -> None:
    for number in range(8):
        journal.tell(ADDED, vm(number + 1, name=f"vm-{number}", uid=str(number)))
    assert len(told(journal, "3")) == 5
    with pytest.raises(Conflict):
        journal.changes_after("2", timeout_s=0)
    with pytest.raises(Conflict):
        journal.changes_after("9", timeout_s=0)


def test_after_something_was_missed_everybody_lists_again(journal: Journal) -> None:
    journal.tell(ADDED, vm(5))
    since = journal.position
    journal.forget()
    with pytest.raises(Conflict):
        journal.changes_after(since, timeout_s=0)
    since = journal.position
    journal.tell(MODIFIED, vm(8))
    assert told(journal, since) == [("MODIFIED", "1", "8")]


def test_values_of_secrets_are_left_out(journal: Journal) -> None:
    metadata = Metadata(name="access", namespace="default", uid="1", resource_version="3")
    journal.tell(ADDED, Secret(metadata=metadata, spec=SecretSpec(data={"key": "private"})))
    (change,) = journal.changes_after("0", timeout_s=0)
    assert change.resource.spec.data == {"key": ""}
