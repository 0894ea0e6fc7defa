"""The console of a simulated guest: what only the twin can show."""

from __future__ import annotations

import pytest

from provisioner.drivers.simulated.faults import Fault
from provisioner.model.errors import Conflict, HostUnreachable, NotFound

NEVER_S = 3600.0


@pytest.fixture
def console(lab):
    lab.kit.start(lab.hypervisor)
    return lab.hypervisor.console


def test_what_the_guest_prints_while_it_boots_arrives_as_it_is_printed(lab, console):
    with console.attach("g") as session:
        heard = b"".join(session.read(timeout_s=NEVER_S) for _ in range(3))
        assert b"login: \r\n" in heard
        assert heard.endswith(b"Cloud-init finished\r\n")
        assert b"SeaBIOS" not in heard, "what was printed before is not repeated"
        assert session.read(timeout_s=1) == b""


def test_what_is_typed_is_in_the_log_too(lab, console):
    with console.attach("g") as session:
        session.write(b"uname -a\r")
        assert b"uname -a\r\n" in session.read(timeout_s=1)
    assert "uname -a\n" in console.tail("g", limit_bytes=4000)


def test_a_guest_that_hangs_in_its_firmware_answers_nothing(lab):
    lab.host.behave("g", boots=False)
    lab.kit.start(lab.hypervisor)
    with lab.hypervisor.console.attach("g") as session:
        session.write(b"anybody?\r")
        assert session.read(timeout_s=60) == b""


def test_a_guest_that_resets_begins_anew(lab, console):
    with console.attach("g") as session:
        lab.host.reset_guest("g")
        assert session.read(timeout_s=1).startswith(b"SeaBIOS")


def test_who_is_silent_for_long_counts_as_gone(lab, console):
    gone = console.attach("g")
    with pytest.raises(Conflict):
        console.attach("g")
    lab.clock.advance(60)
    with console.attach("g"), pytest.raises(Conflict, match="taken it over"):
        gone.read(timeout_s=0)


def test_a_restart_ends_the_session_though_the_domain_runs_again(lab, console):
    with console.attach("g") as session:
        lab.hypervisor.domains.destroy("g", timeout_s=10)
        lab.hypervisor.domains.start("g", timeout_s=10)
        with pytest.raises(NotFound):
            session.read(timeout_s=0)


def test_a_host_that_goes_away_breaks_it_and_closing_raises_nothing(lab, console):
    session = console.attach("g")
    lab.host.set_link("down")
    with pytest.raises(HostUnreachable):
        session.read(timeout_s=0)
    with pytest.raises(HostUnreachable):
        session.write(b"x")
    session.close()
    lab.host.set_link("up")
    lab.fleet.faults.stage(Fault(HostUnreachable("away"), call="console.attach"))
    with pytest.raises(HostUnreachable):
        console.attach("g")
