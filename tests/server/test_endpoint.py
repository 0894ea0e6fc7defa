"""The HTTP server: what it answers, and what one side that means no good cannot make it do."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from provisioner.model.errors import Conflict, InvalidInput, StoreUnavailable
from server.address import Address, parse_address
from server.endpoint import Endpoint, Limits, Page
from tests.server.scraping import get

TEXT = "text/plain"
WAIT_S = 10.0


@contextmanager
def serving(page: Callable[[], Page] = lambda: Page(200, b"hello\n", TEXT), **limits: float) -> Iterator[Endpoint]:
    endpoint = Endpoint(Address("127.0.0.1", 0), {"/page": page}, limits=Limits(**limits))  # type: ignore[arg-type]
    endpoint.start()
    try:
        yield endpoint
    finally:
        endpoint.stop()


def connected(endpoint: Endpoint) -> socket.socket:
    host, _, port = endpoint.url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=WAIT_S)


def said(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_pages_and_nothing_else() -> None:
    with serving() as endpoint:
        assert (get(f"{endpoint.url}/page").status, get(f"{endpoint.url}/page").text) == (200, "hello\n")
        assert get(f"{endpoint.url}/page?verbose=1").status == 200
        for path in ("/", "/page/", "/other", "/../page", "/PAGE"):
            assert get(f"{endpoint.url}{path}").status == 404


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_methods_other_than_get_are_not_allowed(method: str) -> None:
    with serving() as endpoint:
        refused = get(f"{endpoint.url}/page", method=method)
        assert (refused.status, refused.headers["Allow"]) == (405, "GET")


def test_nothing_is_said_of_what_it_is_made_with() -> None:
    with serving() as endpoint:
        assert get(f"{endpoint.url}/page").headers["Server"] == "hikube"


def test_a_page_that_cannot_be_made_says_so_and_one_that_breaks_breaks_alone() -> None:
    answers: list[Exception | Page] = [StoreUnavailable("the store is away"), ZeroDivisionError("a bug"), Page(200, b"x", TEXT)]

    def page() -> Page:
        answer = answers.pop(0)
        if isinstance(answer, Page):
            return answer
        raise answer

    with serving(page) as endpoint:
        failed = get(f"{endpoint.url}/page")
        assert (failed.status, failed.text) == (503, "the store is away\n")
        with connected(endpoint) as connection:
            connection.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            assert said(connection) == b""
        assert get(f"{endpoint.url}/page").text == "x"


def test_connections_beyond_the_bound_are_turned_away_at_once_and_let_in_when_others_have_gone() -> None:
    with serving(connections=2) as endpoint, ExitStack() as silent:
        for _ in range(2):
            silent.enter_context(connected(endpoint))
        turned_away = None
        deadline_s = time.monotonic() + WAIT_S
        while turned_away is None and time.monotonic() < deadline_s:
            with connected(endpoint) as third:
                third.sendall(b"GET /page HTTP/1.0\r\n\r\n")
                answer = said(third)
                turned_away = answer if answer.startswith(b"HTTP/1.0 503 ") else None
        assert turned_away is not None and b"Retry-After" in turned_away
        silent.close()
        until(lambda: status_of(endpoint.url) == 200, "they are let in again")


def status_of(url: str) -> int:
    """0: nobody answers."""
    try:
        return get(f"{url}/page").status
    except OSError:
        return 0


def until(holds: Callable[[], bool], what: str) -> None:
    deadline_s, pause = time.monotonic() + WAIT_S, threading.Event()
    while not holds():
        assert time.monotonic() < deadline_s, f"not in {WAIT_S} s: {what}"
        pause.wait(0.02)


@pytest.mark.parametrize(
    ("request_text", "answer"),
    [
        (b"GET /page HTTP/1.0\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b"HTTP/1.0 431 "),
        (b"GET /page HTTP/1.0\r\n" + b"X: a\r\n" * 20_000 + b"\r\n", b"HTTP/1.0 431 "),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.0\r\n\r\n", b""),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"HTTP/1.0 400 "),
        (b"GET /page HTTP/3.14\r\n\r\n", b"HTTP/1.0 505 "),
        (b"\r\n", b""),
    ],
    ids=["a long header", "many headers", "a long path", "TLS", "a version ahead", "nothing"],
)
def test_requests_that_are_too_long_or_no_http_are_refused(request_text: bytes, answer: bytes) -> None:
    with serving() as endpoint:
        with connected(endpoint) as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request_text)
            head = said(connection)
            assert head.startswith(answer) if answer else head == b"", head[:100]
        assert get(f"{endpoint.url}/page").status == 200, "the next one is served"


def dribbled(connection: socket.socket, text: bytes) -> bool:
    """A byte at a time; whether the other side had enough before the end."""
    pause = threading.Event()
    for byte in text:
        try:
            connection.sendall(bytes([byte]))
        except OSError:
            return True
        pause.wait(0.05)
    return False


def test_who_sends_a_byte_now_and_then_is_cut_off_when_the_time_is_up() -> None:
    with serving(connection_s=0.5) as endpoint, connected(endpoint) as connection:
        began_s = time.monotonic()
        is_cut_off = dribbled(connection, b"GET /page HTTP/1.0\r\nX: " + b"a" * 1000)
        assert is_cut_off
        assert 0.4 < time.monotonic() - began_s < WAIT_S


def test_stopping_lets_an_answer_under_way_end_and_takes_no_new_connections() -> None:
    asked, go = threading.Event(), threading.Event()

    def page() -> Page:
        asked.set()
        assert go.wait(WAIT_S)
        return Page(200, b"late\n", TEXT)

    with serving(page) as endpoint, connected(endpoint) as connection:
        url = endpoint.url
        connection.sendall(b"GET /page HTTP/1.0\r\n\r\n")
        assert asked.wait(WAIT_S)
        stopper = threading.Thread(target=endpoint.stop)
        stopper.start()
        until(lambda: status_of(url) == 0, "nobody new is let in")
        go.set()
        stopper.join(WAIT_S)
        assert not stopper.is_alive()
        assert said(connection).endswith(b"late\n")


def test_stopping_does_not_wait_for_ever() -> None:
    never = threading.Event()

    def page() -> Page:
        never.wait(WAIT_S)
        return Page(200, b"", TEXT)

    with serving(page, stop_s=0.2) as endpoint, connected(endpoint) as connection:
        connection.sendall(b"GET /page HTTP/1.0\r\n\r\n")
        began_s = time.monotonic()
        endpoint.stop()
        assert time.monotonic() - began_s < WAIT_S / 2
        never.set()


def test_a_port_that_is_taken_is_a_conflict_with_its_name() -> None:
    with serving() as endpoint:
        port = int(endpoint.url.rpartition(":")[2])
        with pytest.raises(Conflict, match=f"127.0.0.1:{port} is taken"):
            Endpoint(Address("127.0.0.1", port), {}).start()
    again = Endpoint(Address("127.0.0.1", port), {})
    again.start()
    again.stop()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_this_machine_has_not_is_bad_input(host: str) -> None:
    with pytest.raises(InvalidInput, match=f"nothing can listen at {host}:8080"):
        Endpoint(Address(host, 8080), {}).start()


def test_ipv6_and_both_at_once() -> None:
    if not socket.has_ipv6 or not _has_loopback_6():
        pytest.skip("this machine has no IPv6")
    endpoint = Endpoint(Address("::", 0), {"/page": lambda: Page(200, b"six\n", TEXT)})
    endpoint.start()
    try:
        port = endpoint.url.rpartition(":")[2]
        assert get(f"http://[::1]:{port}/page").text == "six\n"
        assert get(f"http://127.0.0.1:{port}/page").text == "six\n"
    finally:
        endpoint.stop()


def _has_loopback_6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:8080", Address("0.0.0.0", 8080)),
        ("[::]:8080", Address("::", 8080)),
        ("[fe80::1%eth0]:9", Address("fe80::1%eth0", 9)),
        ("localhost:0", Address("localhost", 0)),
    ],
)
def test_addresses_as_they_are_written(text: str, address: Address) -> None:
    assert parse_address(text, source="--listen") == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["8080", ":8080", "host", "host:", "::1:8080", "[::1]", "host:port", "host:70000", "http://host:80", "a b:80", "host:-1"],
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="--listen"):
        parse_address(text, source="--listen")
