"""Readers of names, labels and other short texts with a form of their own: URLs, digests, PCI addresses, host URIs."""

from __future__ import annotations

import re
from collections.abc import Collection

from provisioner.model import names
from provisioner.model.door import scalars
from provisioner.model.door.nodes import ScalarNode, shown
from provisioner.model.door.places import Place, members_of
from provisioner.model.suggestions import nearest

HOST_URI_FORMS = (
    "qemu:///system",
    "qemu+ssh://root@HOST/system",
    "qemu+tls://HOST/system",
    "qemu+tcp://HOST/system",
    "kubevirt:",
    "kubevirt://CONTEXT",
    "test:///default",
    "simulated://HOST",
)
_HOST_URI = re.compile(
    r"qemu:///(system|session)|qemu\+unix:///system(\?[\x21-\x7e]*)?"
    r"|qemu\+(ssh|libssh|libssh2|tls|tcp)://([A-Za-z0-9._-]+@)?[A-Za-z0-9._:\[\]-]+(:[0-9]{1,5})?/system(\?[\x21-\x7e]*)?"
    r"|test:///default|test:///[\x21-\x7e]+\.xml|simulated://[A-Za-z0-9.-]+([/?][\x21-\x7e]*)?"
    r"|kubevirt:(//[\x21-\x3e\x40-\x7e]+)?(\?kubeconfig=[\x21-\x7e]+)?",
    re.ASCII,
)
_HTTP_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s\x00-\x1f]*)?")
_FILE_URL = re.compile(r"file:///[^\s\x00-\x1f]+")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_ADDRESS = re.compile(r"([0-9a-f]{4}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7]", re.IGNORECASE | re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,62}", re.ASCII)


def name(place: Place | None, default: str = "", *, longest: int = names.LONGEST_LABEL, may_be_empty: bool = False) -> str:
    """A name of an object. An empty text counts as absent where there is a default, or where it may be empty."""
    if place is None or (isinstance(place.node, ScalarNode) and place.node.text == "" and (default or may_be_empty)):
        return default
    before = place.findings.noted
    value = scalars.text(place, default)
    problem = names.problem_with_name(value, longest=longest)
    if not problem or place.findings.noted > before:
        return value
    place.mistake(f"{shown(value)}: {problem}", did_you_mean=names.suggested_name(value, longest=longest))
    return default


def word(place: Place | None, default: str = "") -> str:
    """One short word without blanks: a CPU model, a user, a pool, a driver branch. May be empty."""
    value = scalars.text(place, default)
    if place is not None and value and not _WORD.fullmatch(value):
        place.mistake(f"{shown(value)}: only letters, digits, '+', '.', '_' and '-', at most 63")
        return default
    return value


def known_word(place: Place | None, known: Collection[str], *, what: str, default: str) -> str:
    """A name of something that must be known, such as an instance type; empty is allowed."""
    if place is None:
        return default
    value = scalars.text(place, default)
    if value and value not in known:
        place.mistake(f"{what} {shown(value)} is not known", allowed=known, did_you_mean=nearest(value, known))
        return default
    return value


def labels(place: Place | None) -> dict[str, str]:
    """Labels, or a selector of labels."""
    read: dict[str, str] = {}
    for key, member in members_of(place):
        value = scalars.verbatim(member)
        problem = names.problem_with_label_key(key) or names.problem_with_label_value(value)
        if problem:
            member.mistake(problem)
        read[key] = value
    return read


def annotation_values(place: Place | None) -> dict[str, str]:
    """Annotations: keys as labels have, values free."""
    read: dict[str, str] = {}
    for key, member in members_of(place):
        if problem := names.problem_with_label_key(key):
            member.mistake(problem)
        read[key] = scalars.verbatim(member, longest=256 * 1024)
    return read


def url(place: Place | None, *, with_files: bool = False) -> str:
    """An http or https URL, or a file URL where those are allowed."""
    value = scalars.text(place, longest=2048).strip()
    if place is None or not value or _HTTP_URL.fullmatch(value) or (with_files and _FILE_URL.fullmatch(value)):
        return value
    forms = ("https://…", "http://…", "file:///…") if with_files else ("https://…", "http://…")
    guess = f"file://{value}" if with_files and _FILE_URL.fullmatch(f"file://{value}") and value.isprintable() else None
    place.mistake(f"{shown(value)} is no URL that an image can be read from", allowed=forms, did_you_mean=guess)
    return ""


def digest(place: Place | None) -> str:
    """A SHA-256 in hexadecimal, made lower case; may be empty."""
    value = scalars.text(place).strip().removeprefix("sha256:")
    if place is None or not value or _DIGEST.fullmatch(value):
        return value.lower()
    place.mistake(f"a SHA-256 has 64 hexadecimal digits, this has {len(value)} characters" + _other_digest(value))
    return ""


def pci_address(place: Place | None) -> str:
    """A PCI address in its long form, `0000:41:00.0`; the short form of lspci is completed."""
    value = scalars.text(place).strip().lower()
    if place is None:
        return ""
    if not _ADDRESS.fullmatch(value):
        place.mistake(f"{shown(value)} is no PCI address such as 0000:41:00.0")
        return ""
    return value if value.count(":") == 2 else f"0000:{value}"


def host_uri(place: Place | None) -> str:
    """How a hypervisor is reached."""
    value = scalars.text(place, longest=2048).strip()
    if place is None or not value or _HOST_URI.fullmatch(value):
        return value
    guess = f"qemu+{value}/system" if re.fullmatch(r"ssh://[A-Za-z0-9@.:_-]+", value) else nearest(value, HOST_URI_FORMS)
    place.mistake(f"{shown(value)} is no hypervisor URI that hikube can use", allowed=HOST_URI_FORMS, did_you_mean=guess)
    return ""


def _other_digest(value: str) -> str:
    kinds = {32: "MD5", 40: "SHA-1", 128: "SHA-512"}
    return f"; it looks like {kinds[len(value)]}" if len(value) in kinds and value.isalnum() else ""
