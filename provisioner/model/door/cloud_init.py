"""The tenant's cloudInit: one of cloud-init's formats, and YAML that parses where it is cloud-config.

A guest ignores user-data that it does not understand and boots without it, so a slip here costs a whole start. Lines are those
of the file: a mistake on line 3 of the block is reported where line 3 of the block stands.
"""

from __future__ import annotations

import re

from provisioner.model.door import scalars
from provisioner.model.door.mistakes import Findings, Mistake
from provisioner.model.door.nodes import MapNode, Position, ScalarNode, shown
from provisioner.model.door.placeholders import placeholder_within
from provisioner.model.door.places import Place
from provisioner.model.door.yaml_text import SAFE_LOADER, Limits, read_documents

LONGEST = 512 * 1024
FORMATS = (
    "#cloud-config",
    "#!",
    "#cloud-boothook",
    "#include",
    "#include-once",
    "#part-handler",
    "#cloud-config-archive",
    "## template: jinja",
    "MIME",
    "#ps1",
)
_MIME = re.compile(r"(mime-version|content-type|content-transfer-encoding)\s*:", re.IGNORECASE)
_FIRST_WORDS = tuple(word for word in FORMATS if word.startswith("#") and word != "#cloud-config")


def read_cloud_init(place: Place | None) -> str:
    """The user-data, byte for byte."""
    content = scalars.verbatim(place, longest=LONGEST)
    if place is None or not content.strip():
        return ""
    if held := placeholder_within(content):
        number = content[: content.index(held)].count("\n") + 1
        _at_line(place, number).mistake(f"{shown(held)} is a placeholder from a document; put the real value here")
    first = content.split("\n", 1)[0].rstrip()
    if first == "#cloud-config":
        _check_cloud_config(place, content)
    elif not (first.startswith(_FIRST_WORDS) or _MIME.match(first)):
        place.mistake(_unknown_format(first), allowed=FORMATS, did_you_mean=_meant(first))
    return content


def _check_cloud_config(place: Place, content: str) -> None:
    """Parse it as cloud-init will, with positions of the file where the style of the block keeps them."""
    inner = Findings(place.findings.file, tuple(content.split("\n")), shift=_shift(place))
    documents = read_documents(content, inner, limits=Limits(document=LONGEST, documents=1), dialect=SAFE_LOADER)
    for found in inner.mistakes:
        there, message = _in_the_file(place, found)
        there.mistake(message)
    for found in inner.warnings:
        there, message = _in_the_file(place, found)
        there.warn(f"{message}; cloud-init keeps the last one")
    if not inner.mistakes and documents and not isinstance(documents[0].root, MapNode):
        place.mistake("a #cloud-config must be a mapping (key: value)")


def _in_the_file(place: Place, found: Mistake) -> tuple[Place, str]:
    """Where a finding of the block is in the file, and how to say it."""
    if _keeps_lines(place):
        return place.on_line(found.position), f"in cloudInit: {found.message}"
    return place, f"on line {found.position.line} of cloudInit: {found.message}"


def _keeps_lines(place: Place) -> bool:
    return isinstance(place.node, ScalarNode) and place.node.style == "literal"


def _shift(place: Place) -> tuple[int, int]:
    """Lines above the block's content in the file, and the columns that indent it."""
    if not _keeps_lines(place):
        return (0, 0)
    assert isinstance(place.node, ScalarNode)
    above = place.node.position.line
    written = next((line for line in place.findings.lines[above:] if line.strip()), "")
    return (above, len(written) - len(written.lstrip(" ")))


def _at_line(place: Place, number: int) -> Place:
    if not _keeps_lines(place):
        return place
    above, indent = _shift(place)
    return place.on_line(Position(above + number, indent + 1))


def _unknown_format(first: str) -> str:
    if not first:
        return "cloudInit begins with an empty line; its first line must name its format, such as #cloud-config"
    if first.startswith("\x1f\x8b"):
        return "compressed user-data is not accepted; write it as text"
    return f"the first line must name a format that cloud-init knows, such as #cloud-config, not {shown(first, 40)}"


def _meant(first: str) -> str | None:
    squeezed = re.sub(r"[^a-z]", "", first.lower())
    if squeezed in {"cloudconfig", "cloudinit", "clouldconfig", "cloudconfg"}:
        return "#cloud-config"
    return "#!" if first.startswith(("/bin/", "/usr/bin/", "!/")) else None
