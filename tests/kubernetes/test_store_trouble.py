"""The store over an API server that is shared, restarted, frozen and forgetful: nothing that happened stays unheard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from provisioner.model.errors import Conflict, HikubeError, NotAllowed, NotFound, StoreUnavailable
from provisioner.model.gpu_claim import GPUClaim
from provisioner.model.virtual_machine import VirtualMachine
from provisioner.store.kubernetes.store import KubernetesStore
from provisioner.store.mirror import Mirror
from provisioner.store.protocol import Change, Event
from tests.contract.stores import claim, eventually, names, resized, secret, vm
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.stores import store_of

BOUND_S = 30.0
OWN_SHAPE = """
apiVersion: apps.cozystack.io/v1alpha1
kind: VirtualMachine
metadata: {name: typed}
spec:
  running: true
  gpus: [{name: L40S}]
  systemDisk: {image: ubuntu, size: 40Gi}
"""


class Listener:
    """Watches, lists again where it has to, and remembers."""

    def __init__(self, store: KubernetesStore) -> None:
        self._store = store
        self._since = store.list(VirtualMachine).version
        self.heard: list[Change] = []
        self.lists = 0
        store.watch(self._since, timeout_s=0)

    def hears(self, name: str) -> bool:
        """Whether it comes to know of the VM of that name, within the bound."""
        return eventually(lambda: self._look(name))

    def _look(self, name: str) -> bool:
        try:
            changes = self._store.watch(self._since, timeout_s=0.5)
        except Conflict:
            self.lists += 1
            listing = self._store.list(VirtualMachine)
            self._since = listing.version
            return any(each.metadata.name == name for each in listing.items)
        self.heard += changes
        self._since = changes[-1].version if changes else self._since
        return any(each.resource.metadata.name == name for each in self.heard)


@pytest.fixture
def plane(kinds: ControlPlane, namespace: str) -> ControlPlane:
    """Healed for this test."""
    return kinds


@pytest.fixture
def stores(plane: ControlPlane) -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def store(plane: ControlPlane, stores: ExitStack) -> KubernetesStore:
    return stores.enter_context(store_of(plane))


@pytest.fixture
def other(plane: ControlPlane, stores: ExitStack) -> KubernetesStore:
    """The store of somebody else: it shares nothing but the API server."""
    return stores.enter_context(store_of(plane))


class TestOthers:
    def test_what_somebody_else_writes_is_heard(self, store, other, namespace):
        listener = Listener(store)
        other.create(vm("theirs", namespace=namespace))
        assert listener.hears("theirs")
        other.delete(vm("theirs", namespace=namespace).key)
        assert eventually(lambda: bool(listener.hears("theirs")) and str(listener.heard[-1].type) == "DELETED")

    def test_a_mirror_ends_up_with_what_a_list_says(self, store, other, namespace):
        mirror, known = Mirror(VirtualMachine), {}

        def matches() -> bool:
            for before, after in mirror.catch_up(store):
                known.pop(before.key, None) if before is not None else None
                known.update({after.key: after} if after is not None else {})
            return known == {each.key: each for each in other.list(VirtualMachine).items}

        assert eventually(matches)
        machines = [(store, other)[number % 2].create(vm(f"vm-{number}", namespace=namespace)) for number in range(6)]
        store.update_status(machines[0].with_status(host="a"))
        other.update(resized(machines[1], "u1.large"))
        other.delete(machines[2].key)
        store.delete(machines[3].key)
        assert matches() or eventually(matches)

    def test_a_claim_is_one_name_for_everybody(self, store, other, namespace):
        name = f"{namespace}.0000-01-00.0"
        store.create(claim(name, by="first"))
        with pytest.raises(HikubeError, match="exists already"):
            other.create(claim(name, by="second"))
        store.delete(claim(name).key)

    def test_secrets_of_others_are_none_of_ours(self, store, plane, namespace):
        plane.admin.post(f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": "theirs"}, "data": {"a": "eA=="}})
        ours = store.create(secret("ours", key="x").with_metadata(namespace=namespace))
        assert names(store, type(ours), namespace=namespace) == ["ours"]


class TestUsers:
    def test_what_a_user_typed_is_understood_and_stays_as_typed(self, store, kubectl, namespace):
        kubectl.ok("apply", "--filename", "-", stdin=OWN_SHAPE)
        machine = store.get(VirtualMachine, "typed", namespace=namespace)
        assert machine.spec.gpus[0].name == "nvidia.com/AD102GL_L40S"
        machine = store.update(machine.with_metadata(finalizers=("hikube.cloud/hold",)))
        store.update_status(machine.with_status(host="a"))
        wanted = "jsonpath={.spec.systemDisk.size} {.spec.running} {.status.host}"
        assert kubectl.ok("get", "virtualmachine", "typed", f"--output={wanted}") == "40Gi true a"
        assert "unchanged" in kubectl.ok("apply", "--filename", "-", stdin=OWN_SHAPE)

    def test_an_object_that_the_model_does_not_have_is_reported_and_left_out(self, plane, stores, kubectl, namespace):
        refused: list[str] = []
        store = stores.enter_context(store_of(plane, refused=lambda _key, why: refused.append(str(why.context["mistakes"]))))
        kubectl.ok("apply", "--filename", "-", stdin=OWN_SHAPE.replace("L40S", "L4OS"))
        assert names(store, VirtualMachine, namespace=namespace) == []
        assert "L4OS" in refused[0]

    def test_an_identity_from_elsewhere_holds_for_every_call(self, store, namespace):
        known = vm("moved", namespace=namespace, uid="of-old")
        machine = store.create(known, keeps_identity=True)
        machine = store.update_status(store.update(machine.with_metadata(labels={"a": "b"})).with_status(host="a"))
        assert store.get(VirtualMachine, "moved", namespace=namespace).metadata.uid == machine.metadata.uid == "of-old"
        with pytest.raises(NotFound):
            store.delete(machine.key, uid="another")
        store.delete(machine.key, uid="of-old")

    def test_who_may_not_is_told_so(self, plane, stores):
        stranger = stores.enter_context(store_of(plane, kubeconfig=plane.kubeconfig_of("stranger")))
        with pytest.raises(NotAllowed, match="stranger"):
            stranger.list(VirtualMachine)

    def test_kubectl_describe_shows_what_was_told(self, store, kubectl, namespace):
        machine = store.create(vm("told", namespace=namespace))
        for _ in range(3):
            store.record(Event(machine.key, "Warning", "NoGpu", "0 of 1 L40S free"))
        assert "0 of 1 L40S free" in kubectl.ok("describe", "virtualmachine", "told")


class TestOutages:
    def test_after_a_restart_of_the_api_server_watching_goes_on(self, plane, store, other, namespace):
        listener = Listener(store)
        plane.restart_api_server()
        assert eventually(lambda: _creates(other, "after", namespace))
        assert listener.hears("after")

    def test_after_a_restart_of_etcd_watching_goes_on(self, plane, store, other, namespace):
        listener = Listener(store)
        plane.restart_etcd()
        assert eventually(lambda: _creates(other, "after", namespace))
        assert listener.hears("after")

    def test_a_version_that_is_forgotten_means_a_list(self, plane, store, other, namespace):
        listener = Listener(store)
        for number in range(3):
            other.create(vm(f"vm-{number}", namespace=namespace))
        assert listener.hears("vm-2")
        plane.api_server.freeze()
        plane.api_server.thaw()
        for number in range(20):
            plane.admin.post("/api/v1/namespaces", {"metadata": {"name": f"{namespace}-{number}"}})
        plane.forget_history()
        assert eventually(lambda: _creates(other, "after", namespace))
        assert listener.hears("after")

    def test_an_api_server_that_does_not_answer_is_given_up(self, plane, stores):
        store = stores.enter_context(store_of(plane, request_timeout_s=1.0))
        plane.api_server.freeze()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            store.list(GPUClaim)
        plane.api_server.thaw()
        assert eventually(lambda: _answers(store))

    def test_an_api_server_that_is_away_is_waited_for(self, plane, store):
        plane.api_server.kill()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            store.list(GPUClaim)
        plane.heal()
        assert store.list(GPUClaim).items == ()


def _creates(store: KubernetesStore, name: str, namespace: str) -> bool:
    try:
        store.create(vm(name, namespace=namespace))
    except StoreUnavailable:
        return False
    except HikubeError as error:
        return type(error).__name__ == "AlreadyExists"
    return True


def _answers(store: KubernetesStore) -> bool:
    try:
        store.list(GPUClaim)
    except StoreUnavailable:
        return False
    return True
