"""The serial console: every sentence of drivers/hypervisor.py about it, on each implementation.

The class may be imported by a suite that has a real host: it asks for nothing but a fixture `bench`.
"""

from __future__ import annotations

import io

import pytest

from provisioner.drivers.hypervisor import ConsoleSession
from provisioner.model.errors import Conflict, HostUnreachable, NotFound
from tests.contract.echo_guest import echo_disk
from tests.contract.hypervisors import LIMIT_S, Bench

PATIENCE_S = 30.0


class TestConsole:
    def test_nothing_is_kept_of_who_never_ran(self, bench):
        bench.needs("console.tail")
        assert bench.hypervisor.console.tail(bench.name("-absent"), limit_bytes=100) == ""
        assert bench.hypervisor.console.tail(bench.define(bench.name()), limit_bytes=100) == ""

    def test_no_more_than_asked(self, bench):
        bench.needs("console.tail")
        name = bench.start(bench.name())
        assert len(bench.hypervisor.console.tail(name, limit_bytes=10).encode()) <= 10

    def test_what_was_printed_outlives_the_stop_and_goes_with_its_file(self, bench):
        name, log = logging_domain(bench)
        console, volumes = bench.hypervisor.console, bench.hypervisor.volumes
        bench.until(lambda: console.tail(name, limit_bytes=4000) != "")
        assert [volume.name for volume in volumes.list(bench.pool, prefix=log)] == [log]
        bench.hypervisor.domains.destroy(name, timeout_s=LIMIT_S)
        assert console.tail(name, limit_bytes=4000) != ""
        volumes.delete(bench.pool, log)
        assert console.tail(name, limit_bytes=4000) == ""

    def test_what_was_printed_is_begun_anew_with_each_start(self, bench):
        name, _ = logging_domain(bench)
        console, domains = bench.hypervisor.console, bench.hypervisor.domains
        bench.until(lambda: console.tail(name, limit_bytes=4000) != "")
        first = console.tail(name, limit_bytes=4000)
        domains.destroy(name, timeout_s=LIMIT_S)
        domains.start(name, timeout_s=LIMIT_S)
        bench.until(lambda: console.tail(name, limit_bytes=4000) != "")
        assert console.tail(name, limit_bytes=4000) == first

    def test_the_file_stays_when_the_domain_goes_and_nobody_reads_it_any_more(self, bench):
        name, log = logging_domain(bench)
        bench.until(lambda: bench.hypervisor.console.tail(name, limit_bytes=4000) != "")
        bench.hypervisor.domains.destroy(name, timeout_s=LIMIT_S)
        bench.hypervisor.domains.undefine(name)
        assert bench.hypervisor.console.tail(name, limit_bytes=4000) == ""
        assert bench.hypervisor.volumes.find(bench.pool, log) is not None

    def test_what_is_typed_comes_back(self, bench):
        name = echoing_domain(bench)
        with bench.hypervisor.console.attach(name) as session:
            wake(bench, session)
            for line in (b"hello\n", b"x" * 600 + b"\n"):
                session.write(line)
                assert line.strip() in said(bench, session, line.strip())

    def test_nothing_yet_is_empty(self, bench):
        with bench.hypervisor.console.attach(echoing_domain(bench)) as session:
            bench.until(lambda: session.read(timeout_s=0.5) == b"")
            assert session.read(timeout_s=0) == b""

    def test_only_what_runs_and_has_a_serial_port_can_be_attached_to(self, bench):
        bench.needs("console.attach")
        console = bench.hypervisor.console
        running = bench.start(bench.name("-no-port"))
        for name in (bench.name("-absent"), bench.define(bench.name("-off"), has_serial=True), running):
            with pytest.raises(NotFound):
                console.attach(name)

    def test_one_at_a_time(self, bench):
        name, console = echoing_domain(bench), bench.hypervisor.console
        with console.attach(name) as first:
            wake(bench, first)
            for _ in range(2):
                with pytest.raises(Conflict):
                    console.attach(name)
            first.write(b"mine\n")
            assert b"mine" in said(bench, first, b"mine")
        with console.attach(name) as second:
            second.write(b"yours\n")
            assert b"yours" in said(bench, second, b"yours")

    def test_by_force_the_other_one_loses_it_and_is_told(self, bench):
        name, console = echoing_domain(bench), bench.hypervisor.console
        with console.attach(name) as first, console.attach(name, force=True) as second:
            wake(bench, second)
            assert isinstance(end_of(bench, first), Conflict)
            with pytest.raises(Conflict):
                first.write(b"still here\n")
            first.close()
            second.write(b"now mine\n")
            assert b"now mine" in said(bench, second, b"now mine")

    def test_a_domain_that_is_stopped_ends_the_session(self, bench):
        name = echoing_domain(bench)
        with bench.hypervisor.console.attach(name) as session:
            bench.hypervisor.domains.destroy(name, timeout_s=LIMIT_S)
            assert isinstance(end_of(bench, session), NotFound)

    def test_a_qemu_that_dies_ends_the_session(self, bench):
        if bench.kill is None:
            pytest.skip(f"no way is known to kill a QEMU of {bench.uri}")
        name = echoing_domain(bench)
        with bench.hypervisor.console.attach(name) as session:
            bench.kill(name)
            assert isinstance(end_of(bench, session), NotFound)

    def test_a_session_is_closed_once_and_for_all(self, bench):
        session = bench.hypervisor.console.attach(echoing_domain(bench))
        for _ in range(2):
            session.close()
        with pytest.raises(HostUnreachable):
            session.read(timeout_s=0)
        with pytest.raises(HostUnreachable):
            session.write(b"x")


