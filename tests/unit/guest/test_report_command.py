"""The report command reads a guest's files: a tree stands in for them, the programs it starts are small scripts."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.model.guest_report import GuestReport
from templates.guest import hand_over as hand_over_program
from templates.guest import report as report_program
from templates.guest.report import report
from tests.unit.guest.trees import Tree

H100 = "0x00000000c0000000 0x00000000c0ffffff 0x0000000000040200\n" + "\n".join(
    [
        "0x0000040000000000 0x0000041fffffffff 0x000000000014220c",
        "0x0000000000000000 0x0000000000000000 0x0000000000000000",
        "0x0000042000000000 0x0000042001ffffff 0x000000000014220c",
        "0x0000000000000000 0x0000000000000000 0x0000000000000000",
        "0x000000000000e000 0x000000000000e07f 0x0000000000040101",
        "0x00000000c1000000 0x00000000c107ffff 0x0000000000046200",
    ]
)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path)
    tree.write("proc/sys/kernel/random/boot_id", "c85981f3-097e-4e25-b13d-694d660b59ed\n")
    return tree


def report_of(tree: Tree) -> GuestReport:
    return GuestReport.model_validate_json(json.dumps(report(str(tree))))


def test_an_empty_guest_gives_a_valid_report(tree: Tree) -> None:
    found = report_of(tree)
    assert found == GuestReport(boot_id="c85981f3-097e-4e25-b13d-694d660b59ed", cloud_init=found.cloud_init)
    assert found.cloud_init.status == "not run"


def test_machine_facts_come_from_proc(tree: Tree) -> None:
    tree.write("proc/sys/kernel/hostname", "gpu-vm\n")
    tree.write("proc/sys/kernel/osrelease", "6.12.1\n")
    tree.write("proc/uptime", "12.5 20.0\n")
    tree.write("proc/meminfo", "MemTotal:        1048576 kB\nMemFree: 3 kB\n")
    tree.write("proc/cpuinfo", "processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\n")
    found = report_of(tree)
    assert (found.hostname, found.kernel, found.uptime_s, found.memory_mib, found.cpus) == ("gpu-vm", "6.12.1", 12.5, 1024, 2)


def test_a_gpu_and_its_audio_function(tree: Tree) -> None:
    tree.pci_function("0000:05:00.0", ids="10de:2330", pci_class="030200", driver="nvidia", node=1, bars=H100)
    tree.pci_function("0000:05:00.1", ids="10de:22ba", pci_class="040300")
    gpu, audio = report_of(tree).functions
    assert (gpu.address, gpu.vendor, gpu.device, gpu.pci_class) == ("0000:05:00.0", "10de", "2330", "030200")
    assert (gpu.driver, gpu.numa_node) == ("nvidia", 1)
    assert gpu.bar_bytes == (16 << 20, 128 << 30, 32 << 20), "memory BARs only: no port BAR, no option ROM"
    assert (audio.driver, audio.numa_node, audio.bar_bytes) == ("", None, ())


@pytest.mark.parametrize(
    ("stages", "finished", "status"),
    [
        ({"init": {"errors": [], "finished": None, "start": 3}}, False, "running"),
        ({"init": {"errors": [], "finished": 4.0}}, True, "done"),
        ({"init": {"errors": [], "recoverable_errors": {"WARNING": ["odd key"]}}}, True, "degraded"),
        ({"modules-final": {"errors": ["('scripts_vendor', RuntimeError())"]}}, True, "error"),
        ({"modules-final": {"errors": ["boom"]}}, False, "error"),
    ],
)
def test_cloud_init_by_the_rules_of_its_own_status_command(tree: Tree, stages: dict, finished: bool, status: str) -> None:
    tree.cloud_init(stages=stages, finished=finished)
    tree.write("var/log/cloud-init-output.log", "x" * 10000 + "\nthe last line\n")
    found = report_of(tree).cloud_init
    assert found.status == status
    assert (found.output_tail == "") == (status == "done")
    assert len(found.output_tail) <= 4096
    if status != "done":
        assert found.output_tail.endswith("the last line")
    if status == "degraded":
        assert found.errors == ("odd key",)


def test_cloud_init_that_was_switched_off(tree: Tree) -> None:
    tree.write("run/cloud-init/disabled", "")
    assert report_of(tree).cloud_init.status == "disabled"


def test_a_status_file_cut_short_reads_as_not_run(tree: Tree) -> None:
    tree.write("run/cloud-init/status.json", '{"v1": {"init"')
    assert report_of(tree).cloud_init.status == "not run"


def test_nvidia_smi_rows(tree: Tree) -> None:
    tree.write("sys/module/nvidia/version", "580.95.05\n")
    tree.nvidia_smi(
        'case "$1" in *uuid,name,pci.bus_id,serial,driver_version,memory.total,ecc.mode.current) ;; *) exit 9;; esac\n'
        "echo 'GPU-1, NVIDIA L40S, 00000000:05:00.0, 1322, 580.95.05, 46068, Enabled'\n"
        "echo 'GPU-2, NVIDIA GeForce RTX 4090, 00000001:C1:00.0, 0, 580.95.05, 24564, [N/A]'\n"
    )
    state = report_of(tree).nvidia
    assert (state.driver_loaded, state.driver_version, state.nvidia_smi, state.error) == (True, "580.95.05", True, "")
    first, second = state.gpus
    assert (first.uuid, first.name, first.address, first.memory_mib) == ("GPU-1", "NVIDIA L40S", "0000:05:00.0", 46068)
    assert (second.address, second.serial, second.ecc_mode) == ("0001:c1:00.0", "", "")


HEALTHY = (
    'case "$1" in\n'
    "  --query-gpu=uuid,*) echo 'GPU-1, NVIDIA L40S, 00000000:05:00.0, 1322, 580.95.05, 46068, Enabled';;\n"
    "  --query-gpu=pci.bus_id,temperature.gpu,*) echo '00000000:05:00.0, 38, 0, 3, [N/A], 4, 16, 95.02.66.00.02';;\n"
    "  --query-remapped-rows=gpu_bus_id,*) echo '00000000:05:00.0, No, No';;\n"
    "  *) exit 9;;\n"
    "esac\n"
)


def test_health_where_nvidia_smi_tells_it(tree: Tree) -> None:
    tree.nvidia_smi(HEALTHY)
    (gpu,) = report_of(tree).nvidia.gpus
    assert (gpu.temperature_c, gpu.ecc_uncorrected_volatile, gpu.ecc_uncorrected_aggregate) == (38, 0, 3)
    assert (gpu.retired_pages_pending, gpu.row_remap_pending, gpu.row_remap_failure) == (None, False, False)
    assert (gpu.pcie_link_gen, gpu.pcie_link_width, gpu.vbios) == (4, 16, "95.02.66.00.02")


@pytest.mark.parametrize("words", ["Yes, Yes", "1, 2"])
def test_rows_of_memory_that_could_not_be_replaced(tree: Tree, words: str) -> None:
    tree.nvidia_smi(HEALTHY.replace("No, No", words))
    (gpu,) = report_of(tree).nvidia.gpus
    assert (gpu.row_remap_pending, gpu.row_remap_failure) == (True, True)


@pytest.mark.parametrize("words", ["[Unknown Error], , garbage", "[GPU is lost], [GPU is lost], [GPU is lost]"])
def test_health_that_is_garbage_is_left_out_and_costs_no_report(tree: Tree, words: str) -> None:
    tree.nvidia_smi(HEALTHY.replace("38, 0, 3", words).replace("No, No", "[N/A], [Unknown Error]"))
    (gpu,) = report_of(tree).nvidia.gpus
    assert (gpu.uuid, gpu.temperature_c, gpu.ecc_uncorrected_volatile, gpu.row_remap_failure) == ("GPU-1", None, None, None)


def test_an_old_nvidia_smi_that_knows_no_question_about_health(tree: Tree) -> None:
    known = "echo 'GPU-1, NVIDIA L40S, 00000000:05:00.0, 1, 400, 46068, Enabled'"
    tree.nvidia_smi(f'case "$1" in --query-gpu=uuid,*) {known};; *) exit 2;; esac')
    state = report_of(tree).nvidia
    assert state.nvidia_smi
    assert (state.gpus[0].temperature_c, state.gpus[0].row_remap_failure, state.gpus[0].vbios) == (None, None, "")


def test_xids_of_the_kernels_log(tree: Tree) -> None:
    line = "NVRM: Xid (PCI:0000:05:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
    older = "NVRM: Xid (0000:06:00): 31, Ch 00000008"
    tree.write("dev/kmsg", f"4,1,2,-;{older}\n6,2,3,-;usb 1-1: new device\n3,3,4,-;{line}\n")
    found = report_of(tree).nvidia.xids
    assert [(each.code, each.address) for each in found] == [(31, "0000:06:00.0"), (79, "0000:05:00.0")]
    assert found[1].text.endswith("GPU has fallen off the bus.")


def test_an_xid_line_in_all_its_parts() -> None:
    found = report_program.xid("NVRM: Xid (PCI:0000:05:00): 79, pid=1234, GPU has fallen off the bus.")
    assert found == {"code": 79, "address": "0000:05:00.0", "text": "pid=1234, GPU has fallen off the bus."}
    assert report_program.xid("NVRM: Xid (PCI:0000:05:00): 62, " + "x" * 500)["text"] == "x" * 200
    assert report_program.xid("NVRM: Xid (gibberish")["code"] == 0


def test_no_more_than_the_last_xids(tree: Tree) -> None:
    lines = [f"3,3,4,-;NVRM: Xid (PCI:0000:05:00): {code}, x\n" for code in range(1, 41)]
    tree.write("dev/kmsg", "".join(lines))
    assert [each.code for each in report_of(tree).nvidia.xids] == list(range(21, 41))


def test_nvidia_smi_that_fails_gives_its_words_and_the_kernels(tree: Tree) -> None:
    tree.nvidia_smi("echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9")
    tree.write("dev/kmsg", "4,1,2,-;NVRM: This PCI I/O region assigned to your NVIDIA device is invalid\n")
    state = report_of(tree).nvidia
    assert not state.driver_loaded
    assert not state.nvidia_smi
    assert "could not communicate" in state.error
    assert "NVRM: This PCI I/O region" in state.error


def test_rows_that_are_no_rows_are_an_error(tree: Tree) -> None:
    tree.nvidia_smi("echo 'No devices were found'")
    state = report_of(tree).nvidia
    assert state.gpus == ()
    assert state.error == "No devices were found"


def test_a_program_that_hangs_costs_no_more_than_its_limit() -> None:
    status, said = report_program.run(["sleep", "60"], 1)
    assert status == -1
    assert "did not end within 1 s" in said


def ask(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SSH_ORIGINAL_COMMAND": command}
    argv = [sys.executable, "-IS", str(report_program.__file__), *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", ["", "report"])
def test_the_real_command_on_this_machine(command: str) -> None:
    answer = ask(command)
    assert answer.returncode == 0, answer.stderr
    assert GuestReport.model_validate_json(answer.stdout).boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@pytest.mark.parametrize(
    ("command", "arguments"), [("sh", ()), ("report; id", ()), ("report", ("--help",)), ("", ("install", "x"))]
)
def test_anything_else_is_refused(command: str, arguments: tuple[str, ...]) -> None:
    answer = ask(command, *arguments)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert "report or hand-over only" in answer.stderr


@pytest.mark.parametrize("program", [report_program, hand_over_program])
def test_what_goes_into_a_guest_is_plain_and_old_enough(program: object) -> None:
    source = Path(str(program.__file__)).read_text(encoding="ascii")  # type: ignore[attr-defined]
    tree = ast.parse(source, feature_version=(3, 6))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= {"contextlib", "glob", "json", "os", "signal", "subprocess", "sys"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.NamedExpr)]


def test_both_programs_agree_on_where_they_are() -> None:
    assert {"/" + command for command in hand_over_program.COMMANDS} == {report_program.COMMAND, report_program.HAND_OVER}
    assert report_program.COMMAND.encode() in hand_over_program.MARK
