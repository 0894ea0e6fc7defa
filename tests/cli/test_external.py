"""`external: true` on the command line: what is said when no host can give it, and how it is shown where one does."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Hikube
from tests.cli.test_stories import YAML, fleet

__all__ = ["fleet"]
WITH_EXTERNAL = YAML + "  external: true\n  externalPorts: [8888, 22]\n"
WARNING = (
    "warning: external of demo has no effect: "
    "network `default` on host `sim` is NAT, and the host's spec has no externalAddresses"
)


@pytest.fixture
def published(fleet: Hikube) -> Hikube:
    """The host has an external address."""
    uri = f"simulated://l40s?state={fleet.home}/sim.json"
    spec = f"spec: {{uri: '{uri}', externalAddresses: [203.0.113.17]}}\n"
    host = f"apiVersion: hikube.cloud/v1alpha1\nkind: GPUHost\nmetadata: {{name: sim}}\n{spec}"
    assert fleet("apply", "-f", fleet.file("host.yaml", host)).code == 0
    return fleet


def test_apply_and_create_say_what_to_configure(fleet: Hikube) -> None:
    path = fleet.file("vm.yaml", WITH_EXTERNAL)
    said = fleet("apply", "-f", path).err
    assert WARNING in said
    assert "docs/how-to/networks.md" in said
    options = ("--gpu", "l40s", "--image", "tiny", "--disk-size", "4Gi", "--external-port", "22", "--dry-run")
    assert WARNING in fleet("gpu", "vm", "create", "demo", *options).err
    assert "warning: external" not in fleet("apply", "-f", fleet.file("vm.yaml", YAML)).err


def test_a_host_in_the_same_file_counts_as_it_stands_there(fleet: Hikube) -> None:
    host = "apiVersion: hikube.cloud/v1alpha1\nkind: GPUHost\nmetadata: {name: sim}\n"
    host += f"spec: {{uri: 'simulated://l40s?state={fleet.home}/sim.json', externalAddresses: [203.0.113.17]}}\n"
    assert "warning: external" not in fleet("apply", "-f", fleet.file("both.yaml", f"{host}---{WITH_EXTERNAL}")).err


def test_the_address_and_the_ports_are_shown(published: Hikube) -> None:
    path = published.file("vm.yaml", WITH_EXTERNAL)
    result = published("apply", "-f", path, "--wait")
    assert result.code == 0, result.err
    assert "warning: external" not in result.err
    shown = published("gpu", "vm", "show", "demo").out
    assert "External:   203.0.113.17:22,8888\n" in shown
    assert "TCP 22, 8888 and ICMP at 203.0.113.17" in shown
    titles, row = published("gpu", "vm", "list", "-o", "wide").out.splitlines()
    assert row[titles.index("EXTERNAL") :].startswith("203.0.113.17:22,8888")
    assert published("wait", "vm/demo", "--for=condition=Published", "--timeout", "5s").code == 0


def test_what_is_not_published_is_shown_so(fleet: Hikube) -> None:
    assert fleet("apply", "-f", fleet.file("vm.yaml", WITH_EXTERNAL), "--wait").code == 0
    assert "External:   NotPublished\n" in fleet("gpu", "vm", "show", "demo").out
