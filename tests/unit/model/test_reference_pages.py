"""The reference pages list what the tables hold, row by row, and every field that a document may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.model.door import gpu_host, gpu_quota, image, kubernetes, kubernetes_nodes, node_groups, virtual_machine
from provisioner.model.tables import Tables
from tests.unit.model import reference_pages

PAGES = Path(__file__).parents[3] / "docs" / "reference"
TABLES = Tables.builtin()


@pytest.mark.parametrize(
    ("page", "rows"),
    [
        ("gpu-catalogue.md", reference_pages.gpu_rows(TABLES)),
        ("instance-types.md", reference_pages.instance_type_rows(TABLES)),
        ("instance-types.md", reference_pages.image_rows(TABLES)),
        ("instance-types.md", reference_pages.profile_rows(TABLES)),
    ],
    ids=["gpus", "instance types", "images", "profiles"],
)
def test_page_has_every_row_of_the_table(page: str, rows: list[str]):
    text = (PAGES / page).read_text(encoding="utf-8")
    assert "\n".join(rows) in text, f"{page}: put these rows there\n" + "\n".join(rows)


@pytest.mark.parametrize("module", [virtual_machine, gpu_host, gpu_quota, kubernetes, kubernetes_nodes])
def test_page_of_resources_names_every_field(module: object):
    text = (PAGES / "resources.md").read_text(encoding="utf-8")
    assert [field for field in module.FIELDS if f"`{field}`" not in text] == []  # type: ignore[attr-defined]


def test_page_of_resources_names_the_fields_of_groups_and_images():
    text = (PAGES / "resources.md").read_text(encoding="utf-8")
    assert [field for field in (*node_groups.GROUP_FIELDS, *image.IMAGE_FIELDS) if f"`{field}`" not in text] == []