def logging_domain(bench: Bench) -> tuple[str, str]:
    """A running domain whose guest greets on its serial port, and the volume that keeps what it says."""
    bench.needs("console.tail", "volumes.upload")
    name, content = bench.name(), echo_disk()
    image = bench.hypervisor.volumes.upload(bench.pool, f"{name}.img", io.BytesIO(content), size_bytes=len(content))
    log = f"{name}-console.log"
    folder = image.path.rsplit("/", 1)[0]
    return bench.start(name, image=image.path, has_serial=True, console_log=f"{folder}/{log}"), log


def echoing_domain(bench: Bench) -> str:
    """A running domain whose guest sends back what it gets on its serial port; its name."""
    bench.needs("console.attach", "volumes.upload")
    name, content = bench.name(), echo_disk()
    image = bench.hypervisor.volumes.upload(bench.pool, f"{name}.img", io.BytesIO(content), size_bytes=len(content))
    return bench.start(name, image=image.path, has_serial=True)


def wake(bench: Bench, session: ConsoleSession) -> None:
    """Wait until the guest runs; what is typed before may be lost, since a BIOS empties the port."""

    def answers() -> bool:
        session.write(b"?")
        return b"?" in session.read(timeout_s=2.0)

    bench.until(answers)
    bench.until(lambda: session.read(timeout_s=1.0) == b"")


def said(bench: Bench, session: ConsoleSession, text: bytes) -> bytes:
    """What the guest says until it has said that."""
    heard = bytearray()

    def has_said() -> bool:
        heard.extend(session.read(timeout_s=1.0))
        return text in heard

    bench.until(has_said, limit_s=PATIENCE_S)
    return bytes(heard)


def end_of(bench: Bench, session: ConsoleSession) -> Exception | None:
    """The error that ends the session."""
    errors: list[Exception] = []

    def has_ended() -> bool:
        try:
            session.read(timeout_s=1.0)
        except (NotFound, Conflict, HostUnreachable) as error:
            errors.append(error)
        return bool(errors)

    bench.until(has_ended, limit_s=PATIENCE_S)
    return errors[0]
