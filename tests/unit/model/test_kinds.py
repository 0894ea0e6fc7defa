"""Kinds by their words, and resources from what was stored."""

from __future__ import annotations

import subprocess
import sys

import pytest

from provisioner.model import gpu_host
from provisioner.model.errors import InvalidInput
from provisioner.model.gpu_claim import ClaimOwner, GPUClaim, GPUClaimSpec
from provisioner.model.kinds import KINDS, WORDS, find_kind, find_words, load
from provisioner.model.metadata import Condition, Metadata
from provisioner.model.secret import Secret, SecretSpec
from provisioner.model.virtual_machine import VirtualMachine, VMInstance
from tests.unit.model.reading import one, vm


@pytest.mark.parametrize("kind", WORDS)
def test_words_are_those_of_the_class(kind: str):
    words, found = WORDS[kind], KINDS[kind]
    assert (
        words.kind, words.plural, words.short_names, words.api_version, words.is_namespaced,
    ) == (found.KIND, found.PLURAL, found.SHORT_NAMES, found.API_VERSION, found.NAMESPACED)  # fmt: skip


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("vm", VirtualMachine),
        ("VirtualMachines", VirtualMachine),
        ("vmi", VMInstance),
        ("GPUHost", gpu_host.GPUHost),
        ("hosts", gpu_host.GPUHost),
    ],
)
def test_a_kind_is_found_by_any_of_its_words(word: str, kind: type):
    assert find_kind(word) is kind


def test_no_two_kinds_share_a_word():
    words = [word for entry in WORDS.values() for word in (entry.singular, entry.plural, *entry.short_names)]
    assert len(set(words)) == len(words)


def test_an_unknown_word_is_met_with_the_nearest_one():
    with pytest.raises(InvalidInput) as caught:
        find_words("virtualmachin")
    assert caught.value.hint == "did you mean virtualmachine?"


@pytest.mark.parametrize(
    "resource",
    [
        one(vm("  gpus: [{name: l40s}]\n  resources: {memory: 8Gi}")).with_status(
            conditions=(Condition(type="Ready", status="False", reason="Booting", last_transition_time="2026-11-21T13:00:00Z"),)
        ),
        GPUClaim(
            metadata=Metadata(name="a.0000-41-00.0", finalizers=("x",)),
            spec=GPUClaimSpec(
                host="a",
                address="0000:41:00.0",
                gpu_name="x",
                owner=ClaimOwner(kind="VirtualMachine", namespace="n", name="v", uid="u"),
            ),
        ),
        Secret(metadata=Metadata(name="v-access", namespace="n"), spec=SecretSpec(data={"key": "value"})),
    ],
    ids=lambda resource: resource.kind,
)
def test_what_was_stored_loads_as_it_was(resource: VirtualMachine):
    assert load(resource.as_json()) == resource
    assert type(load(resource.as_json())) is type(resource)


@pytest.mark.parametrize(
    "data", [{}, {"kind": "Pod"}, {"kind": "VirtualMachine"}, {"kind": "VMDisk", "metadata": {"name": "x"}, "spec": {"new": 1}}]
)
def test_what_does_not_fit_is_an_error_of_ours(data: dict[str, object]):
    with pytest.raises(InvalidInput):
        load(data)


def test_words_cost_no_resource_class():
    program = "import sys, provisioner.model.kinds as k; k.find_words('vm'); assert 'pydantic' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
