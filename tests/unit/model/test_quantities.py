from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.model.quantities import bytes_of, format_bytes, mib_of, whole_number_of


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0), ("5", 5), ("200Gi", 200 * 2**30), ("1.5Gi", 3 * 2**29), ("1G", 10**9), ("1k", 1000), ("1Ki", 1024),
        ("1e3", 1000), ("1E3", 1000), ("1E", 10**18), ("12e-1", 2), ("1500m", 2), ("100n", 1),
        ("+4Mi", 4 * 2**20), (" 4Mi ", 4 * 2**20),
        (".5Ki", 512), ("5.", 5), ("7Ei", 7 * 2**60),
    ],
)  # fmt: skip
def test_quantity_is_what_kubernetes_says(text: str, size_bytes: int):
    assert bytes_of(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no quantity"), ("Gi", "no quantity"), ("5 Gi", "write 5Gi"),
        ("16GB", "write 16Gi"), ("16gb", "write 16Gi"), ("1ki", "write 1Ki"),
        ("-5Gi", "negative"),
        ("1,5Gi", "no quantity"), ("0x10", "no quantity"), ("8Ei", "more than 8Ei"), ("1e999", "more than 8Ei"),
        ("9" * 65, "at most 64"), ("٣Gi", "no quantity"), ("1e1000", "no quantity"),
        ("NaN", "no quantity"), ("1Gi\n2", "no quantity"),
    ],
)  # fmt: skip
def test_what_is_no_quantity_is_told_so(text: str, says: str):
    with pytest.raises(ValueError, match=says):
        bytes_of(text)


def test_whole_numbers_may_be_written_in_thousandths():
    assert whole_number_of("4000m") == whole_number_of("4.0") == whole_number_of("4") == 4
    with pytest.raises(ValueError, match="no whole number"):
        whole_number_of("500m")


def test_mib_are_rounded_up():
    assert [mib_of(text) for text in ("1Gi", "1", "1M", "0")] == [1024, 1, 1, 0]


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_formatted_size_reads_as_itself(size_bytes: int):
    assert bytes_of(format_bytes(size_bytes)) == size_bytes


@given(st.text())
def test_any_text_is_a_quantity_or_a_sentence(text: str):
    try:
        found: object = bytes_of(text)
    except ValueError as error:
        found = str(error)
    assert 0 <= found < 2**63 if isinstance(found, int) else len(str(found)) > 10
