"""`hikube migrate` between a file and a real cluster: a fleet goes there and back, and no guest, GPU or reader notices."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.cluster import NAMESPACE
from cli.main import run
from provisioner.clocks import SeededIdentifiers, SystemClock
from provisioner.model.errors import ControllerBusy, NotAllowed, StoreUnavailable
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.tables import Tables
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.kubernetes.api_server import ApiServer
from provisioner.store.kubernetes.leader_lease import LeaderLease
from provisioner.store.kubernetes.side import KubernetesSide
from provisioner.store.kubernetes.store import KubernetesStore
from provisioner.store.moving.moving import move
from provisioner.store.protocol import Store
from provisioner.store.sqlite import SqliteStore
from provisioner.store.sqlite.side import SqliteSide
from tests.contract.stores import eventually
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubectl import Kubectl
from tests.kubernetes.replicas import LEASES
from tests.kubernetes.stores import empty, store_of
from tests.lifecycle.world import World, vm_yaml
from tests.moving import MemorySide, changes_on_hosts, contents, populate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NOW = "2026-11-22T00:00:00Z"
TURNS_MAX = 20_000


@pytest.fixture
def plane(kinds: ControlPlane, namespace: str) -> Iterator[ControlPlane]:
    """Without any object of ours, before and after."""
    with store_of(kinds) as store:
        empty(store, kinds)
        yield kinds
        kinds.heal()
        kinds.admin.delete(LEASES)
        empty(store, kinds)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def home(tmp_path: Path, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands of this test keep their file, and the cluster that they know."""
    for name in ("data", "config"):  # the programs of the control plane are in the cache
        monkeypatch.setenv(f"HIKUBE_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("HIKUBE_KUBECONFIG", str(plane.kubeconfig))
    return tmp_path


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "images")


def file_of(home: Path, opened: ExitStack) -> SqliteStore:
    path = home / "data" / "hikube.db"
    return opened.enter_context(SqliteStore(path, clock=SystemClock(), identifiers=SeededIdentifiers(9)))


def put_into_file(world: World, home: Path) -> None:
    """What the world's store has is in the file of the commands."""
    (home / "data").mkdir()
    side = SqliteSide(home / "data" / "hikube.db", clock=world.clock, identifiers=SeededIdentifiers(3))
    move(MemorySide(world.store, name="memory"), side, now=NOW, progress=lambda _done, _of: None)
    side.close()


def work_over(world: World, store: Store) -> World:
    """A new controller, over that store."""
    world.ports = replace(world.ports, store=store)
    world.store = store  # type: ignore[assignment]
    world.start_controller()
    return world


def live(world: World, until: Callable[[], bool]) -> None:
    """Let the world's time run until something holds; what the API server tells comes in its own time."""
    for _ in range(TURNS_MAX):
        if until():
            return
        if idle_s := world.controller.turn():
            world.clock.sleep(min(idle_s, 5.0))
    raise AssertionError(world.summary())


