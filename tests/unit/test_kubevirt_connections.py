"""How the KubeVirt driver speaks to an API server: requests, lists, time limits, and what its watches tell."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.clocks import ManualClock, SystemClock
from provisioner.drivers.host_events import HostEvent, HostEventKind
from provisioner.drivers.kubevirt import paths
from provisioner.drivers.kubevirt.api import Api
from provisioner.drivers.kubevirt.connector import KubeVirtConnector
from provisioner.drivers.kubevirt.feed import Feed
from provisioner.drivers.kubevirt.uri import parse
from provisioner.model import errors
from tests.unit.kubevirt_objects import READY, instance
from tests.unit.tiny_api_server import END, TinyApiServer

LIMIT_S = 10.0
KUBEVIRTS = [{"metadata": {"name": "kubevirt"}, "spec": {}, "status": {"observedKubeVirtVersion": "v1.9.0"}}]


@pytest.fixture
def server() -> Iterator[TinyApiServer]:
    made = TinyApiServer()
    made.lists = {paths.CLUSTERS: KUBEVIRTS, paths.MACHINES: [], paths.INSTANCES: [], paths.NODES: []}
    yield made
    made.close()


@pytest.fixture
def api(server: TinyApiServer, tmp_path: Path) -> Api:
    return api_of(server, tmp_path)


def api_of(server: TinyApiServer, folder: Path, *, request_timeout_s: float = LIMIT_S) -> Api:
    address = parse(f"kubevirt:?kubeconfig={server.kubeconfig(folder)}")
    return Api.at(address, clock=SystemClock(), request_timeout_s=request_timeout_s)


class TestRequests:
    def test_what_is_applied_is_strict_and_ours(self, server: TinyApiServer, api: Api) -> None:
        server.answers["PATCH", "/x"] = [(200, b'{"kind": "X"}')]
        assert api.apply("/x", {"a": 1}, force=True) == {"kind": "X"}
        method, _, query, headers, body = server.asked[-1]
        assert query == {"fieldManager": "hikube", "fieldValidation": "Strict", "force": "true"}
        assert (method, headers["Content-Type"], json.loads(body)) == ("PATCH", "application/apply-patch+yaml", {"a": 1})
        assert "*/*" in headers["Accept"], "KubeVirt's subresources refuse application/json alone"
        assert headers["User-Agent"] == "hikube"

    def test_an_answer_without_a_body(self, server: TinyApiServer, api: Api) -> None:
        server.answers["POST", "/x"] = [(202, b"")]
        assert api.request("POST", "/x") == {}

    def test_lists_go_on_and_begin_anew_when_their_version_is_forgotten(self, server: TinyApiServer, api: Api) -> None:
        page = b'{"metadata": {"resourceVersion": "%d", "continue": "%s"}, "items": [{"n": %d}]}'
        expired = json.dumps({"kind": "Status", "reason": "Expired", "message": "too old"}).encode()
        server.answers["GET", "/x"] = [
            (200, page % (1, b"c", 0)),
            (410, expired),
            (200, page % (2, b"c", 1)),
            (200, page % (2, b"", 2)),
        ]
        assert api.items("/x", query={"labelSelector": "a"}) == ([{"n": 1}, {"n": 2}], "2")
        assert server.asked[-1][2] == {"labelSelector": "a", "continue": "c", "limit": "500"}

    def test_a_server_that_does_not_answer_in_time(self, tmp_path: Path) -> None:
        slow = TinyApiServer()
        released = threading.Event()
        slow.answer = lambda *_: (released.wait(LIMIT_S), (200, b"{}"))[1]  # type: ignore[method-assign]
        with pytest.raises(errors.HostTimeout, match="does not answer"):
            api_of(slow, tmp_path, request_timeout_s=0.1).request("GET", "/x")
        released.set()
        slow.close()

    def test_nobody_listens(self, server: TinyApiServer, api: Api) -> None:
        server.close()
        with pytest.raises(errors.HostUnreachable) as caught:
            api.request("GET", "/x")
        assert not isinstance(caught.value, errors.HostTimeout)

    def test_an_answer_that_is_no_document(self, server: TinyApiServer, api: Api) -> None:
        server.answers["GET", "/x"] = [(200, b"<html>"), (200, b"[]")]
        for _ in range(2):
            with pytest.raises(errors.HypervisorError):
                api.request("GET", "/x")

    def test_a_rate_that_is_not_exceeded(self, server: TinyApiServer, tmp_path: Path) -> None:
        clock = ManualClock()
        began_s = clock.monotonic_s()
        api = Api.at(parse(f"kubevirt:?kubeconfig={server.kubeconfig(tmp_path)}"), clock=clock)
        server.answers["GET", "/x"] = [(200, b"{}")]
        for _ in range(150):
            api.request("GET", "/x")
        assert clock.monotonic_s() - began_s == pytest.approx(1.0), "100 at once, then 50 per second"


class TestConnecting:
    def test_connections_are_shared(self, server: TinyApiServer, tmp_path: Path) -> None:
        connector = KubeVirtConnector(clock=SystemClock())
        uri = f"kubevirt://tests?kubeconfig={server.kubeconfig(tmp_path)}"
        connector.connect(uri).close()
        connector.connect(uri)
        assert [path for _, path, *_ in server.asked] == [paths.CLUSTERS]
        connector.close()

    def test_a_cluster_without_kubevirt(self, server: TinyApiServer, tmp_path: Path) -> None:
        uri = f"kubevirt:?kubeconfig={server.kubeconfig(tmp_path)}"
        for known in ((), (paths.CLUSTERS,)):
            server.lists = {path: [] for path in known}
            with pytest.raises(errors.Unsupported, match="has no KubeVirt"):
                KubeVirtConnector(clock=SystemClock()).connect(uri)

    @pytest.mark.parametrize("options", ["://other?kubeconfig={file}", ":?kubeconfig=/nowhere"])
    def test_a_context_or_file_that_is_none(self, server: TinyApiServer, tmp_path: Path, options: str) -> None:
        uri = "kubevirt" + options.format(file=server.kubeconfig(tmp_path))
        with pytest.raises(errors.InvalidInput, match="is not configured"):
            KubeVirtConnector(clock=SystemClock()).connect(uri)

    def test_credentials_that_are_refused(self, server: TinyApiServer, tmp_path: Path) -> None:
        server.answers["GET", paths.CLUSTERS] = [(401, b'{"kind": "Status", "message": "Unauthorized"}')]
        with pytest.raises(errors.NotAllowed):
            KubeVirtConnector(clock=SystemClock()).connect(f"kubevirt:?kubeconfig={server.kubeconfig(tmp_path)}")

    def test_a_connection_that_was_lost_is_opened_again(self, server: TinyApiServer, tmp_path: Path) -> None:
        connector = KubeVirtConnector(clock=SystemClock(), lost_after_s=0.0)
        uri = f"kubevirt:?kubeconfig={server.kubeconfig(tmp_path)}"
        first, ears = connector.connect(uri), Ears()
        first.subscribe(ears.hear)
        watches = dict(server.watched.get(timeout=LIMIT_S) for _ in range(3))
        watches[paths.NODES].put({"type": "ERROR", "object": {"kind": "Status", "code": 503, "message": "down"}})
        assert ears.next().kind is HostEventKind.CONNECTION_LOST
        with pytest.raises(errors.HostUnreachable, match="is over"):
            first.owned()
        assert connector.connect(uri).survey is not None
        connector.close()


class Ears:
    """A listener that can be waited for."""

    def __init__(self) -> None:
        self._heard: queue.Queue[HostEvent] = queue.Queue()

    def hear(self, event: HostEvent) -> None:
        self._heard.put(event)

    def next(self) -> HostEvent:
        return self._heard.get(timeout=LIMIT_S)

    @property
    def heard_nothing_more(self) -> bool:
        return self._heard.empty()


def at_version(document: dict[str, Any], version: int) -> dict[str, Any]:
    return document | {"metadata": document["metadata"] | {"resourceVersion": str(version)}}


class TestFeed:
    @pytest.fixture
    def ears(self) -> Ears:
        return Ears()

    @pytest.fixture
    def watching(self, server: TinyApiServer, api: Api, ears: Ears) -> Iterator[Callable[[], queue.Queue[Any]]]:
        """Call it for the next watch of instances that begins."""
        server.lists[paths.INSTANCES] = [instance("Scheduled")]
        feed = Feed(api, clock=SystemClock())
        feed.add(ears.hear)

        def next_watch() -> queue.Queue[Any]:
            while True:
                path, events = server.watched.get(timeout=LIMIT_S)
                if path == paths.INSTANCES:
                    return events

        yield next_watch
        feed.stop()

    def test_only_what_a_look_would_show_is_told(self, watching: Callable[[], queue.Queue[Any]], ears: Ears) -> None:
        events = watching()
        events.put({"type": "MODIFIED", "object": at_version(instance("Scheduled", launcherContainerImageVersion="x"), 2)})
        events.put({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "3"}}})
        events.put({"type": "MODIFIED", "object": at_version(instance("Running", READY), 4)})
        events.put({"type": "DELETED", "object": at_version(instance("Succeeded"), 5)})
        assert ears.next() == HostEvent(HostEventKind.DOMAIN_STARTED, "e/g1")
        assert ears.next() == HostEvent(HostEventKind.DOMAIN_STOPPED, "e/g1")
        assert ears.heard_nothing_more

    def test_a_watch_that_ends_is_begun_again(self, watching: Callable[[], queue.Queue[Any]], ears: Ears) -> None:
        watching().put(END)
        watching().put({"type": "MODIFIED", "object": at_version(instance("Running", READY), 2)})
        assert ears.next().kind is HostEventKind.DOMAIN_STARTED

    def test_what_was_missed_is_told_after_a_version_that_is_too_old(
        self, server: TinyApiServer, watching: Callable[[], queue.Queue[Any]], ears: Ears
    ) -> None:
        events = watching()
        other = instance("Running", READY)
        other["metadata"] = other["metadata"] | {"name": "g2"}
        server.lists[paths.INSTANCES] = [instance("Scheduled"), other]
        events.put({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}})
        assert ears.next() == HostEvent(HostEventKind.DOMAIN_STARTED, "e/g2")
        assert ears.heard_nothing_more

    def test_whoever_subscribes_twice_is_told_once(self, server: TinyApiServer, api: Api, ears: Ears) -> None:
        feed = Feed(api, clock=SystemClock())
        feed.add(ears.hear)
        feed.add(ears.hear)
        watches = dict(server.watched.get(timeout=LIMIT_S) for _ in range(3))
        watches[paths.INSTANCES].put({"type": "ADDED", "object": at_version(instance("Pending"), 2)})
        assert ears.next().kind is HostEventKind.DOMAIN_STOPPED
        assert ears.heard_nothing_more
        feed.stop()
        with pytest.raises(errors.HostUnreachable):
            feed.add(ears.hear)

    def test_a_cluster_that_cannot_be_watched_is_said_at_once(self, server: TinyApiServer, api: Api, ears: Ears) -> None:
        server.answers["GET", paths.NODES] = [(403, b'{"kind": "Status", "message": "nodes is forbidden"}')]
        with pytest.raises(errors.NotAllowed, match="was refused"):
            Feed(api, clock=SystemClock()).add(ears.hear)
