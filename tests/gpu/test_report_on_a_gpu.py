"""The report command where an NVIDIA driver really runs: it must say what NVML says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from provisioner.model.guest_report import GuestReport
from templates.guest import report as report_program

pytestmark = pytest.mark.skipif(
    not report_program.find_nvidia_smi("/") or shutil.which("nvidia-smi") is None,
    reason="no nvidia-smi here: this machine has no NVIDIA driver",
)


@pytest.fixture(scope="module")
def nvml() -> Iterator[Any]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        pytest.skip(f"NVML does not start here: {error}")
    yield pynvml
    pynvml.nvmlShutdown()


@pytest.fixture(scope="module")
def report() -> GuestReport:
    argv = [sys.executable, "-IS", str(report_program.__file__)]
    answer = subprocess.run(argv, capture_output=True, text=True, timeout=report_program.TOTAL_LIMIT_S + 5, check=True)
    return GuestReport.model_validate(json.loads(answer.stdout))


def test_the_driver_is_loaded_and_its_version_known(report: GuestReport, nvml: Any) -> None:
    assert report.nvidia.driver_loaded
    assert report.nvidia.nvidia_smi
    assert report.nvidia.error == ""
    assert report.nvidia.driver_version == nvml.nvmlSystemGetDriverVersion()


def test_every_gpu_of_nvml_is_reported_with_the_same_identity(report: GuestReport, nvml: Any) -> None:
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    expected = {nvml.nvmlDeviceGetUUID(handle): nvml.nvmlDeviceGetName(handle) for handle in handles}
    assert {gpu.uuid: gpu.name for gpu in report.nvidia.gpus} == expected
    assert len(report.nvidia.gpus) == len(handles)


def test_memory_and_address_agree_with_nvml(report: GuestReport, nvml: Any) -> None:
    for gpu in report.nvidia.gpus:
        handle = nvml.nvmlDeviceGetHandleByUUID(gpu.uuid)
        assert gpu.memory_mib is not None
        assert abs(gpu.memory_mib - nvml.nvmlDeviceGetMemoryInfo(handle).total / 2**20) < 1024
        domain, rest = nvml.nvmlDeviceGetPciInfo(handle).busId.lower().split(":", 1)
        assert gpu.address == f"{int(domain, 16):04x}:{rest}"


def test_health_agrees_with_nvml(report: GuestReport, nvml: Any) -> None:
    for gpu in report.nvidia.gpus:
        handle = nvml.nvmlDeviceGetHandleByUUID(gpu.uuid)
        assert gpu.vbios == nvml.nvmlDeviceGetVbiosVersion(handle)
        assert gpu.temperature_c is not None
        assert abs(gpu.temperature_c - nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)) < 15
        assert gpu.pcie_link_width == nvml.nvmlDeviceGetCurrPcieLinkWidth(handle)


def test_ecc_and_remapped_rows_agree_with_nvml(report: GuestReport, nvml: Any) -> None:
    for gpu in report.nvidia.gpus:
        handle = nvml.nvmlDeviceGetHandleByUUID(gpu.uuid)
        kinds = (nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC)
        try:
            assert gpu.ecc_uncorrected_volatile == nvml.nvmlDeviceGetTotalEccErrors(handle, *kinds)
            _, _, is_pending, has_failed = nvml.nvmlDeviceGetRemappedRows(handle)
        except nvml.NVMLError_NotSupported:
            continue
        assert (gpu.row_remap_pending, gpu.row_remap_failure) == (bool(is_pending), bool(has_failed))


def test_each_gpu_is_a_pci_function_of_nvidia_where_sysfs_shows_it(report: GuestReport) -> None:
    functions = {function.address: function for function in report.functions}
    shown = [functions[gpu.address] for gpu in report.nvidia.gpus if gpu.address in functions]
    if not shown:
        pytest.skip("this machine hides its PCI functions from /sys")
    for function in shown:
        assert function.vendor == "10de"
        assert function.pci_class.startswith("03")
        assert max(function.bar_bytes, default=0) >= 1 << 24
