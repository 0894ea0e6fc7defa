"""Pure rendering and reading of options: text in, text out."""

from __future__ import annotations

import pytest

from cli.gpu_names import gpu_documents
from cli.naming import named
from cli.options import duration_s, labels
from cli.progress import step_line
from cli.render.age import age, span
from cli.render.differences import differences
from cli.render.failure import error_text
from cli.render.machine import machine_text
from cli.render.resources import gpu_counts
from cli.render.table import table
from cli.vm.logs import harmless, last_lines, news
from provisioner.model.errors import InvalidDocuments, InvalidInput, NoCapacity, Stuck
from provisioner.model.tables import Tables


def test_tables_align_and_never_hold_spaces_or_control_characters() -> None:
    text = table(("NAME", "WHAT", "AGE"), [["a", "two words\x1b[31m", "1s"], ["longer", "", "10s"]])
    assert text == "NAME     WHAT             AGE\na        two_words?[31m   1s\nlonger   <none>           10s\n"
    text = table(("NAME", "WHY"), [["a b", "two  words\n"], ["c", ""]], ends_in_sentences=True)
    assert text == "NAME   WHY\na_b    two words\nc      <none>\n", "but for sentences at the end of a line"


@pytest.mark.parametrize(
    ("duration", "text"), [(0, "0s"), (119.9, "119s"), (120, "2m"), (7200, "2h"), (47 * 3600, "47h"), (49 * 3600, "2d")]
)
def test_spans(duration: float, text: str) -> None:
    assert span(duration) == text


def test_an_unknown_time_has_no_age() -> None:
    assert age("", 0.0) == "<unknown>"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1.5h", 5400), ("0", 0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "5d", "m5", "5m5h"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(InvalidInput):
        duration_s(text)


def test_labels() -> None:
    assert labels(["zone=a,rack=2", "example.org/x=", "y=z"]) == {"zone": "a", "rack": "2", "example.org/x": "", "y": "z"}
    with pytest.raises(InvalidInput):
        labels(["zone"])


@pytest.mark.parametrize(
    ("words", "kinds", "names"),
    [
        (("vm", ["a", "b"]), ["VirtualMachine"], [("a", "b")]),
        (("vm/a", ["host/b"]), ["VirtualMachine", "GPUHost"], [("a",), ("b",)]),
        (("Images", []), ["Image"], [()]),
    ],
)
def test_naming(words: tuple[str, list[str]], kinds: list[str], names: list[tuple[str, ...]]) -> None:
    groups = named(*words)
    assert [group.words.kind for group in groups] == kinds
    assert [group.names for group in groups] == names


def test_gpus_by_any_of_their_names() -> None:
    tables = Tables.builtin()
    by_short_name = gpu_documents(tables, ["L40S:2"])
    assert by_short_name == [{"name": "nvidia.com/AD102GL_L40S"}] * 2
    assert gpu_documents(tables, ["10de:26b9:2"]) == by_short_name
    assert gpu_documents(tables, ["10de:26b9", "nvidia.com/AD102GL_L40S"]) == by_short_name
    assert gpu_counts(each["name"] for each in by_short_name) == "2xAD102GL_L40S"


def test_differences_name_the_field() -> None:
    old = {"a": {"b": [1, {"c": "x"}]}, "gone": True}
    new = {"a": {"b": [1, {"c": "y"}]}, "new": [1]}
    assert list(differences(old, new)) == ['a.b[1].c: "x" -> "y"', "gone: true -> (unset)", "new: (unset) -> [1]"]


def test_mistakes_are_lines_that_editors_understand() -> None:
    mistake = {
        "file": "vm.yaml",
        "line": 4,
        "column": 7,
        "path": "spec.gpus[0].name",
        "message": "no such GPU",
        "allowed": ["l40s", "h100"],
        "did_you_mean": "l40s",
    }
    text = error_text(InvalidDocuments("1 mistake in vm.yaml", context={"mistakes": [mistake]}))
    assert text == (
        "Error: 1 mistake in vm.yaml  [HK-INPUT-002]\n"
        "  vm.yaml:4:7: spec.gpus[0].name: no such GPU\n"
        "      allowed: l40s, h100\n"
        "      did you mean l40s?\n"
        "docs: docs/errors.md#hk-input-002\n"
    )


def test_missing_capacity_shows_counts_and_the_nearest_miss() -> None:
    context = {
        "sentence": "12 hosts: 7 without H100, 5 cordoned; nearest: gpu-04, which lacks 1 H100",
        "nearest": {"host": "gpu-04", "lacks": "1 H100"},
    }
    text = error_text(NoCapacity("no host can take it", hint="wait", context=context))
    assert "  12 hosts: 7 without H100, 5 cordoned\n  closest: gpu-04 lacks 1 H100\n" in text
    assert text.endswith("hint: wait\ndocs: docs/errors.md#hk-capacity-001\n")


def test_what_is_left_behind_is_listed() -> None:
    text = error_text(Stuck("half undone", why="busy", context={"left": ["bind", "disk"]}))
    assert "  busy\n  left behind:\n    bind\n    disk\n" in text


def test_long_reasons_keep_their_end() -> None:
    text = error_text(Stuck("x", why="\n".join(f"line {n}" for n in range(100))))
    assert "line 99" in text
    assert "(… 60 lines before)" in text


def test_a_progress_line_has_the_first_line_of_its_message() -> None:
    assert step_line("ok", "bind", 0.84, "two functions\nand more") == "  ok   bind           0.8s  two functions"


def test_a_vm_that_is_only_stored_can_be_shown() -> None:
    item = {"kind": "VirtualMachine", "metadata": {"name": "a", "namespace": "default"}, "spec": {}}
    assert "Status:     Pending" in machine_text(item, now_s=0.0)


def test_a_console_shows_what_is_new() -> None:
    assert news("one\ntwo\n", "one\ntwo\nthree\n") == "three\n"
    assert news("x" * 300 + "end\n", "x" * 290 + "end\nmore\n") == "more\n"
    assert news("before the restart\n", "SeaBIOS\n") == "SeaBIOS\n"
    assert news("same", "same") == ""
    assert last_lines("a\nb\nc\n", 2) == "b\nc\n"


def test_a_guest_cannot_drive_the_terminal() -> None:
    assert harmless("login:\x1b]0;owned\x07 ok\tä\r\n") == "login:]0;owned ok\tä\n"