def hikube(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_fleet_goes_to_the_cluster_and_back_and_nothing_on_a_host_is_done_twice(home, plane, world, opened, kubectl, capsys):
    populate(world)
    put_into_file(world, home)
    wanted, before = contents(world.store), changes_on_hosts(world)
    to_cluster = ("migrate", "--from", "sqlite", "--to", "kubernetes")
    assert hikube(*to_cluster, "--dry-run", capsys=capsys)[0] == 0
    code, out, err = hikube(*to_cluster, "-o", "json", capsys=capsys)
    assert code == 0, err
    report = json.loads(out)
    assert report["created"] == sum(report["objects"].values()) == len(wanted)
    store = opened.enter_context(store_of(plane))
    assert contents(store) == wanted
    assert changes_on_hosts(world) == before

    work_over(world, store)
    live(world, lambda: not world.exists("leaves") and len(store.list(GPUClaim).items) == len({"runs"}))
    gone = changes_on_hosts(world)
    deadline_s = world.clock.monotonic_s() + 900
    live(world, lambda: world.clock.monotonic_s() > deadline_s)
    assert world.is_ready("runs") and changes_on_hosts(world) == gone
    assert world.fleet.calls.count("domains.start") == len({"runs", "stopped", "leaves"})
    assert "True" in kubectl.ok("get", "virtualmachine", "runs", "--namespace=default")
    assert hikube(*to_cluster, capsys=capsys)[1].endswith("nothing was done\n")
    assert "runs-access" in kubectl.ok("get", "secrets", "--namespace=default", "--output=name")

    wanted = contents(store)
    back = ("migrate", "--from", "kubernetes", "--to", "sqlite")
    code, _, err = hikube(*back, capsys=capsys)
    assert code == 0, err
    file = file_of(home, opened)
    assert contents(file) == wanted
    with pytest.raises(NotAllowed, match=f"kubectl annotate|moved to the file {home}"):
        lease_of(plane).try_acquire()
    work_over(world, file)
    deadline_s = world.clock.monotonic_s() + 900
    live(world, lambda: world.clock.monotonic_s() > deadline_s)
    assert world.is_ready("runs") and changes_on_hosts(world) == gone
    for name in ("runs", "stopped", "waits"):
        world.delete(name)
    live(world, lambda: not world.machines())
    assert not [leak for leak in world.leaks() if leak.kind != "volume" or "data" not in leak.name]


def lease_of(plane: ControlPlane, *, identity: str = "controller", name: str = "hikube-controller") -> LeaderLease:
    clock = SystemClock()
    server = ApiServer.from_kubeconfig(plane.kubeconfig, clock=clock)
    return LeaderLease(server, namespace=NAMESPACE, clock=clock, identity=identity, command="hikube controller", name=name)


@pytest.mark.parametrize("name", ["hikube-controller", "hikube-controller-gpu"])
def test_while_a_controller_leads_nothing_is_moved(home, plane, world, capsys, name):
    world.host("a").apply(vm_yaml("runs")).settle()
    put_into_file(world, home)
    if not plane.admin.answers(f"/api/v1/namespaces/{NAMESPACE}"):
        plane.make_namespace(NAMESPACE)
    with lease_of(plane, name=name):
        code, _, err = hikube("migrate", "--from=sqlite", "--to=kubernetes", capsys=capsys)
    assert code == ControllerBusy.exit_code
    assert "controller" in err
    assert contents(store_of(plane)) == {}


def test_owners_are_the_clusters_own_so_that_its_garbage_collector_takes_what_goes_and_nothing_else(
    home, plane, world, opened, kubectl, capsys
):
    world.host("a").apply(vm_yaml("runs")).settle()
    put_into_file(world, home)
    assert hikube("migrate", "--from=sqlite", "--to=kubernetes", capsys=capsys)[0] == 0
    ours = ("--namespace=default", "--selector=app.kubernetes.io/managed-by=hikube")
    (secret,) = json.loads(kubectl.ok("get", "secrets", *ours, "-o", "json"))["items"]
    uid = kubectl.ok("get", "virtualmachine", "runs", "--namespace=default", "-o", "jsonpath={.metadata.uid}")
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == [uid]
    store = opened.enter_context(store_of(plane))
    vm = store.get(VirtualMachine, "runs", namespace="default")
    assert vm.metadata.uid != uid
    store.delete(store.update(vm.with_metadata(finalizers=())).key)
    name = secret["metadata"]["name"]
    assert eventually(lambda: kubectl("get", "secret", name, "--namespace=default").code == 1)


class DyingServer:
    """The API server of a process that dies at its n-th write, before or after it takes effect."""

    def __init__(self, server: ApiServer, left: int, *, after_effect: bool) -> None:
        self._server = server
        self._left = left
        self._after_effect = after_effect
        self.url = server.url

    def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        if method == "GET" or "/leases" in path:
            return self._server.request(method, path, **options)
        self._left -= 1
        if self._left < 0:
            if self._left == -1 and self._after_effect:
                self._server.request(method, path, **options)
            raise StoreUnavailable("the process died")
        return self._server.request(method, path, **options)

    def close(self) -> None:
        self._server.close()

    def stream(self, path: str, **options: Any) -> Iterator[dict[str, Any]]:
        return self._server.stream(path, **options)


def test_whoever_dies_at_any_write_to_the_cluster_and_runs_it_again_gets_the_same_end(home, plane, world, opened):
    world.host("a", gpus=2).apply(vm_yaml("runs")).apply(vm_yaml("leaves")).settle()
    world.delete("leaves").run(lambda: bool(world.vm("leaves").status.stopping_since))
    wanted = contents(world.store)
    with store_of(plane) as store:
        for left in range(100):
            source = MemorySide(world.store, name="memory")
            target = side_of(plane, left, after_effect=bool(left % 2))
            target.hold()
            try:
                move(source, target, now=NOW, progress=lambda _done, _of: None)
            except StoreUnavailable:
                target.close()
                with pytest.raises(NotAllowed, match="on their way from memory"):
                    lease_of(plane).try_acquire()
                again = side_of(plane, 10_000, after_effect=False)
                again.hold()
                move(source, again, now=NOW, progress=lambda _done, _of: None)
                again.close()
                assert contents(store) == wanted
                assert source.signpost() is not None and again.signpost() is None
            else:
                target.close()
                assert left > len(wanted)
                return
            empty(store, plane)
        raise AssertionError("it never ends")


def side_of(plane: ControlPlane, left: int, *, after_effect: bool) -> KubernetesSide:
    clock = SystemClock()
    server: Any = DyingServer(ApiServer.from_kubeconfig(plane.kubeconfig, clock=clock), left, after_effect=after_effect)
    store = KubernetesStore(server, clock=clock, tables=Tables.builtin())
    return KubernetesSide(server, store, namespace=NAMESPACE, clock=clock, identity=f"test-{left}-{after_effect}")


def test_namespaces_are_made_where_they_are_missing(home, plane, world, opened, kubectl: Kubectl, capsys):
    world.apply(vm_yaml("runs").replace("{name: runs}", "{name: runs, namespace: of-a-tenant}"))
    put_into_file(world, home)
    assert hikube("migrate", "--from=sqlite", "--to=kubernetes", capsys=capsys)[0] == 0
    assert "runs" in kubectl.ok("get", "virtualmachines", "--namespace=of-a-tenant")
