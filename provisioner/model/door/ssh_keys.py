"""SSH public keys as `authorized_keys` has them: type, base64, and the length that the type demands.

A key that is cut off or mangled by a copy would lock its owner out of a machine that boots well otherwise, so the bytes are
looked into: the type inside must be the type outside, and every part must be there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from provisioner.model.door.nodes import shown

TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
LEAST_RSA_BITS = 2048
_POINT_BYTES = {"nistp256": 65, "nistp384": 97, "nistp521": 133}


def problem_with_key(line: str) -> str:
    """What is wrong with a public key line, as a sentence; empty: nothing."""
    if "PRIVATE KEY" in line:
        return "this is a private key; only the public one (the .pub file) belongs here, and this one should be replaced"
    if "\n" in line.strip():
        return "one key a line; give every key its own item"
    words = line.split(None, 2)
    if not words:
        return "an SSH key is empty"
    if words[0] == "ssh-dss":
        return "DSA keys are not accepted by any current OpenSSH; make an ssh-ed25519 key"
    if words[0] not in TYPES:
        return f"an SSH public key begins with its type ({', '.join(TYPES[:3])}, …), not with {shown(words[0], 30)}"
    if len(words) < 2:
        return f"the key is missing after {words[0]}"
    return _problem_with_blob(words[0], words[1])


def _problem_with_blob(key_type: str, encoded: str) -> str:
    try:
        parts = list(_parts(base64.b64decode(encoded, validate=True)))
    except (binascii.Error, ValueError):
        return f"the {key_type} key is no base64 text, or is cut off"
    inner = parts[0].decode("ascii", "replace") if parts else ""
    if inner != key_type:
        return f"the key says {key_type} and contains {shown(inner, 30)}"
    if key_type == "ssh-rsa":
        bits = int.from_bytes(parts[2], "big").bit_length() if len(parts) == 3 else 0
        return "" if bits >= LEAST_RSA_BITS else f"an RSA key needs at least {LEAST_RSA_BITS} bits, not {bits}"
    wanted = 32 if "ed25519" in key_type else _POINT_BYTES[key_type.split("-sha2-")[1].split("@")[0]]
    key = parts[2 if "ecdsa" in key_type else 1 :][:1]
    return "" if key and len(key[0]) == wanted else f"the {key_type} key is cut off or damaged"


def _parts(blob: bytes) -> Iterator[bytes]:
    """The length-prefixed strings of a key; ValueError if the last one is cut off."""
    while blob:
        length = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + length:
            raise ValueError("cut off")
        yield blob[4 : 4 + length]
        blob = blob[4 + length :]
