"""The jump takes from a libvirt URI what libvirt's own ssh transport takes."""

from __future__ import annotations

import pytest

from provisioner.drivers.guest.jump import jump_argv

ALWAYS = ["-o", "BatchMode=yes", "-o", "ControlMaster=no", "-o", "ConnectTimeout=15"]


@pytest.mark.parametrize(
    "uri",
    ["qemu:///system", "qemu:///session", "test:///default", "simulated://a", "qemu+tls://h/system", "qemu+unix:///system"],
)
def test_local_hosts_and_other_transports_are_reached_directly(uri: str) -> None:
    assert jump_argv(uri, "192.168.122.5") is None


def test_the_plain_form() -> None:
    assert jump_argv("qemu+ssh://gpu-1/system", "192.168.122.5") == ["ssh", *ALWAYS, "-W", "192.168.122.5:22", "--", "gpu-1"]


def test_everything_that_a_uri_can_say() -> None:
    uri = "qemu+ssh://ops%40corp@127.0.0.1:2222/system?keyfile=/k/id%20a&command=/lab/ssh&no_tty=1&no_verify=1&netcat=nc"
    assert jump_argv(uri, "fd00::5", 2022) == [
        "/lab/ssh",
        *ALWAYS,
        *("-p", "2222", "-l", "ops@corp", "-i", "/k/id a", "-o", "StrictHostKeyChecking=no"),
        *("-W", "[fd00::5]:2022", "--", "127.0.0.1"),
    ]


def test_a_host_cannot_pass_for_an_option() -> None:
    argv = jump_argv("qemu+ssh://-oProxyCommand=id/system", "10.0.0.1")
    assert argv is not None
    assert argv[-2] == "--"
