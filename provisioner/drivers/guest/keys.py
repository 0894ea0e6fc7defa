"""SSH key pairs of a VM: the guest's host key, and the controller's key that may run the report command.

Made in process, in OpenSSH's own format, without a passphrase: they live in a Secret and, the host key, in the guest's seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An ed25519 key pair."""

    private_openssh: str = field(repr=False)
    """PEM text, `-----BEGIN OPENSSH PRIVATE KEY-----` … with a final newline."""
    public_line: str
    """`ssh-ed25519 AAAA… comment`."""


def generate_key_pair(comment: str) -> KeyPair:
    """A new key pair from the system's random source. White space in the comment becomes dashes."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return KeyPair(private_openssh=private, public_line=f"{public} {'-'.join(comment.split())}".strip())
