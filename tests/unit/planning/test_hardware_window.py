"""BARs, the firmware's window and the widths of CPU and IOMMU."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.model.errors import Unsupported
from provisioner.model.gpu_host import GpuFacts, GPUHost, HostCapabilities, KvmVerdict
from provisioner.model.sizing import GuestSize
from provisioner.planning.hardware import HardwarePlan, plan_domain
from provisioner.planning.hardware.window import Bars, largest_window_bytes, need_of
from provisioner.planning.plans import AddressWidth
from tests.unit.planning.factory import BOCHS, H100, L40S, TABLES, assigned, gpu, host, vm

MIB, GIB, TIB = 2**20, 2**30, 2**40
MEASURED = (16 * MIB, 64 * GIB, 32 * MIB)


def box(*gpus: GpuFacts, width: int | None = 46, iommu: int | None = None, libvirt: str = "11.3.0", **status: Any) -> GPUHost:
    capabilities = HostCapabilities(
        libvirt_version=libvirt, firmwares=("bios", "efi"), vfio=True, address_width_bits=width, cpu_modes=("host-passthrough",)
    )
    values = {"capabilities": capabilities, "iommu_address_width_bits": iommu, **status}
    return host("a", *gpus, nodes=1, **values)


def planned(where: GPUHost, *, firmware: str = "bios", memory_mib: int = 4096) -> HardwarePlan:
    machine = vm(gpus=assigned("a", *where.status.gpus))
    return plan_domain(machine, size=GuestSize(1, 2, memory_mib), host=where, tables=TABLES, firmware=firmware)


def cards(count: int, *bars: int, name: str = L40S) -> tuple[GpuFacts, ...]:
    return tuple(gpu(0x10 + number, name, bar_bytes=bars) for number in range(count))


@pytest.mark.parametrize(
    ("bars", "gib"),
    [
        ([Bars(MEASURED)], 2 * 64 + 64),
        ([Bars((64 * GIB,))], 2 * 64 + 64),
        ([Bars(MEASURED)] * 4, 4 * 128 + 64),
        ([Bars(MEASURED), Bars((16 * MIB, 128 * GIB))], 128 + 256 + 128),
        ([Bars((16 * MIB, 4096))], 1),
        ([Bars()], 0),
        ([], 0),
    ],
)
def test_a_gpu_needs_a_multiple_of_its_largest_bar(bars: list[Bars], gib: int) -> None:
    assert need_of(bars).size_gib == gib


def test_eight_bars_of_512_gib_fill_more_than_8_tib() -> None:
    assert need_of([Bars((512 * GIB, 32 * MIB))] * 8).size_bytes > 8 * TIB


def test_sizes_are_the_hosts_else_the_catalogues() -> None:
    made = planned(box(*cards(1, *MEASURED)))
    assert made.plan.pci_hole64_kib == 192 * MIB
    assert "PCI window 192 GiB: all BARs with their alignment, by BAR sizes read on the host" in made.reasons
    made = planned(box(gpu(0x41, H100), gpu(0x42, H100)))
    assert made.plan.pci_hole64_kib == (2 * 256 + 128) * MIB
    assert any("BAR sizes of the catalogue" in reason for reason in made.reasons)


def test_small_bars_need_no_window_of_their_own() -> None:
    plan = planned(box(gpu(0x01, BOCHS))).plan
    assert (plan.pci_hole64_kib, plan.address_width, plan.firmware_window_mib) == (None, None, None)


def test_ovmf_is_told_only_where_its_own_window_is_too_small() -> None:
    eight_b200 = cards(8, 64 * MIB, 256 * GIB, 32 * MIB)
    made = planned(box(*eight_b200, width=52), firmware="efi")
    assert made.plan.firmware_window_mib is None
    assert any("it makes 8192 GiB, one part in eight" in reason for reason in made.reasons)
    made = planned(box(*cards(8, 64 * MIB, 512 * GIB, 32 * MIB), width=52), firmware="efi")
    assert made.plan.firmware_window_mib == 16 * TIB // MIB
    assert "firmware window 16384 GiB, told to OVMF: it would make 8192 GiB by itself" in made.reasons
    made = planned(box(*cards(1, *MEASURED), width=39), firmware="efi")
    assert made.plan.firmware_window_mib == 256 * GIB // MIB
    assert planned(box(*cards(1, *MEASURED), width=39), firmware="bios").plan.firmware_window_mib is None


@pytest.mark.parametrize(
    ("width", "iommu", "libvirt", "expected"),
    [
        (46, None, "11.3.0", AddressWidth("passthrough")),
        (46, 48, "11.3.0", AddressWidth("passthrough")),
        (52, 48, "11.3.0", AddressWidth("passthrough", 48)),
        (46, 39, "9.3.0", AddressWidth("passthrough", 39)),
        (46, 39, "9.2.0", AddressWidth("emulate", 39)),
        (46, 39, "10.0.0", AddressWidth("passthrough", 39)),
        (None, 39, "11.3.0", AddressWidth("passthrough", 39)),
        (None, None, "", AddressWidth("passthrough")),
    ],
)
def test_a_narrow_iommu_bounds_what_the_guest_sees(
    width: int | None, iommu: int | None, libvirt: str, expected: AddressWidth
) -> None:
    assert planned(box(*cards(1, *MEASURED), width=width, iommu=iommu, libvirt=libvirt)).plan.address_width == expected


def test_emulation_has_a_width_of_its_own() -> None:
    where = box(*cards(1, *MEASURED), kvm=KvmVerdict(works=False))
    made = planned(where, firmware="efi")
    assert made.plan.address_width is None
    # One part in eight of 40 bits is 128 GiB.
    assert made.plan.firmware_window_mib == 256 * GIB // MIB


def test_bars_that_cannot_fit_are_refused_with_the_numbers() -> None:
    eight = cards(8, 64 * MIB, 128 * GIB, 32 * MIB, name=H100)
    with pytest.raises(Unsupported) as caught:
        planned(box(*eight, width=46, iommu=39), firmware="efi")
    assert caught.value.why == (
        "the GPUs' BARs want a window of 2176 GiB, efi makes at most 256 GiB with the 39 address bits of the IOMMU"
    )


def test_an_image_for_both_gets_uefi_only_where_bios_cannot_place_the_bars() -> None:
    assert planned(box(*cards(1, *MEASURED)), firmware="any").plan.firmware == "bios"
    many = box(*cards(15, 64 * MIB, 512 * GIB), width=52)
    made = planned(many, firmware="any", memory_mib=900 * 1024)
    assert made.plan.firmware == "efi"
    assert any("BIOS cannot place 15872 GiB of BARs" in reason for reason in made.reasons)
    with pytest.raises(Unsupported, match="cannot run the guest"):
        planned(many, firmware="bios", memory_mib=900 * 1024)


def test_a_host_without_the_firmware_is_named() -> None:
    where = box(*cards(1, *MEASURED))
    status = where.status.model_copy(update={"capabilities": HostCapabilities(vfio=True)})
    bare = where.model_copy(update={"status": status})
    with pytest.raises(Unsupported, match="cannot run the guest") as caught:
        planned(bare, firmware="efi")
    assert caught.value.why == "it has no efi firmware"
    assert planned(bare, firmware="any").plan.firmware == "bios"


@pytest.mark.parametrize("width", range(36, 53))
@pytest.mark.parametrize("firmware", ["bios", "efi"])
@pytest.mark.parametrize("memory_gib", [1, 60, 500, 1024, 3000])
def test_the_largest_window_fits_beside_the_memory(firmware: str, width: int, memory_gib: int) -> None:
    window = largest_window_bytes(firmware, width_bits=width, memory_mib=memory_gib * 1024)
    assert window is not None
    assert window == 0 or window + (memory_gib + 4) * GIB <= 2**width
