from __future__ import annotations

import pytest

from provisioner.model.tables import Tables

GPUS = Tables.builtin().gpus


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("nvidia.com/AD102GL_L40S", "nvidia.com/AD102GL_L40S"),
        ("AD102GL_L40S", "nvidia.com/AD102GL_L40S"),
        ("l40s", "nvidia.com/AD102GL_L40S"),
        ("L40S", "nvidia.com/AD102GL_L40S"),
        ("10de:26b9", "nvidia.com/AD102GL_L40S"),
        ("10DE:26B9", "nvidia.com/AD102GL_L40S"),
        ("nvidia.com/H100_94GB", "nvidia.com/GH100_H100L_94GB"),
        ("H100_94GB", "nvidia.com/GH100_H100L_94GB"),
        ("10de:2321", "nvidia.com/GH100_H100L_94GB"),
        ("10de:20b1", "nvidia.com/GA100_A100_PCIE_40GB"),
        ("nvidia.com/2909", "nvidia.com/GB100_HGX_B200_168GB"),
        ("bochs", "hikube.cloud/bochs-display"),
        ("1234:1111", "hikube.cloud/bochs-display"),
        ("nvme-standin", "hikube.cloud/nvme-standin"),
        ("15b3:1021", "pci.hikube.cloud/15b3-1021"),
        ("pci.hikube.cloud/15b3-1021", "pci.hikube.cloud/15b3-1021"),
        ("pci.hikube.cloud/10de-26b9", "nvidia.com/AD102GL_L40S"),
    ],
)
def test_every_name_of_a_gpu_finds_its_model(written: str, canonical: str):
    model = GPUS.resolve(written)
    assert model is not None
    assert model.name == canonical
    assert GPUS.resolve(model.name) == model


@pytest.mark.parametrize("written", ["", "gpu", "nvidia.com/gpu", "h100", "10de", "10de:26b", "10de:26b9:1", "٠٠de:26b9"])
def test_what_names_no_model_finds_none(written: str):
    assert GPUS.resolve(written) is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("nvidia.com/AD102GL_L40SS", "nvidia.com/AD102GL_L40S"),
        ("nvidia.com/L40S", "nvidia.com/AD102GL_L40S"),
        ("rtx4090", "nvidia.com/AD102_GEFORCE_RTX_4090"),
        ("bosch", "hikube.cloud/bochs-display"),
        ("zzzzzzzzzz", None),
    ],
)
def test_a_slip_is_met_with_the_name_that_was_meant(written: str, meant: str | None):
    assert GPUS.suggest(written) == meant


def test_a_name_of_a_family_lists_its_members():
    assert "h100-nvl" in GPUS.candidates("H100") and "h100-pcie" in GPUS.candidates("nvidia.com/h100")
    assert GPUS.candidates("l40s") == ()


def test_ids_of_unknown_devices_have_a_name_too():
    assert GPUS.by_id("10de:ffff") is None
    assert GPUS.name_for_id("10DE:FFFF") == "pci.hikube.cloud/10de-ffff"
    assert GPUS.name_for_id("10de:2335") == "nvidia.com/GH100_H200_SXM_141GB"


def test_catalogue_has_every_card_of_hikube_and_says_how_each_is_proven():
    l40s, a100, h100, bochs = (GPUS.resolve(name) for name in ("l40s", "nvidia.com/GA100_A100_PCIE_80GB", "H100_94GB", "bochs"))
    assert l40s and a100 and h100 and bochs
    assert [model.memory_gib for model in (l40s, a100, h100)] == [48, 80, 94]
    assert [model.bar1_mib // 1024 for model in (l40s, a100, h100)] == [64, 128, 128]
    assert l40s.is_nvidia and not bochs.is_nvidia and bochs.is_stand_in
    assert {model.name for model in GPUS.models if model.needs_open_modules} >= {"nvidia.com/GB100_B200"}


def test_names_and_ids_are_nobody_elses():
    shorts = [short for model in GPUS.models for short in model.short_names]
    ids = [identifier for model in GPUS.models for identifier in model.ids]
    assert len(set(shorts)) == len(shorts) and len(set(ids)) == len(ids)
