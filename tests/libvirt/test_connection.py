"""Connections that break, hang, or are wanted by many at once."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from provisioner.drivers.libvirt import LibvirtConnector
from provisioner.drivers.libvirt.connection import Connection
from provisioner.model.errors import HostTimeout, HostUnreachable, InvalidInput
from tests.libvirt.private_daemon import until


@pytest.fixture
def silent_host(tmp_path):
    """A host that accepts every connection and never says a word."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        server.listen(64)
        yield f"qemu:///system?socket={tmp_path / 'sock'}"


def test_after_libvirtd_was_restarted_the_next_caller_gets_a_living_connection(daemon, connector, libvirt_qemu_uri):
    old = connector.connect(libvirt_qemu_uri)
    assert old.inventory.survey(()).reachable
    daemon.kill_libvirtd()
    until(lambda: is_unreachable(old), "the dead connection is not noticed")
    with pytest.raises(HostUnreachable):
        connector.connect(libvirt_qemu_uri)
    daemon.start_libvirtd()
    assert connector.connect(libvirt_qemu_uri).inventory.survey(()).reachable
    assert is_unreachable(old), "a dead connection stays dead"


def is_unreachable(host) -> bool:
    try:
        host.domains.owned()
    except HostUnreachable:
        return True
    return False


def test_a_host_that_never_answers_costs_no_more_than_the_time_limit(silent_host):
    connector = LibvirtConnector(open_timeout_s=0.3)
    began_s = time.monotonic()
    with pytest.raises(HostTimeout):
        connector.connect(silent_host)
    assert time.monotonic() - began_s < 5


def test_a_host_on_which_many_calls_hang_is_not_asked_again(silent_host):
    connector = LibvirtConnector(open_timeout_s=0.02)
    for _ in range(24):
        with pytest.raises(HostTimeout):
            connector.connect(silent_host)
    before = threading.active_count()
    with pytest.raises(HostUnreachable, match="never returned"):
        connector.connect(silent_host)
    assert threading.active_count() <= before


def test_a_call_that_hangs_is_given_up_and_the_host_is_connected_anew(daemon, libvirt_qemu_uri):
    connector = LibvirtConnector(open_timeout_s=20)
    host = connector.connect(libvirt_qemu_uri)
    host.domains.owned()
    connection = host.domains._connection
    daemon.pause_libvirtd()
    try:
        with pytest.raises(HostTimeout):
            connection.run(lambda raw: raw.listAllDomains(), what="cannot list domains", timeout_s=0.3)
        with pytest.raises(HostUnreachable):
            host.domains.owned()
    finally:
        daemon.resume_libvirtd()
    assert connector.connect(libvirt_qemu_uri).domains.owned() is not None
    until(lambda: connection.hanging_calls == 0, "the call that was given up does not come back")
    connector.close()


def test_many_threads_share_one_connection(libvirt_qemu_uri):
    connector = LibvirtConnector()
    with ThreadPoolExecutor(16) as threads:
        hosts = list(threads.map(lambda _: connector.connect(libvirt_qemu_uri), range(64)))
        answers = list(threads.map(lambda host: host.inventory.survey(()).hostname, hosts))
    connections = {id(host.domains._connection) for host in hosts}
    connector.close()
    assert len(set(answers)) == 1
    assert len(connections) == 1


def test_one_slow_call_does_not_hold_up_the_others(host):
    gate, connection = threading.Event(), host.domains._connection
    assert isinstance(connection, Connection)
    slow = threading.Thread(target=lambda: connection.run(lambda _: gate.wait(30), what="wait", timeout_s=30))
    slow.start()
    assert host.domains.owned() is not None
    gate.set()
    slow.join(30)


@pytest.mark.parametrize(
    "uri", ["", "::", "qemu", "foo:///system", "qemu+foo://host/system", "qemu+ssh://host:port/system", "qemu+ssh://host"]
)
def test_what_is_no_uri_of_a_qemu_host_is_refused_without_asking_anybody(uri):
    with pytest.raises(InvalidInput):
        LibvirtConnector().connect(uri)


def test_nobody_listens():
    with pytest.raises(HostUnreachable):
        LibvirtConnector().connect("qemu+tcp://127.0.0.1:1/system")
