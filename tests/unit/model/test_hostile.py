"""Input made to hurt: refused in bounded time and memory, and never obeyed."""

from __future__ import annotations

import resource
import time

import pytest

from provisioner.model.documents import MOST_BYTES, decode
from provisioner.model.errors import InvalidDocuments
from tests.unit.model.reading import complaints, read, vm

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30))
CPU_S = 5.0
"""Far above what any of these takes (under half a second), far below what an expansion would."""

HOSTILE = {
    "alias bomb": (BOMB, "more than 20,000 values"),
    "alias bomb in cloudInit": (
        vm("  cloudInit: |\n    #cloud-config\n" + "".join(f"    {line}\n" for line in BOMB.splitlines())),
        "20,000",
    ),
    "merge bomb": (
        "a: &a {" + ", ".join(f"k{i}: 1" for i in range(900)) + "}\n" + "".join(f"b{i}: {{<<: *a}}\n" for i in range(500)),
        "20,000",
    ),
    "100,000 brackets": ("[" * 100_000, "nested deeper than 40"),
    "100,000 mappings": ("{a: " * 60_000, "nested deeper than 40"),
    "100,000 dashes": ("- " * 100_000, "nested deeper than 40"),
    "deep indentation": ("".join(" " * depth + "a:\n" for depth in range(1500)), "nested deeper than 40"),
    "depth by aliases": (
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60)),
        "nested deeper than 40",
    ),
    "5 MB line": ("a: " + "x" * 5_000_000, "the file is longer than"),
    "300 kB line": ("a: " + "x" * 300_000, "the line is longer than"),
    "2 MB document": ('a: "' + ("x" * 90 + "\n ") * 22_000 + '"', "a document is longer than"),
    "100,000 documents": ("---\na\n" * 100_000, "more than 1,000 documents"),
    "100,000 directives": ("%TAG !a! x\n" * 100_000 + "--- a", "begin with %"),
    "300,000 keys": ("".join(f"k{i}: 1\n" for i in range(300_000)), "20,000"),
    "unknown fields": (vm("".join(f"  field{i}: 1\n" for i in range(9_000))), "unknown field"),
    "python object": ("!!python/object/apply:os.system ['touch /tmp/owned']", "is not allowed"),
    "huge number": (vm("  externalPorts: [" + "9" * 200_000 + "]"), "whole decimal number"),
    "huge exponent": (vm("  systemDisk: {storage: 1e999}"), "more than 8Ei"),
    "huge name": (vm("  {}", name="a" * 200_000), "at most 4,096 characters"),
    "4,000 GPUs": (vm("  gpus: [" + "{name: l40s}," * 4_000 + "]"), "at most 16"),
    "nul": ("a: \x00", "U+0000"),
    "lone surrogate": ("a: \ud800", "U+D800"),
    "escaped surrogate": ('a: "\\ud800"', "escape"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_in_bounded_time_and_memory(name: str):
    text, says = HOSTILE[name]
    memory_kib, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    found = complaints(text)
    assert time.process_time() - started < CPU_S
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kib < 200 * 1024
    assert any(says in complaint for complaint in found), found[:3]
    assert len(found) <= 1_000


def test_patterns_do_not_backtrack_on_long_texts():
    started = time.process_time()
    complaints(vm("  cloudInit: |\n    #cloud-config\n    # " + "AAAA/" * 40_000))
    complaints(vm("  cloudInitSeed: " + "your-public-" * 300 + "\n  sshKeys: [" + "<" * 4_000 + "]"))
    assert time.process_time() - started < CPU_S


def test_too_many_mistakes_are_counted_and_the_first_are_shown():
    text = vm("".join(f"  field{i}: 1\n" for i in range(1_500)))
    with pytest.raises(InvalidDocuments, match="mistakes in") as caught:
        read(text)
    assert caught.value.what == "1500 mistakes in file.yaml" and caught.value.hint == "the first 1000 are shown"
    assert len(caught.value.context["mistakes"]) == 1_000


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"a" * (MOST_BYTES + 1), "at most"),
        (b"\x7fELF\x02\x01\x01\x00", "binary"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "binary"),
        (b"kind: caf\xe9", "not UTF-8"),
        (b"\xff\xfea", "not UTF-8"),
    ],
)
def test_bytes_that_are_no_text_are_refused(data: bytes, says: str):
    with pytest.raises(InvalidDocuments) as caught:
        decode(data, source="x.yaml")
    assert says in caught.value.context["mistakes"][0]["message"]
