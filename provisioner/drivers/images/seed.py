"""The NoCloud seed as an ISO 9660 image, written and read in process.

Volume label `cidata`, Rock Ridge and Joliet, four files with the lower-case names that cloud-init looks for. The same content
gives the same bytes: every date in the image is fixed, so that an unchanged seed is recognised by its digest.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pycdlib
from pycdlib.pycdlibexception import PyCdlibException

from provisioner.model.errors import ImageError
from templates.guest.seed import SeedContent

LABEL = "cidata"
SECTOR = 2048
_FILES = {
    "user-data": ("user_data", "/USERDATA.;1"),
    "vendor-data": ("vendor_data", "/VENDDATA.;1"),
    "meta-data": ("meta_data", "/METADATA.;1"),
    "network-config": ("network_config", "/NETCONF.;1"),
}
_RECORD_DATE = bytes((100, 1, 1, 0, 0, 0, 0))
"""2000-01-01T00:00:00Z as a directory record writes it: years since 1900, month, day, hour, minute, second, quarter hours."""
_VOLUME_DATE = b"2000010100000000\x00"
_TIMES = ("creation_time", "access_time", "modification_time", "attribute_change_time")


def build_seed_iso(content: SeedContent) -> bytes:
    """The image that a guest gets as a CD-ROM."""
    disc = pycdlib.PyCdlib()
    disc.new(vol_ident=LABEL, joliet=3, rock_ridge="1.09")
    for name, (attribute, path) in _FILES.items():
        data = getattr(content, attribute)
        disc.add_fp(io.BytesIO(data), len(data), path, rr_name=name, joliet_path=f"/{name}", file_mode=0o100400)
    _fix_dates(disc)
    image = io.BytesIO()
    disc.write_fp(image)
    disc.close()
    _fix_modification_dates(image)
    return image.getvalue()


def read_seed_iso(data: bytes) -> SeedContent:
    """The files of a seed; one that is missing reads as empty.

    Raises:
        ImageError: the data are no ISO 9660 image with the label of a seed.
    """
    disc = pycdlib.PyCdlib()
    try:
        disc.open_fp(io.BytesIO(data))
    except PyCdlibException as error:
        raise ImageError("the seed cannot be read", why=str(error)) from error
    try:
        label = disc.pvd.volume_identifier.decode("ascii", "replace").strip()
        if label.lower() != LABEL:
            raise ImageError("the image is no seed", why=f"its label is {label!r}, not {LABEL!r}")
        return SeedContent(**{attribute: _read(disc, path) for attribute, path in _FILES.values()})
    finally:
        disc.close()


def _read(disc: Any, path: str) -> bytes:
    out = io.BytesIO()
    try:
        disc.get_file_from_iso_fp(out, iso_path=path)
    except PyCdlibException:
        return b""
    return out.getvalue()


def _fix_dates(disc: Any) -> None:
    """Set every date before the image is written: pycdlib stamps what it makes with the present time."""
    for volume in (disc.pvd, disc.joliet_vd):
        for name in ("volume_creation_date", "volume_effective_date"):
            setattr(volume, name, _parsed(getattr(volume, name), _VOLUME_DATE))
        for record in _records(volume.root_directory_record()):
            record.date = _parsed(record.date, _RECORD_DATE)
            if record.rock_ridge is not None:
                _fix_time_stamps(record.rock_ridge)


def _fix_modification_dates(image: io.BytesIO) -> None:
    """pycdlib stamps the modification date of each volume descriptor while it writes: byte 830 of sectors 16 and 17."""
    for sector in (16, 17):
        image.seek(sector * SECTOR + 830)
        image.write(_VOLUME_DATE)


def _records(directory: Any) -> Iterator[Any]:
    yield directory
    yield from directory.children


def _fix_time_stamps(rock_ridge: Any) -> None:
    for entries in (rock_ridge.dr_entries, rock_ridge.ce_entries):
        stamps = getattr(entries, "tf_record", None)
        for name in _TIMES:
            if getattr(stamps, name, None) is not None:
                setattr(stamps, name, _parsed(getattr(stamps, name), _RECORD_DATE))


def _parsed(date: Any, text: bytes) -> Any:
    fixed = type(date)()
    fixed.parse(text)
    return fixed
