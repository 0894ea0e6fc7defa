"""The door as its callers see it: what comes out, how mistakes are told, what a file may consist of."""

from __future__ import annotations

import pytest

from provisioner.model.documents import decode, parse, parse_documents
from provisioner.model.errors import InvalidDocuments
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import RunStrategy, VirtualMachine
from tests.unit.model.reading import complaints, document, mistakes, one, read, vm

TABLES = Tables.builtin()


def test_a_mistake_says_where_it_is_what_is_allowed_and_what_was_meant():
    (found,) = mistakes(vm("  runStrategy: always"))
    assert found == {
        "file": "file.yaml",
        "line": 5,
        "column": 16,
        "document": 1,
        "path": "spec.runStrategy",
        "message": '"always" is not allowed here',
        "allowed": ["Always", "Halted", "Manual", "RerunOnFailure", "Once"],
        "did_you_mean": "Always",
    }


def test_long_lists_of_what_is_allowed_are_cut_after_twelve():
    (found,) = mistakes(vm("  instanceType: m5.large"))
    assert found["did_you_mean"] == "m1.large"
    assert len(found["allowed"]) == 13 and found["allowed"][-1] == "… and 8 more"


def test_all_mistakes_of_all_documents_come_at_once_in_the_order_of_the_file():
    text = vm("  external: maybe\n  runing: true") + "---\n" + document("VMDisk", "  storage: ten", name="other")
    with pytest.raises(InvalidDocuments) as caught:
        parse_documents(text, source="two.yaml", tables=TABLES)
    assert caught.value.what == "3 mistakes in two.yaml"
    places = [(found["line"], found["document"], found["path"]) for found in caught.value.context["mistakes"]]
    assert places == [(5, 1, "spec.external"), (6, 1, "spec.runing"), (12, 2, "spec.storage")]


def test_a_single_mistake_is_told_in_the_error_itself():
    with pytest.raises(InvalidDocuments) as caught:
        parse_documents(vm("  external: 7"), source="vm.yaml", tables=TABLES)
    assert str(caught.value) == '1 mistake in vm.yaml: line 5: must be true or false, not "7"'


def test_running_false_really_means_halted():
    assert one(vm("  running: false")).spec.run_strategy is RunStrategy.HALTED
    assert one(vm("  running: true")).spec.run_strategy is RunStrategy.ALWAYS
    assert one(vm("  running: false\n  runStrategy: Manual")).spec.run_strategy is RunStrategy.MANUAL


def test_a_vm_without_a_word_gets_every_default():
    resource = one("apiVersion: apps.cozystack.io/v1alpha1\nkind: VirtualMachine\nmetadata: {name: bare}")
    assert isinstance(resource, VirtualMachine)
    assert resource.metadata.namespace == "default"
    assert (resource.spec.instance_type, resource.spec.external_ports) == ("u1.medium", (22,))
    assert resource.spec.system_disk is not None and resource.spec.system_disk.image == "ubuntu"


def test_system_disk_follows_the_profile_and_is_as_large_as_its_image_needs():
    disk = one(vm("  instanceProfile: centos.stream9")).spec.system_disk
    assert (disk.image, disk.storage) == ("centos-stream-9", "11Gi")


def test_namespace_of_the_caller_is_for_documents_that_name_none():
    text = vm("  {}") + "---\n" + vm("  {}").replace("{name: example}", "{name: example, namespace: here}")
    found = parse_documents(text, source="x", tables=TABLES, namespace="tenant-a")
    assert [resource.metadata.namespace for resource in found] == ["tenant-a", "here"]


def test_image_that_no_table_knows_may_be_in_the_store_but_a_slip_is_worth_a_warning():
    assert read(vm("  systemDisk: {image: lab-debian-13}")).warnings == ()
    (warning,) = read(vm("  systemDisk: {image: ubunut-2404}")).warnings
    assert warning.did_you_mean == "ubuntu-2404"


def test_images_and_gpus_of_an_operator_are_known():
    ours = TABLES.extended("instanceTypes: [{name: g1.huge, vcpus: 96, memory: 1Ti}]", source="ours.yaml")
    (resource,) = parse_documents(vm("  instanceType: g1.huge"), source="x", tables=ours)
    assert resource.spec.instance_type == "g1.huge"
    assert complaints(vm("  instanceType: g1.huge"))


def test_an_alias_repeats_its_values_and_not_its_mistakes():
    text = vm("  gpus: [&g {name: l40z}, *g, *g]")
    assert complaints(text) == ['5 spec.gpus[0].name: the GPU "l40z" is not known', *complaints(text)[1:]]
    assert len(one(vm("  gpus: [&g {name: l40s}, *g, *g]")).spec.gpus) == 3


def test_an_object_twice_in_a_file_names_both_lines():
    text = vm("  external: true") + "---\n" + vm("  external: false")
    assert complaints(text) == ["7 : VirtualMachine example is in this file twice, first on line 1"]
    assert complaints(vm("  {}") + "---\n" + document("VMDisk", "  {}")) == []


def test_a_list_as_kubectl_prints_it_is_its_items():
    text = "apiVersion: v1\nkind: List\nitems:\n"
    text += "- apiVersion: hikube.cloud/v1alpha1\n  kind: GPUHost\n  metadata: {name: a}\n  spec: {url: x}\n"
    assert complaints(text) == ['7 items[0].spec.url: unknown field "url"']


def test_decode_reads_what_editors_write():
    assert decode("a: ü".encode(), source="x") == decode("a: ü".encode("utf-8-sig"), source="x") == "a: ü"
    assert decode("a: ü".encode("utf-16"), source="x") == "a: ü"


def test_windows_line_ends_do_not_move_lines_nor_get_into_scripts():
    text = vm("  cloudInit: |\n    #cloud-config\n    a: 1\n  external: 3").replace("\n", "\r\n")
    assert [found["line"] for found in mistakes(text)] == [8]
    script = one(text.replace("3", "true")).spec.cloud_init
    assert script == "#cloud-config\na: 1\n"


def test_sources_of_warnings_are_kept_beside_the_resources():
    found = parse(vm("  running: true"), source="old.yaml", tables=TABLES)
    assert [(warning.file, warning.position.line, warning.path) for warning in found.warnings] == [
        ("old.yaml", 5, "spec.running")
    ]
