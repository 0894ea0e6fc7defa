"""What a value means depends on its field and never on how it looks: the traps of YAML 1.1, one by one."""

from __future__ import annotations

import pytest

from tests.unit.model.reading import complaints, mistakes, one, vm


@pytest.mark.parametrize(
    "written", ["1234:1111", "5", "1e3", "true", "yes", "0x16", "1_000", "2026-11-21", "'5'", "!!str 5", "! 5"]
)
def test_text_is_what_is_written(written: str):
    plain = written.removeprefix("!!str ").removeprefix("! ").strip("'")
    assert one(vm(f"  cloudInitSeed: {written}")).spec.cloud_init_seed == plain


@pytest.mark.parametrize("written", ["null", "~", "Null", ""])
def test_null_is_as_good_as_absent(written: str):
    resource = one(vm(f"  cloudInitSeed: {written}\n  instanceType: {written}\n  gpus: {written}"))
    assert (resource.spec.cloud_init_seed, resource.spec.instance_type, resource.spec.gpus) == ("", "u1.medium", ())


@pytest.mark.parametrize(("written", "value"), [("true", True), ("True", True), ("FALSE", False), ("!!bool true", True)])
def test_true_and_false_are_booleans(written: str, value: bool):
    assert one(vm(f"  external: {written}")).spec.external is value


@pytest.mark.parametrize(
    ("written", "meant"),
    [("yes", "true"), ("No", "false"), ("on", "true"), ("OFF", "false"), ("1", "true"), ("'false'", "false"), ("maybe", None)],
)
def test_nothing_else_is_a_boolean(written: str, meant: str | None):
    (found,) = mistakes(vm(f"  external: {written}"))
    assert found.get("did_you_mean") == meant and found["allowed"] == ["true", "false"]


@pytest.mark.parametrize(("written", "port"), [("22", 22), ("65535", 65535), ("+80", 80), ("!!int 443", 443)])
def test_decimal_numbers_are_numbers(written: str, port: int):
    assert one(vm(f"  externalPorts: [{written}]")).spec.external_ports == (port,)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("022", "write 22"),
        ("0o26", "write 26"),
        ("22:22", "base-60"),
        ("0x16", "decimal"),
        ("1e3", "decimal"),
        ("1_000", "decimal"),
        ("22.0", "decimal"),
        ("'22'", "without quotes"),
        ("-1", "between 1 and 65535"),
        ("[22]", "not a list"),
        ("{a: 1}", "not a mapping"),
        (".inf", "decimal"),
    ],
)
def test_numbers_that_two_tools_would_read_differently_are_refused(written: str, says: str):
    (complaint,) = complaints(vm(f"  externalPorts: [{written}]"))
    assert says in complaint


def test_a_size_without_a_unit_was_probably_meant_in_gibibytes():
    (found,) = mistakes(vm("  systemDisk: {storage: 50}"))
    assert found["did_you_mean"] == "50Gi"


def test_sizes_are_kept_as_written():
    assert one(vm("  systemDisk: {storage: 10240Mi}")).spec.system_disk.storage == "10240Mi"


@pytest.mark.parametrize(
    "value", ["<your-name>", "REPLACE_ME", "changeme", "your-public-key-here", "${NAME}", "xxxxx", "TODO", "a…"]
)
def test_a_placeholder_is_named_as_one(value: str):
    (complaint,) = complaints(vm(f'  cloudInitSeed: "{value}"'))
    assert "is a placeholder" in complaint


@pytest.mark.parametrize("value", ["todo", "yourself", "change", "a<b", "replaced", "x.y"])
def test_what_only_resembles_a_placeholder_is_let_through(value: str):
    assert complaints(vm(f"  cloudInitSeed: {value}")) == []


def test_values_from_outside_are_shown_shortened_and_without_control_characters():
    (complaint,) = complaints(vm('  instanceType: "\\e[31m' + "x" * 200 + '"'))
    assert "\\x1b[31m" in complaint and "…" in complaint and len(complaint) < 200
