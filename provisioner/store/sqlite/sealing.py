"""One value of a Secret as it lies in the file: encrypted and authenticated with AES-256-GCM, bound to its place.

    sealed:1:<id of the key>:<base64 of 12 random bytes and the ciphertext>

The uid of the Secret and the name of the value are authenticated with it, so that a value that was copied to another Secret, or
to another name of the same one, is refused as a forged one is. Imported only when there is something to seal: `cryptography`
is heavy.
"""

from __future__ import annotations

import base64
import binascii
import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from provisioner.store.sqlite.key_file import SealingKey

PREFIX = "sealed:1:"
_NONCE_BYTES = 12


def seal(value: str, *, key: SealingKey, uid: str, name: str) -> str:
    """The value as it is stored; another text each time."""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = nonce + AESGCM(key.secret).encrypt(nonce, value.encode(), _place(uid, name))
    return f"{PREFIX}{key.id}:{base64.b64encode(sealed).decode()}"


def unseal(token: str, *, key: SealingKey, uid: str, name: str) -> str | None:
    """The value, or None if it was not sealed with this key for this place."""
    try:
        sealed = base64.b64decode(token.rpartition(":")[2], validate=True)
        return AESGCM(key.secret).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _place(uid, name)).decode()
    except (binascii.Error, InvalidTag, ValueError):
        return None


def key_id_of(token: str) -> str:
    """The id of the key that it needs; empty if it is nothing sealed."""
    return token.removeprefix(PREFIX).partition(":")[0] if token.startswith(PREFIX) else ""


def _place(uid: str, name: str) -> bytes:
    return json.dumps(["hikube secret", uid, name]).encode()
