"""ssh is called with what libvirt's own ssh transport takes from the URI."""

from __future__ import annotations

import pytest

from provisioner.drivers.ssh_options import is_refusal, ssh_argv

ALWAYS = ["-o", "BatchMode=yes", "-o", "ControlMaster=no", "-o", "ConnectTimeout=15"]


@pytest.mark.parametrize(
    "uri", ["qemu:///system", "test:///default", "simulated://a", "qemu+tls://h/system", "qemu+ssh:///system"]
)
def test_what_does_not_go_over_ssh(uri: str) -> None:
    assert ssh_argv(uri) is None


@pytest.mark.parametrize("transport", ["ssh", "libssh", "libssh2"])
def test_every_transport_over_ssh(transport: str) -> None:
    assert ssh_argv(f"qemu+{transport}://gpu-1/system") == ["ssh", *ALWAYS, "--", "gpu-1"]


def test_everything_that_a_uri_can_say() -> None:
    uri = "qemu+ssh://ops%40corp@[fd00::1]:2222/system?keyfile=/k/id%20a&command=/lab/ssh&no_tty=1&no_verify=1&netcat=nc"
    assert ssh_argv(uri, "-T") == [
        "/lab/ssh",
        *ALWAYS,
        *("-p", "2222", "-l", "ops@corp", "-i", "/k/id a", "-o", "StrictHostKeyChecking=no"),
        *("-T", "--", "fd00::1"),
    ]


def test_a_host_cannot_pass_for_an_option() -> None:
    assert ssh_argv("qemu+ssh://-oProxyCommand=id/system")[-2:] == ["--", "-oproxycommand=id"]


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("root@h: Permission denied (publickey).", True),
        ("Host key verification failed.", True),
        ("ssh: connect to host h port 22: Connection refused", False),
        ("", False),
    ],
)
def test_a_refusal_is_told_from_an_absence(said: str, refused: bool) -> None:
    assert is_refusal(said) is refused
