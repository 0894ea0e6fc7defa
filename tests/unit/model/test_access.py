"""SSH keys and cloudInit: what a guest would silently ignore is refused before it boots."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from provisioner.model.door.ssh_keys import problem_with_key
from tests.unit.model.reading import KEY, complaints, mistakes, one, read, vm


def public_line(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def blob(*parts: bytes) -> str:
    return base64.b64encode(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).decode()


@pytest.mark.parametrize(
    "line",
    [
        public_line(ed25519.Ed25519PrivateKey.generate()) + " me@example with words",
        public_line(rsa.generate_private_key(65537, 2048)),
        public_line(ec.generate_private_key(ec.SECP256R1())),
        public_line(ec.generate_private_key(ec.SECP384R1())),
        public_line(ec.generate_private_key(ec.SECP521R1())),
        "sk-ssh-ed25519@openssh.com " + blob(b"sk-ssh-ed25519@openssh.com", b"k" * 32, b"ssh:"),
        "sk-ecdsa-sha2-nistp256@openssh.com " + blob(b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"k" * 65, b"ssh:"),
    ],
    ids=lambda line: line.split()[0],
)
def test_real_keys_are_accepted(line: str):
    assert problem_with_key(line) == ""


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (KEY[:40], "cut off"),
        (KEY.replace("AAAAC3", "AAAAC4"), "contains"),
        ("ssh-rsa " + KEY.split()[1], "contains"),
        ("ssh-ed25519 " + blob(b"ssh-ed25519", b"k" * 31), "damaged"),
        ("ssh-ed25519 " + blob(b"ssh-ed25519"), "damaged"),
        ("ssh-rsa " + blob(b"ssh-rsa", b"\x01\x00\x01", b"\x7f" * 128), "at least 2048 bits, not 1023"),
        ("ssh-rsa " + blob(b"ssh-rsa"), "not 0"),
        ("ecdsa-sha2-nistp256 " + blob(b"ecdsa-sha2-nistp256", b"nistp256", b"k" * 64), "damaged"),
        ("from=\"10.0.0.1\" " + KEY, "begins with its type"),
        ("ssh-ed25519", "missing"),
        ("ssh-dss AAAA", "DSA"),
        ("", "empty"),
        ("ssh-ed25519 !", "base64"),
        (KEY + "\n" + KEY, "one key a line"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
    ],
)  # fmt: skip
def test_a_key_that_would_lock_its_owner_out_is_refused(line: str, says: str):
    assert says in problem_with_key(line)


def test_user_data_arrives_byte_for_byte():
    script = '#!/bin/sh\n\tprintf "%s\\n" "a: b" <<EOF  \n$(x) &amp; <y>\nEOF\n'
    text = vm("  cloudInit: |\n" + "".join(f"    {line}\n" for line in script.splitlines()))
    assert one(text).spec.cloud_init == script


@pytest.mark.parametrize(
    "first",
    [
        "#cloud-config", "#!/bin/bash", "#cloud-boothook", "#include https://a/b", "#include-once", "#part-handler",
        "#cloud-config-archive", "## template: jinja",
        "Content-Type: multipart/mixed; boundary=x", "MIME-Version: 1.0", "#ps1_sysnative",
    ],
)  # fmt: skip
def test_every_format_of_cloud_init_is_accepted(first: str):
    assert complaints(vm(f"  cloudInit: |\n    {first}\n")) == []


@pytest.mark.parametrize(
    ("first", "meant"), [("# cloud-config", "#cloud-config"), ("cloud-init:", "#cloud-config"), ("/bin/sh", "#!"), ("ls", None)]
)
def test_what_cloud_init_would_ignore_is_refused(first: str, meant: str | None):
    (found,) = mistakes(vm(f"  cloudInit: |\n    {first}\n    b\n"))
    assert found.get("did_you_mean") == meant and found["line"] == 5


@pytest.mark.parametrize("indent", [4, 7])
def test_a_mistake_inside_cloud_config_has_its_line_and_column_of_the_file(indent: int):
    lines = ["#cloud-config", "packages:", "  - curl", " - wget"]
    (found,) = mistakes(vm("  external: true\n  cloudInit: |\n" + "".join(f"{' ' * indent}{line}\n" for line in lines)))
    assert (found["line"], found["column"], found["path"]) == (10, indent + 2, "spec.cloudInit")


def test_a_block_of_another_style_is_named_with_its_own_line():
    (complaint,) = complaints(vm('  cloudInit: "#cloud-config\\na: 1\\nb: [\\nc"'))
    assert "on line 3 of cloudInit" in complaint and complaint.startswith("5 ")


def test_what_cloud_init_accepts_is_at_most_a_warning():
    found = read(vm("  cloudInit: |\n    #cloud-config\n    a: !!binary aGk=\n    runcmd: [x]\n    runcmd: [y]\n"))
    assert [(warning.position.line, warning.position.column) for warning in found.warnings] == [(9, 5)]


def test_a_placeholder_inside_a_script_has_the_line_where_it_stands():
    (found,) = mistakes(
        vm("  cloudInit: |\n    #cloud-config\n    users:\n      - ssh_authorized_keys: [ssh-ed25519 AAAA... me]\n")
    )
    assert found["line"] == 8 and "placeholder" in found["message"]
