"""Every bad file of the corpus through real commands: the right exit code, every mistake with its line, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Hikube

BAD = sorted((ROOT / "tests" / "corpus" / "bad").glob("*.yaml"))


def expected(path: Path) -> tuple[int, list[str]]:
    """Exit code, and `line: …` of each mistake."""
    first, *mistakes = path.with_suffix(".expected").read_text().splitlines()
    return int(first.removeprefix("exit ")), [line.partition(":")[0] for line in mistakes]


def test_the_corpus_is_large_enough() -> None:
    assert len(BAD) >= 60


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
@pytest.mark.parametrize("command", ["validate", "apply"])
def test_a_bad_file_is_refused_with_every_line(hikube: Hikube, path: Path, command: str) -> None:
    code, lines = expected(path)
    result = hikube(command, "-f", str(path))
    assert result.code == code
    assert result.out == ""
    assert "Traceback" not in result.err
    assert "HK-INTERNAL" not in result.err
    for line in lines:
        assert f"{path}:{line}:" in result.err
    assert not (hikube.home / "data" / "logs").exists()


def test_mistakes_of_several_files_are_reported_together(hikube: Hikube) -> None:
    hikube.file("a.yaml", "kind: VirtualMachine\n")
    hikube.file("b.yaml", "kind: Nothing\n")
    result = hikube("validate", "-f", str(hikube.home))
    assert result.code == 2
    assert "HOME/a.yaml:1" in result.err
    assert "HOME/b.yaml:1" in result.err
    assert "in 2 of 2 files" in result.err


def test_mistakes_are_data_for_programs(hikube: Hikube) -> None:
    result = hikube("apply", "-o", "json", "-f", str(BAD[0]))
    error = json.loads(result.err)
    assert error["exitCode"] == 2
    assert error["error"]["code"] == "HK-INPUT-002"
    assert {"file", "line", "column", "path", "message"} <= error["error"]["context"]["mistakes"][0].keys()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["apply"], 2),
        (["apply", "-f", "no-such-file.yaml"], 11),
        (["apply", "-f", "/dev/null"], 2),
        (["apply", "-f", "/dev/zero"], 2),
        (["apply", "-f", "/"], 2),
        (["apply", "-f", "bad\0name"], 2),
        (["validate", "-f", "-", "-f", "-"], 2),
        (["get", "nothing"], 2),
        (["get", "vm/a", "b"], 2),
        (["get", "vm", "-l", "a b"], 2),
        (["get", "vm", "-o", "xml"], 2),
        (["get", "vm", "nobody"], 11),
        (["describe", "host", "nobody"], 11),
        (["delete"], 2),
        (["delete", "vm"], 2),
        (["delete", "vm", "nobody"], 11),
        (["delete", "vm", "nobody", "--ignore-not-found"], 0),
        (["wait", "vm", "nobody", "--for", "delete"], 0),
        (["wait", "vm", "nobody", "--for", "everything=nice=now"], 2),
        (["wait", "vm", "nobody", "--timeout", "soon"], 2),
        (["wait", "vm"], 2),
        (["explain", "host", "a"], 2),
        (["explain", "vm"], 2),
        (["events", "vm", "nobody"], 0),
        (["gpu", "vm", "show", "nobody"], 11),
        (["gpu", "vm", "start", "nobody"], 11),
        (["gpu", "vm", "delete", "nobody"], 11),
        (["gpu", "vm", "delete", "nobody", "--ignore-not-found"], 0),
        (["gpu", "vm", "ssh", "nobody"], 11),
        (["gpu", "vm", "logs", "nobody"], 11),
        (["gpu", "vm", "create"], 2),
        (["gpu", "vm", "create", "--gpu", "l40s"], 2),
        (["gpu", "vm", "create", "UPPER", "--gpu", "l40s"], 2),
        (["gpu", "vm", "create", "a", "--gpu", "l40x"], 2),
        (["gpu", "vm", "create", "a", "--gpu", "l40s:0"], 2),
        (["gpu", "vm", "create", "a", "--gpu", "l40s:99"], 2),
        (["gpu", "vm", "create", "a", "--gpu", "l40s", "--memory", "much"], 2),
        (["gpu", "vm", "create", "a", "--gpu", "l40s", "--cpu", "-1"], 2),
        (["gpu", "vm", "create", "a", "--gpu", "l40s", "--ssh-key", "nowhere"], 11),
        (["gpu", "vm", "create", "a", "--gpu", "l40s", "--cloud-init", "nowhere"], 11),
        (["gpu", "vm", "create", "a", "--gpu", "l40s", "--external-port", "ssh"], 2),
        (["gpu", "vm", "create", "a", "--gpu", "l40s", "--external-port", "70000"], 2),
        (["gpu", "vm", "create", "a", "--gpu", "l40s", "--host-selector", "zone"], 2),
        (["gpu", "vm", "create", "a", "--gpu", "l40s", "--instance-type", "m5.large"], 2),
        (["gpu", "vm", "create", "a", "--image", "no-such-image"], 2),
        (["gpu", "vm", "lst"], 2),
        (["gpu", "offers", "--gpu", "x:y:z"], 2),
        (["host", "add", "a", "http://example.org"], 2),
        (["host", "add", "A_B", "qemu:///system"], 2),
        (["host", "add", "a", "qemu:///system", "--gpu-rule", "colour=red"], 2),
        (["host", "show", "nobody"], 11),
        (["host", "cordon", "nobody"], 11),
        (["host", "remove", "nobody"], 11),
        (["image", "add", "a", "ftp://example.org/a.img"], 2),
        (["image", "fetch", "nobody"], 11),
        (["controller", "--workers", "many"], 2),
        (["completion", "tcsh"], 2),
        (["--no-such-option"], 2),
        (["no-such-command"], 2),
    ],
    ids=lambda value: "_".join(value).replace("\0", "0") if isinstance(value, list) else None,
)
def test_a_bad_command_has_its_exit_code(hikube: Hikube, arguments: list[str], code: int) -> None:
    result = hikube(*arguments)
    assert result.code == code, result.err
    assert "Traceback" not in result.err
    assert "HK-INTERNAL" not in result.err
    if code:
        assert result.err.startswith("Error: ") or "\nError: " in result.err
        assert "docs: docs/errors.md#hk-" in result.err
        assert result.out == ""
