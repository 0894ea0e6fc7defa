"""User-data for a NoCloud source that has no vendor-data: the tenant's bytes and ours, side by side."""

from __future__ import annotations

import email
import pickle
from email.message import Message
from pathlib import Path

import pytest
import yaml

from templates.guest.hand_over import hand_over, our_secrets, ours_of
from templates.kubevirt import network_data, user_data, user_data_without_us
from tests.unit.guest.seeds import plan_with

MULTIPART = 'Content-Type: multipart/mixed; boundary="b"\nMIME-Version: 1.0\n\n--b\nContent-Type: text/cloud-config\n\n'
TENANT = "#cloud-config\nhostname: mine\n# ü, and 'quotes'\n"


def parts_of(text: str) -> dict[str, Message]:
    """The parts that cloud-init walks, by name; the tenant's has none."""
    found = [part for part in email.message_from_string(text).walk() if not part.is_multipart()]
    return {str(part.get_filename() or "tenant"): part for part in found}


def content(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


@pytest.mark.parametrize(
    "text", [TENANT, "#!/bin/sh\necho é\n", "#include\nhttps://example.com/x\n", "## template: jinja\n#cloud-config\n"]
)
def test_the_tenants_part_is_byte_for_byte(text: str) -> None:
    plan, _ = plan_with(user_data=text)
    tenant = parts_of(user_data(plan))["tenant"]
    assert content(tenant) == text.encode()
    assert tenant.get_content_type() == "text/plain", "cloud-init finds its kind by the first line"


def test_ours_come_after_and_only_add() -> None:
    plan, _ = plan_with(user_data=TENANT)
    parts = parts_of(user_data(plan))
    assert list(parts) == ["tenant", "hikube-host-key", "hikube-boothook", "hikube-ssh-keys"]
    assert parts["hikube-boothook"].get_content_type() == "text/cloud-boothook"
    for name in ("hikube-host-key", "hikube-ssh-keys"):
        assert parts[name]["Merge-Type"] == "dict(no_replace,recurse_dict,recurse_list)+list(append)+str()"
    assert yaml.safe_load(content(parts["hikube-ssh-keys"])) == {"ssh_authorized_keys": ["ssh-ed25519 AAAATENANT me@home"]}


def test_a_tenants_own_host_key_is_the_only_one() -> None:
    plan, _ = plan_with(user_data="#cloud-config\nssh_keys: {ed25519_private: x, ed25519_public: ssh-ed25519 AAAA}\n")
    assert "hikube-host-key" not in parts_of(user_data(plan))


def test_a_tenants_multipart_becomes_a_part() -> None:
    text = f"{MULTIPART}#cloud-config\na: 1\n--b--\n"
    plan, _ = plan_with(user_data=text)
    parts = parts_of(user_data(plan))
    assert content(parts["tenant"]) == b"#cloud-config\na: 1"
    assert "hikube-boothook" in parts


def test_without_any_of_the_tenants() -> None:
    plan, _ = plan_with(user_data="", ssh_keys=())
    assert list(parts_of(user_data(plan))) == ["hikube-host-key", "hikube-boothook"]
    assert user_data_without_us(plan) == ""


def test_without_us_no_secret_is_left() -> None:
    plan, _ = plan_with(user_data=TENANT)
    left = user_data_without_us(plan)
    assert list(parts_of(left)) == ["tenant", "hikube-ssh-keys"]
    assert "PRIVATE KEY" not in left
    assert plan.controller_public_key.split()[1] not in left


def test_hand_over_finds_our_secrets_and_not_the_tenants() -> None:
    theirs = plan_with()[0].host_private_key
    indented = "".join(f"      {line}\n" for line in theirs.splitlines())
    multipart = f"{MULTIPART}#cloud-config\nwrite_files:\n- path: /k\n  content: |\n{indented}--b--\n"
    plan, _ = plan_with(user_data=multipart)
    text = user_data(plan).encode()
    secrets = our_secrets(ours_of(text))
    assert {line.encode() for line in plan.host_private_key.splitlines()[2:-1] if len(line) >= 16} <= set(secrets)
    assert plan.controller_public_key.split()[1].encode() in secrets
    assert not {line.encode() for line in theirs.splitlines()[2:-1]} & set(secrets)


def test_the_network_is_by_mac_address() -> None:
    plan, _ = plan_with()
    found = yaml.safe_load(network_data(plan))
    assert found["ethernets"]["interface0"]["match"] == {"macaddress": "52:54:00:11:22:33"}


def test_after_hand_over_the_guests_own_files_have_no_secret_of_ours(tmp_path: Path) -> None:
    """What cloud-init keeps of user-data, as it keeps it of any: the raw text, the processed one, what it merged, its cache."""
    plan, _ = plan_with(user_data=TENANT)
    text = user_data(plan)
    merged = yaml.safe_dump({"hostname": "mine", "ssh_keys": {"ed25519_private": plan.host_private_key}}, default_style="|")
    kept = {"user-data.txt": text, "user-data.txt.i": text, "cloud-config.txt": merged, "boothooks/hikube-boothook": text}
    kept |= {"scripts/hikube-driver": "#!/bin/sh\n", "scripts/part-001": "#!/bin/sh\n"}
    instance = tmp_path / "var/lib/cloud/instances/i"
    for name, content_of_file in kept.items():
        file = instance / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content_of_file)
    (instance / "obj.pkl").write_bytes(pickle.dumps({"userdata_raw": text.encode()}))
    for _ in range(2):  # once more is nothing
        hand_over(str(tmp_path))
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for line in plan.host_private_key.splitlines()[2:-1]:
        assert line.encode() not in everything
    assert plan.controller_public_key.split()[1].encode() not in everything
    assert content(parts_of((instance / "user-data.txt").read_text())["tenant"]) == TENANT.encode()
    assert pickle.loads((instance / "obj.pkl").read_bytes())["userdata_raw"].startswith(b"Content-Type: multipart/mixed")
    assert sorted(path.name for path in (instance / "scripts").iterdir()) == ["part-001"]
