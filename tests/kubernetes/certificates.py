"""A certificate authority for one control plane: it signs what the servers show, and it *is* the user management.

A client certificate's common name is the user, its organisations are the groups, so any number of users can be made at any time
without a restart of the API server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str


class Authority:
    """Made anew for each control plane; its private key stays in memory."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("hikube tests")
        builder = _begin(self._name, self._key.public_key(), issuer=self._name)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate = _pem(builder.sign(self._key, hashes.SHA256()))

    def server(self, *addresses: str) -> KeyPair:
        """For servers that are reached at these addresses."""
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address)) for address in addresses])
        return self._sign(_name("servers"), names, ExtendedKeyUsageOID.SERVER_AUTH)

    def user(self, name: str, *, groups: Sequence[str] = ()) -> KeyPair:
        """For a client."""
        return self._sign(_name(name, groups), None, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _sign(self, name: x509.Name, extension: x509.SubjectAlternativeName | None, usage: x509.ObjectIdentifier) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _begin(name, key.public_key(), issuer=self._name).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        if extension is not None:
            builder = builder.add_extension(extension, critical=False)
        return KeyPair(_pem(builder.sign(self._key, hashes.SHA256())), _private(key))


def signing_key() -> str:
    """A private key (PEM) for the tokens of service accounts."""
    return _private(ec.generate_private_key(ec.SECP256R1()))


def _begin(name: x509.Name, key: ec.EllipticCurvePublicKey, *, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID)
    )


def _name(common_name: str, organisations: Sequence[str] = ()) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in organisations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    # "EC PRIVATE KEY" is the form that kube-apiserver's reader of service account keys knows.
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()
