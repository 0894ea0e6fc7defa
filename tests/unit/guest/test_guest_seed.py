"""The texts of a seed: the tenant's stay as they are, ours cannot be argued away by theirs, and the ISO carries them."""

from __future__ import annotations

import base64
import email
import gzip
import re
import subprocess
from email.message import Message

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.drivers.guest.keys import generate_key_pair
from provisioner.drivers.images.seed import build_seed_iso, read_seed_iso
from provisioner.model.errors import ImageError
from templates.guest import DriverInstall, SeedContent, pinned_host_key
from tests.unit.guest.seeds import plan_with, relocated_boothook


def parts_of(content: SeedContent) -> dict[str, str]:
    message = email.message_from_bytes(content.vendor_data)
    return {name_of(part): text_of(part) for part in message.walk() if not part.is_multipart()}


def name_of(part: Message) -> str:
    return f"{part.get_content_type()} {part.get_filename()}"


def text_of(part: Message) -> str:
    assert part["Content-Transfer-Encoding"] == "7bit", "an encoded secret could not be found again by hand-over"
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode("ascii")


@given(st.text(alphabet=st.characters(codec="utf-8")))
@settings(max_examples=50, deadline=None)
def test_user_data_is_the_tenants_byte_for_byte(text: str) -> None:
    assert plan_with(user_data=text)[1].user_data == text.encode()


def test_meta_data_and_network_config() -> None:
    _, content = plan_with(hostname="n", mac_addresses=("52:54:00:00:00:01", "52:54:00:00:00:02"))
    assert yaml.safe_load(content.meta_data) == {
        "instance-id": "i-1",
        "local-hostname": "n",
        "public-keys": ["ssh-ed25519 AAAATENANT me@home"],
    }
    network = yaml.safe_load(content.network_config)
    first, second = network["ethernets"].values()
    assert network["version"] == 2
    assert first == {"match": {"macaddress": "52:54:00:00:00:01"}, "dhcp4": True, "dhcp-identifier": "mac"}
    assert second["dhcp4-overrides"] == {"use-routes": False}


def test_vendor_data_has_the_host_key_and_the_boothook_in_parts_of_their_own() -> None:
    plan, content = plan_with()
    parts = parts_of(content)
    assert list(parts) == ["text/cloud-config hikube-host-key", "text/cloud-boothook hikube-boothook"]
    config = yaml.safe_load(parts["text/cloud-config hikube-host-key"])
    assert config["ssh_keys"] == {"ed25519_private": plan.host_private_key, "ed25519_public": plan.host_public_key}
    assert not {"packages", "runcmd", "bootcmd", "users", "write_files"} & set(config), "lists lose against the user's"


def test_the_boothook_is_a_shell_script_that_carries_both_programs() -> None:
    plan, content = plan_with()
    script = parts_of(content)["text/cloud-boothook hikube-boothook"]
    assert script.startswith("#cloud-boothook\n#!/bin/sh\n")
    checked = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert f"'restrict,command=\"/usr/local/sbin/hikube-report\" {plan.controller_public_key}'" in script
    assert script.count("\nHIKUBE_END\n") == 2


def test_the_boothook_does_what_it_says(tmp_path) -> None:
    """Run for real, with its paths moved below a folder."""
    plan, content = plan_with()
    subprocess.run(["sh"], input=relocated_boothook(content, tmp_path), text=True, check=True, timeout=30)
    keys = (tmp_path / "root/.ssh/authorized_keys").read_text()
    assert keys == f'restrict,command="{tmp_path}/usr/local/sbin/hikube-report" {plan.controller_public_key}\n'
    answer = subprocess.run([tmp_path / "usr/local/sbin/hikube-report"], capture_output=True, text=True, check=True, timeout=30)
    assert answer.stdout.startswith('{"version": 1')


@pytest.mark.parametrize("distribution", ["ubuntu", "debian"])
def test_a_driver_is_installed_by_a_script_of_its_own(distribution: str) -> None:
    _, content = plan_with(driver=DriverInstall(distribution, branch="570-server-open"))  # type: ignore[arg-type]
    script = parts_of(content)["text/x-shellscript hikube-driver"]
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    assert "DPkg::Lock::Timeout" in script
    assert "blacklist nouveau" in script
    if distribution == "ubuntu":
        assert "nvidia-headless-no-dkms-570-server-open nvidia-utils-570-server\n" in script


