"""What is taken out of messages, and what stays readable."""

from __future__ import annotations

import base64
import json

import pytest

from provisioner.drivers.guest.keys import generate_key_pair
from provisioner.model.redaction import KEY_REMOVED, guest_words, without_private_keys

PEM = generate_key_pair("test").private_openssh
BODY = PEM.splitlines()[1]

USER_DATA = """#cloud-config
password: hunter2-long
chpasswd:
  list: |
    root:correct-horse
write_files:
  - path: /etc/token
    content: TOKEN="abc123def456"
runcmd:
  - curl -H 'X-Api-Key: zzz999zzz' https://example.org/join
packages: [curl, htop]
"""


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        json.dumps(PEM),
        json.dumps(json.dumps(PEM)),
        PEM[:200],
        PEM.replace("\n", "\r\n"),
        base64.b64encode(PEM.encode()).decode(),
    ],
    ids=["plain", "json", "json in json", "cut off", "windows", "base64"],
)
def test_a_private_key_goes_however_it_is_written(text: str) -> None:
    shown = without_private_keys(f"before {text} after")
    assert KEY_REMOVED in shown
    assert BODY[:40] not in shown
    assert base64.b64encode(PEM.encode()).decode()[60:120] not in shown
    assert shown.startswith("before ")


def test_two_keys_go_and_what_is_between_stays() -> None:
    assert without_private_keys(f"{PEM} between {PEM}").count("between") == 1


@pytest.mark.parametrize(
    "text", ["", "no host can take 1 x L40S", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 host", "-----BEGIN CERTIFICATE-----\nabc"]
)
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert without_private_keys(text) == text


@pytest.mark.parametrize("private", ["hunter2-long", "correct-horse", "abc123def456", "zzz999zzz"])
def test_what_the_user_data_keeps_to_itself_is_taken_out_of_a_guests_words(private: str) -> None:
    console = f"+ echo {private}\n[  12.3] systemd[1]: Started sshd"
    shown = guest_words(console, user_data=USER_DATA)
    assert private not in shown
    assert "Started sshd" in shown


def test_a_line_of_the_user_data_is_not_repeated() -> None:
    shown = guest_words("failed: - curl -H 'X-Api-Key: zzz999zzz' https://example.org/join", user_data=USER_DATA)
    assert "example.org" not in shown


def test_names_of_packages_stay() -> None:
    assert guest_words("E: Unable to locate package htop", user_data=USER_DATA) == "E: Unable to locate package htop"
