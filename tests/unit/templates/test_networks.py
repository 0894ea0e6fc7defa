"""The texts that let packets in: as snapshots, by libvirt's own schema, and told apart by their digest."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest
from syrupy.assertion import SnapshotAssertion

from provisioner.drivers.simulated.domain_xml import parse_domain
from provisioner.model.domain_names import filter_uuid
from provisioner.model.gpu_host import NetworkMapping
from provisioner.model.network import Publication
from provisioner.model.sizing import GuestSize
from provisioner.model.virtual_machine import NetworkReference
from provisioner.planning.hardware import plan_domain
from templates.domain import render_domain
from templates.networks import filter_xml, packet_filter_program, publication_digest, publication_rules
from tests.unit.planning.factory import TABLES, host, vm

LISTED = Publication(
    name="hikube-default.first",
    guest_address="192.168.122.57",
    subnet="192.168.122.0/24",
    bridge="virbr0",
    external_address="203.0.113.17",
    ports=(22, 8888),
)
PUBLICATIONS = {
    "nat-listed": LISTED,
    "nat-without-icmp": LISTED.model_copy(update={"allows_icmp": False}),
    "nat-without-anything": LISTED.model_copy(update={"allows_icmp": False, "ports": ()}),
    "nat-whole": LISTED.model_copy(update={"whole": True, "ports": ()}),
    "routed-listed": LISTED.model_copy(update={"external_address": ""}),
    "routed-whole": LISTED.model_copy(update={"external_address": "", "whole": True}),
}
FILTERS = {
    "listed": {"ports": (22, 8888), "whole": False, "allows_icmp": True},
    "nothing": {"ports": (), "whole": False, "allows_icmp": False},
    "whole": {"ports": (), "whole": True, "allows_icmp": True},
}


@pytest.mark.parametrize("name", PUBLICATIONS)
def test_rules_are_as_they_were(name: str, snapshot: SnapshotAssertion) -> None:
    assert publication_rules(PUBLICATIONS[name]) == snapshot


@pytest.mark.parametrize("name", FILTERS)
def test_filters_are_as_they_were(name: str, snapshot: SnapshotAssertion) -> None:
    assert filter_xml("hikube-default.first", **FILTERS[name]) == snapshot


@pytest.mark.parametrize("name", FILTERS)
def test_libvirts_schema_takes_each_filter(name: str) -> None:
    if shutil.which("virt-xml-validate") is None:
        pytest.skip("virt-xml-validate is not installed")
    text = filter_xml("hikube-default.first", **FILTERS[name])
    command = ["virt-xml-validate", "-", "nwfilter"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("name", PUBLICATIONS)
def test_nftables_takes_all_rules(name: str) -> None:
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed")
    command = ["unshare", "--net", "nft", "--check", "-f", "-"]
    done = subprocess.run(
        command, input=publication_rules(PUBLICATIONS[name]).encode(), capture_output=True, timeout=30, check=False
    )
    if b"peration not permitted" in done.stderr:
        pytest.skip("network namespaces cannot be made here")
    assert done.returncode == 0, done.stderr.decode()


def test_a_digest_tells_publications_apart() -> None:
    assert len({publication_digest(publication) for publication in PUBLICATIONS.values()}) == len(PUBLICATIONS)
    assert publication_digest(LISTED) in publication_rules(LISTED)


def test_a_filter_keeps_its_uuid_and_its_name_stays_text() -> None:
    hostile = 'x"><rule action="accept"/>'
    root = ET.fromstring(filter_xml(hostile, ports=(22,), whole=False, allows_icmp=False))
    assert root.get("name") == hostile
    assert root.findtext("uuid") == filter_uuid(hostile) != filter_uuid("y")


def _domain() -> str:
    """A VM on a network, a bridge with a filter, and an interface of the host."""
    names = ("default", "public", "lan")
    machine = vm(networks=tuple(NetworkReference(name=name) for name in names), external=True)
    mappings = {"public": NetworkMapping(bridge="br0"), "lan": NetworkMapping(direct="eth1")}
    where = host("a", spec={"networks": mappings})
    plan = plan_domain(machine, size=GuestSize(1, 2, 4096), host=where, tables=TABLES).plan
    return render_domain(plan, pool_paths={"default": "/pool"}, console_log_path="/pool/console.log")


def test_a_domain_has_an_interface_of_every_kind() -> None:
    found = ET.fromstring(_domain()).findall("devices/interface")
    assert [(each.get("type"), dict(each.find("source").attrib)) for each in found] == [  # type: ignore[union-attr]
        ("network", {"network": "default"}),
        ("bridge", {"bridge": "br0"}),
        ("direct", {"dev": "eth1", "mode": "bridge"}),
    ]
    assert [each.find("filterref") is not None for each in found] == [False, True, False]


def test_libvirts_schema_takes_the_domain() -> None:
    if shutil.which("virt-xml-validate") is None:
        pytest.skip("virt-xml-validate is not installed")
    done = subprocess.run(
        ["virt-xml-validate", "-", "domain"], input=_domain().encode(), capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_simulated_host_reads_them_as_they_are() -> None:
    network, bridge, direct = parse_domain(_domain()).interfaces
    assert (network.network, network.source, network.is_direct) == ("default", "", False)
    assert (bridge.network, bridge.source, bridge.filter_name) == ("", "br0", "hikube-default.me")
    assert (direct.network, direct.source, direct.is_direct) == ("", "eth1", True)


def test_the_program_compiles() -> None:
    compile(packet_filter_program(), "packet_filter.py", "exec")
