"""Names: what may name an object, a namespace, a label; with room for the names that we derive.

RFC 1123 labels throughout. A VM's name becomes its host name, and `<vm>-access` (its Secret) and the names of a cluster's
workers (`<cluster>-<group>-xxxxx`) must still be labels, so VMs and disks get 56 characters and the others the full 63.
"""

from __future__ import annotations

import re

LONGEST_LABEL = 63
LONGEST_VM_NAME = 56
LONGEST_WORKER_STEM = LONGEST_VM_NAME - len("--xxxxx")
"""Cluster and group name together."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_LABEL_PREFIX = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


def problem_with_name(name: str, *, longest: int = LONGEST_LABEL) -> str:
    """What is wrong with an object's name, as a sentence; empty: nothing."""
    if not name:
        return "a name is empty"
    if len(name) > longest:
        return f"a name has at most {longest} characters, not {len(name)}"
    if not _LABEL.fullmatch(name):
        return "a name has lower-case letters, digits and '-' only, and begins and ends with a letter or digit"
    return ""


def suggested_name(name: str, *, longest: int = LONGEST_LABEL) -> str | None:
    """The nearest valid name to an invalid one, or None if it is too long or hardly anything is left of it."""
    if len(name) > longest:
        return None
    made = re.sub(r"-{2,}", "-", re.sub(r"[^a-z0-9-]", "-", name.lower())).strip("-")
    return made if len(made) >= 3 and len(made) * 2 > len(name) else None


def problem_with_label_key(key: str) -> str:
    """What is wrong with the key of a label or annotation; empty: nothing."""
    prefix, slash, name = key.rpartition("/")
    if slash and not _LABEL_PREFIX.fullmatch(prefix):
        return "the part before '/' must be a DNS name"
    if not name or not _LABEL_VALUE.fullmatch(name):
        return "a key has letters, digits, '-', '_' and '.', at most 63, after an optional DNS name and '/'"
    return ""


def problem_with_label_value(value: str) -> str:
    """What is wrong with the value of a label; empty: nothing."""
    return "" if _LABEL_VALUE.fullmatch(value) else "a label's value has letters, digits, '-', '_' and '.', at most 63"
