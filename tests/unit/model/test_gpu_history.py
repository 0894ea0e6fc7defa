"""The history of a card: its name, its entries, and claims of versions that knew nothing of it."""

from __future__ import annotations

from provisioner.model.examination import FunctionExamination, GpuIdentity
from provisioner.model.gpu_claim import ClaimOwner, GPUClaim
from provisioner.model.gpu_history import ENTRIES_KEPT, GPUHistory, GPUHistoryEntry, GPUHistorySpec, history_name
from provisioner.model.kinds import load
from provisioner.model.metadata import Metadata

IDENTITY = GpuIdentity(vendor="10de", device="26b9", subsystem_vendor="10de", subsystem_device="1851", revision="a1")
OWNER = ClaimOwner(kind="VirtualMachine", namespace="default", name="first", uid="u")


def _entry(number: int, *, host: str = "a") -> GPUHistoryEntry:
    return GPUHistoryEntry(claim_uid=f"claim-{number}", owner=OWNER, host=host, address="0000:41:00.0")


def _history() -> GPUHistory:
    return GPUHistory(metadata=Metadata(name="card"), spec=GPUHistorySpec(identity=IDENTITY))


def test_a_card_with_a_serial_number_has_one_history_wherever_it_is() -> None:
    card = IDENTITY.model_copy(update={"serial": "00-11"})
    names = {history_name(card, host=host, address="0000:41:00.0") for host in ("a", "b")}
    assert names == {"10de-26b9-10de-1851-a1.00-11"}


def test_cards_without_one_are_told_apart_by_their_place() -> None:
    assert history_name(IDENTITY, host="a", address="0000:41:00.0") == "10de-26b9-10de-1851-a1.a.0000-41-00.0"


def test_an_entry_is_written_once_and_the_oldest_are_dropped() -> None:
    history = _history()
    for number in range(ENTRIES_KEPT + 3):
        history = history.with_entry(_entry(number))
    assert history.with_entry(_entry(ENTRIES_KEPT)) is history
    assert (len(history.status.entries), history.status.entries[0].claim_uid) == (ENTRIES_KEPT, "claim-3")


def test_a_history_says_where_the_card_was_last() -> None:
    history = _history().with_entry(_entry(1)).with_entry(_entry(2, host="b"))
    assert (history.status.host, history.status.address) == ("b", "0000:41:00.0")
    assert load(history.as_json()) == history


def test_identities_agree_where_both_sides_know_something() -> None:
    card = FunctionExamination(address="0000:41:00.0", vendor="10de", device="26b9", revision="a1", serial="00-11").identity
    assert card.agrees_with(IDENTITY) and IDENTITY.agrees_with(card)
    assert not card.agrees_with(card.model_copy(update={"serial": "00-12"}))
    assert not IDENTITY.agrees_with(card.model_copy(update={"revision": "a2"}))


OLD_CLAIM = {
    "apiVersion": "hikube.cloud/v1alpha1",
    "kind": "GPUClaim",
    "metadata": {"name": "a.0000-41-00.0"},
    "spec": {
        "host": "a",
        "address": "0000:41:00.0",
        "gpuName": "nvidia.com/AD102GL_L40S",
        "owner": {"kind": "VirtualMachine", "namespace": "default", "name": "first", "uid": "u"},
    },
    "status": {
        "functions": [{"address": "0000:41:00.0", "vendor": "10de", "device": "26b9", "previousDriver": "nvidia"}],
        "bound": True,
    },
}


def test_a_claim_of_an_older_version_loads_and_counts_as_given_to_a_guest() -> None:
    claim = load(OLD_CLAIM)
    assert isinstance(claim, GPUClaim)
    assert claim.was_given and not claim.is_released
    assert claim.status.functions[0].previous_override == ""