def test_the_same_plan_gives_the_same_bytes() -> None:
    plan, content = plan_with()
    assert plan_with(**{name: getattr(plan, name) for name in plan.__slots__})[1] == content


def test_secrets_are_not_in_the_text_of_values() -> None:
    plan, content = plan_with()
    secret = plan.host_private_key.splitlines()[3]
    assert secret in content.vendor_data.decode()
    assert secret not in repr(plan) + repr(content)


class TestPinnedHostKey:
    """cloud-init's merge gives the user's ssh_keys precedence, so the pin follows them."""

    theirs = generate_key_pair("theirs")

    def config(self, **keys: str) -> str:
        return "#cloud-config\n" + yaml.safe_dump({"ssh_keys": keys})

    @pytest.mark.parametrize("user_data", ["", "#cloud-config\nssh_deletekeys: false", "#!/bin/sh\n", "#cloud-config\n[: bad"])
    def test_ours_where_the_user_says_nothing_about_it(self, user_data: str) -> None:
        assert pinned_host_key(user_data, "ours") == "ours"
        assert b"ed25519_private" in plan_with(user_data=user_data)[1].vendor_data

    def test_ours_beside_a_user_key_of_another_type(self) -> None:
        user_data = self.config(rsa_private="-----BEGIN", rsa_public="ssh-rsa AAAA")
        assert pinned_host_key(user_data, "ours") == "ours"
        assert b"ed25519_private" in plan_with(user_data=user_data)[1].vendor_data

    def test_the_users_and_then_ours_stays_away(self) -> None:
        user_data = self.config(ed25519_private=self.theirs.private_openssh, ed25519_public=self.theirs.public_line)
        assert pinned_host_key(user_data, "ours") == self.theirs.public_line
        assert b"ssh_keys" not in plan_with(user_data=user_data)[1].vendor_data

    def test_the_public_half_is_computed_where_only_the_private_one_is_given(self) -> None:
        user_data = self.config(ed25519_private=self.theirs.private_openssh)
        assert pinned_host_key(user_data, "ours").split() == self.theirs.public_line.split()[:2]

    def test_in_a_gzipped_multipart(self) -> None:
        encoded = base64.encodebytes(self.config(ed25519_public=self.theirs.public_line).encode()).decode()
        message = (
            'Content-Type: multipart/mixed; boundary="b"\nMIME-Version: 1.0\n\n--b\nContent-Type: text/cloud-config\n'
            f"Content-Transfer-Encoding: base64\n\n{encoded}\n--b--\n"
        )
        assert pinned_host_key(gzip.compress(message.encode()), "ours") == self.theirs.public_line

    def test_a_bomb_is_not_unpacked(self) -> None:
        assert pinned_host_key(gzip.compress(bytes(50 << 20)), "ours") == "ours"


class TestIso:
    def test_it_reads_back(self) -> None:
        _, content = plan_with(user_data="#cloud-config\nhostname: ü\n")
        assert read_seed_iso(build_seed_iso(content)) == content

    def test_an_empty_user_data_is_a_file_all_the_same(self) -> None:
        image = build_seed_iso(plan_with()[1])
        assert b"user-data" in image
        assert read_seed_iso(image).user_data == b""

    def test_the_same_content_gives_the_same_bytes_and_no_date_of_today(self) -> None:
        _, content = plan_with()
        image = build_seed_iso(content)
        assert build_seed_iso(content) == image
        assert len(re.findall(rb"20000101000000", image)) >= 6

    def test_the_label_is_what_cloud_init_looks_for(self) -> None:
        assert build_seed_iso(plan_with()[1])[32808:32814] == b"cidata"

    @pytest.mark.parametrize("data", [b"", b"x" * 100000])
    def test_what_is_no_image_is_an_image_error(self, data: bytes) -> None:
        with pytest.raises(ImageError):
            read_seed_iso(data)


def test_key_pairs_differ_and_are_what_openssh_expects(tmp_path) -> None:
    first, second = generate_key_pair("hikube of a/b\n"), generate_key_pair("x")
    assert first.public_line != second.public_line
    assert first.public_line.endswith(" hikube-of-a/b")
    file = tmp_path / "key"
    file.write_text(first.private_openssh)
    file.chmod(0o600)
    public = subprocess.run(["ssh-keygen", "-y", "-f", file], capture_output=True, text=True, check=True).stdout
    assert public.split()[:2] == first.public_line.split()[:2]
    assert first.private_openssh not in repr(first)
