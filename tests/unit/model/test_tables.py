from __future__ import annotations

import pytest

from provisioner.model.errors import InvalidDocuments
from provisioner.model.tables import Tables

OPERATORS = """
gpus:
  - {name: amd.com/MI300X, ids: ["1002:74a1"], shortNames: [MI300X], displayName: AMD Instinct MI300X, memoryGib: 192}
instanceTypes:
  - {name: g1.huge, vcpus: 96, memory: 1Ti}
  - {name: u1.medium, vcpus: 2, memory: 4Gi}
images:
  - {name: house, url: "file:///srv/house.qcow2", minStorage: 8Gi}
instanceProfiles:
  - {name: house, image: house}
"""


def test_builtin_tables_hold_what_the_documents_name():
    tables = Tables.builtin()
    assert len(tables.instance_types) == 20
    assert (tables.instance_types["u1.2xlarge"].vcpus, tables.instance_types["u1.2xlarge"].memory_mib) == (8, 32768)
    assert (tables.instance_types["s1.3large"].vcpus, tables.instance_types["m1.8xlarge"].memory_mib) == (12, 262144)
    assert {"ubuntu", "ubuntu-2404", "debian-13", "rocky-9", "almalinux-10"} <= set(tables.images)
    assert tables.images["rocky-9"].spec.min_storage == "11Gi"
    assert {"ubuntu", "windows.2k25.virtio"} <= set(tables.profiles)
    assert Tables.builtin() is tables


def test_every_image_has_a_url_and_every_profile_an_image_that_exists():
    tables = Tables.builtin()
    assert all(image.spec.url.startswith("https://") for image in tables.images.values())
    assert all(not profile.image or profile.image in tables.images for profile in tables.profiles.values())


def test_operator_adds_entries_and_replaces_those_of_the_same_name():
    tables = Tables.builtin().extended(OPERATORS, source="ours.yaml")
    mi300x = tables.gpus.resolve("mi300x")
    assert mi300x and mi300x.name == "amd.com/MI300X" and not mi300x.is_nvidia and mi300x.bar1_mib == 256 * 1024
    assert tables.instance_types["u1.medium"].vcpus == 2 and tables.instance_types["u1.large"].vcpus == 2
    assert tables.images["house"].spec.url == "file:///srv/house.qcow2"
    assert tables.profiles["house"].image == "house"
    assert "g1.huge" not in Tables.builtin().instance_types


def test_operators_mistakes_are_told_all_at_once_with_their_lines():
    text = """
gpus:
  - {name: L40S, ids: ["26b9"]}
  - {name: a.com/B, ids: ["10de:26b9"], shortNames: [l4]}
instanceTypes:
  - {name: x1, vcpus: lots}
imges: []
"""
    with pytest.raises(InvalidDocuments) as caught:
        Tables.builtin().extended(text, source="ours.yaml")
    found = [(mistake["line"], mistake["message"]) for mistake in caught.value.context["mistakes"]]
    assert [line for line, _ in found] == [3, 3, 4, 4, 6, 6, 7]
    assert any("already means nvidia.com/AD102GL_L40S" in message for _, message in found)
    assert any("already means nvidia.com/AD104GL_L4" in message for _, message in found)
