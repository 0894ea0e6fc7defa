"""Names on a host: computable again, and never the same for two resources."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.model import domain_names
from provisioner.model.metadata import Key

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
KEYS = st.builds(Key, st.sampled_from(["VirtualMachine", "VMInstance"]), LABEL, LABEL)


def test_a_hyphen_in_a_namespace_does_not_let_one_vm_take_the_name_of_another():
    assert domain_names.domain_name(Key("VirtualMachine", "a-b", "c")) == "hikube-a-b.c"
    assert domain_names.domain_name(Key("VirtualMachine", "a", "b-c")) == "hikube-a.b-c"


def test_the_two_kinds_of_vm_may_share_a_name():
    assert domain_names.domain_name(Key("VMInstance", "default", "x")) == "hikube-default.x.vmi"


@given(KEYS, KEYS)
def test_two_resources_never_share_a_domain_name_or_uuid(one, other):
    if one != other:
        assert domain_names.domain_name(one) != domain_names.domain_name(other)
        assert domain_names.domain_uuid(one) != domain_names.domain_uuid(other)


@given(KEYS)
def test_every_derived_file_name_fits_a_file_system(key):
    name = domain_names.domain_name(key)
    assert len(domain_names.console_log_volume(name)) < 255
    assert len(domain_names.system_volume(name)) < 255


def test_another_cloud_init_seed_is_another_machine():
    key = Key("VirtualMachine", "default", "x")
    first = domain_names.domain_uuid(key)
    assert UUID(first).version == 4
    assert domain_names.domain_uuid(key) == first
    assert domain_names.domain_uuid(key, cloud_init_seed="2") != first


def test_mac_addresses_are_stable_local_and_differ_by_interface():
    first = domain_names.mac_address("uid-1")
    assert re.fullmatch(r"52:54:00(:[0-9a-f]{2}){3}", first)
    assert domain_names.mac_address("uid-1") == first
    assert domain_names.mac_address("uid-1", index=1) != first


def test_the_console_log_lies_beside_the_volumes():
    path = domain_names.console_log_path("/var/lib/libvirt/images/", "hikube-default.x")
    assert path == "/var/lib/libvirt/images/hikube-console-hikube-default.x.log"


def test_names_that_are_too_long_are_cut_and_stay_apart():
    first = domain_names.disk_volume("n" * 63, "a" * 120 + "x")
    second = domain_names.disk_volume("n" * 63, "a" * 120 + "y")
    assert first != second
    assert len(first) < 255


@pytest.mark.parametrize(
    ("volume", "has_data"),
    [
        ("hikube-disk-default.data.qcow2", True),
        ("hikube-disk-default.data.iso", True),
        ("hikube-default.train-system.qcow2", True),
        ("hikube-default.train-system-0123abcd.qcow2", True),
        ("hikube-default.train-seed.iso", False),
        ("hikube-base-0123456789abcdef0123456789abcdef.qcow2", False),
        ("hikube-console-hikube-default.train.log", False),
    ],
)
def test_volumes_with_somebodys_data_are_known_by_their_names(volume: str, has_data: bool):
    assert domain_names.holds_data(volume) == has_data
