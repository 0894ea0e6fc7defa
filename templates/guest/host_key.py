"""Which SSH host key a guest will show, when the tenant's cloud-config may set its own.

cloud-init gives the user's `ssh_keys` precedence over ours, key by key, so a host key that the tenant chose is the one to pin.
Only what can be read without running anything is looked at: a cloud-config, alone or as a part of a MIME multipart, gzipped or
not. A key behind a Jinja template, an #include or a script is not seen; such a guest is refused for showing another key.
"""

from __future__ import annotations

import email
import gzip
import io
import zlib
from typing import Any

import yaml
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

_NAMES = ("ed25519_private", "ed25519_public")
SIZE_LIMIT = 1 << 20
"""Of user-data, unpacked; a larger one is not searched."""


def pinned_host_key(user_data: str | bytes, ours: str) -> str:
    """The public key line to pin: the tenant's ed25519 host key if the user-data sets one, else `ours`.

    Where only the private half is given, as cloud-init allows, the public one is computed from it.
    """
    keys = _ed25519_keys(user_data)
    return keys.get("ed25519_public", "").strip() or _public_of(keys.get("ed25519_private", "")) or ours


def sets_host_key(user_data: str | bytes) -> bool:
    """Whether the tenant sets an ed25519 host key. Ours must stay away then: merged halves of two keys fit no sshd."""
    return bool(_ed25519_keys(user_data))


def _ed25519_keys(user_data: str | bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for config in _cloud_configs(user_data):
        keys = config.get("ssh_keys")
        if isinstance(keys, dict):
            found |= {
                str(name): str(value) for name, value in keys.items() if str(name) in {"ed25519_private", "ed25519_public"}
            }
    return found


def _cloud_configs(user_data: str | bytes) -> list[dict[str, Any]]:
    raw = user_data.encode() if isinstance(user_data, str) else user_data
    raw = _unzipped(raw)
    if len(raw) > SIZE_LIMIT:
        return []
    if b"mime-version:" not in raw[:4096].lower():
        return _parsed(raw)
    parts = [part.get_payload(decode=True) for part in email.message_from_bytes(raw).walk() if not part.is_multipart()]
    return [config for part in parts if isinstance(part, bytes) for config in _parsed(part)]


def _parsed(raw: bytes) -> list[dict[str, Any]]:
    text = raw.decode(errors="replace").lstrip()
    if not text.lower().startswith("#cloud-config"):
        return []
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return []
    return [found] if isinstance(found, dict) else []


def _unzipped(raw: bytes) -> bytes:
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        return gzip.GzipFile(fileobj=io.BytesIO(raw)).read(SIZE_LIMIT + 1)
    except (OSError, EOFError, zlib.error):
        return b""


def _public_of(private: str) -> str:
    if not private:
        return ""
    try:
        key = load_ssh_private_key(private.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return ""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
