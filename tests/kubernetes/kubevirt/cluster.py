"""A cluster with KubeVirt in it, for one test: real API server, scheduler and controller manager; KubeVirt itself is played.

With the fixture `kubevirt`: add_node, permit, then VirtualMachines as anybody would write them; `guest` steers what runs.
The stand-in's parts are threads of the test's process. `stop` removes what the test left, whatever held it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.kubernetes.certificates import Authority
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubevirt import cleaning, dra, install, nodes, registration
from tests.kubernetes.kubevirt.access import client_of, serving_context
from tests.kubernetes.kubevirt.controllers import Controllers
from tests.kubernetes.kubevirt.fields import Document, items, uid_of
from tests.kubernetes.kubevirt.guests import Guest
from tests.kubernetes.kubevirt.history import History
from tests.kubernetes.kubevirt.https_server import Server
from tests.kubernetes.kubevirt.pace import Pace
from tests.kubernetes.kubevirt.resources import (
    EVENTS,
    INSTALLED_IN,
    INSTANCES,
    KUBEVIRTS,
    LABEL_CREATED_BY,
    MACHINES,
    NODES,
    PODS,
)
from tests.kubernetes.kubevirt.virt_api import VirtApi

EVENTUALLY_S = 60.0
TESTER = "administrator"
POLL_S = 0.03


class KubeVirtCluster:
    """Started once, stopped once. `client` is an administrator's, who is not of KubeVirt."""

    def __init__(self, plane: ControlPlane, *, namespace: str = "default") -> None:
        self.plane = plane
        self.namespace = namespace
        self._pace = Pace()
        self._api = client_of(plane)
        self.client = client_of(plane, TESTER)
        self._controllers = Controllers(self._api, pace=self._pace)
        self._history = History(self._controllers.mirrors)
        self._authority = Authority()
        virt_api = VirtApi(self._api, schema=install.machine_schema())
        self._server = Server(virt_api.answer, context=serving_context(self._authority, plane.root))

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.plane.kubeconfig

    @property
    def time_scale(self) -> float:
        """1 is the observed pace; 0.1 is ten times as fast. It holds for what begins to wait from now on."""
        return self._pace.scale

    @time_scale.setter
    def time_scale(self, scale: float) -> None:
        self._pace.scale = scale

    def start(self) -> None:
        """KubeVirt is installed, permits nothing and has no node. Its kinds must be served already."""
        self._server.start()
        install.put_kubevirt(self._api)
        registration.put_webhooks(self._api, port=self._server.port, authority=self._authority.certificate)
        registration.put_aggregated_api(self._api, port=self._server.port)
        self._controllers.start()

    def stop(self) -> None:
        """Everything that runs has ended, and every object of KubeVirt and every node of the stand-in is gone."""
        self.plane.heal()
        self._controllers.stop()
        registration.remove_webhooks(self._api)
        registration.remove_aggregated_api(self._api)
        cleaning.remove_all(self._api, nodes=self._controllers.nodes.forget())
        self._server.stop()
        for api in (self._api, self.client):
            api.close()
        self._controllers.join()
        for api in (self._api, self.client):
            api.release()

    def add_node(
        self,
        name: str,
        *,
        gpus: Mapping[str, int] | None = None,
        labels: Mapping[str, str] | None = None,
        cpu: str = "64",
        memory: str = "1Ti",
    ) -> None:
        """A node with these extended resources; it takes pods when this returns.

        Args:
            gpus: names of resources and how many the node has; 4 H100 NVL unless said otherwise.
        """
        offered = {"nvidia.com/GH100_H100_NVL": 4} if gpus is None else gpus
        self._controllers.nodes.add(nodes.node(name, gpus=offered, labels=labels or {}, cpu=cpu, memory=memory))
        self._controllers.heartbeats.enqueue(name)
        self.eventually(lambda: self._controllers.nodes.takes_pods(name), what=f"node {name} takes pods")

    def lose_node(self, name: str) -> None:
        """Its kubelet and virt-handler fall silent; what follows takes 53 s, 314 s and 344 s of the observed pace."""
        self._controllers.nodes.lose(name)
        self._controllers.look_at_nodes()

    def delete_node(self, name: str) -> None:
        """The Node object goes; the pod garbage collector follows after 53 s of the observed pace."""
        self._controllers.nodes.lose(name)
        self._api.delete(NODES.path("", name))
        self.eventually(lambda: self._controllers.nodes_mirror.get(("", name)) is None, what=f"node {name} is gone")
        self._controllers.look_at_nodes()

    def permit(self, resource_name: str, vendor_device: str) -> None:
        """Add to the KubeVirt object's permittedHostDevices; `vendor_device` such as `10DE:2321`."""
        self._permit([*self._permitted(), {"resourceName": resource_name, "pciVendorSelector": vendor_device}])

    def forbid(self, resource_name: str) -> None:
        """Remove from permittedHostDevices."""
        self._permit([each for each in self._permitted() if each["resourceName"] != resource_name])

    def feature_gates(self, *, enabled: tuple[str, ...] = (), disabled: tuple[str, ...] = ()) -> None:
        """Replace what the KubeVirt object turns on and off."""
        gates = {"featureGates": list(enabled), "disabledFeatureGates": list(disabled)}
        self._configure({"developerConfiguration": gates})

    def offer_devices(self, node: str, *, driver: str, devices: Mapping[str, str]) -> None:
        """Offer devices of a node by DRA, with a DeviceClass named as the driver: names and their PCI addresses."""
        dra.offer(self._api, node=node, driver=driver, devices=devices)

    def claim_template(self, namespace: str, name: str, *, device_class: str, request: str = "r1") -> None:
        """A ResourceClaimTemplate that asks for one device of a class."""
        dra.put_template(self._api, namespace=namespace, name=name, device_class=device_class, request=request)

    def guest(self, namespace: str, name: str) -> Guest:
        """The handle that steers a VM's guest."""
        return self._controllers.guests.of((namespace, name))

    def pause_controller(self) -> None:
        """virt-controller is down; admission, nodes and guests go on."""
        self._controllers.pause()

    def resume_controller(self) -> None:
        self._controllers.resume()

    @contextmanager
    def controller_paused(self) -> Iterator[None]:
        """For a while."""
        self.pause_controller()
        try:
            yield
        finally:
            self.resume_controller()

    def vm(self, namespace: str, name: str) -> Document | None:
        """The VirtualMachine as it is now."""
        return self._api.get(MACHINES.path(namespace, name))

    def vmi(self, namespace: str, name: str) -> Document | None:
        """The VirtualMachineInstance as it is now."""
        return self._api.get(INSTANCES.path(namespace, name))

    def pods(self, namespace: str, name: str) -> list[Document]:
        """The launcher pods of its present instance, oldest first."""
        instance = self.vmi(namespace, name)
        selector = f"{LABEL_CREATED_BY}={uid_of(instance)}" if instance else f"vm.kubevirt.io/name={name}"
        return items(self._api.list(PODS, namespace, labelSelector=selector), "items")

    def story(self, namespace: str, name: str) -> list[str]:
        """What became of a VM, its instances and its pods so far, in the API server's order: see `history`."""
        return self._history.story((namespace, name))

    def statuses(self, namespace: str, name: str) -> list[str]:
        """Every `printableStatus` so far, without repeats in a row."""
        return [
            each.removeprefix("VM ") for each in self.story(namespace, name) if each.startswith("VM ") and each[3].isupper()
        ]

    def events(self, namespace: str, kind: str) -> list[tuple[str, str, str]]:
        """Type, reason and message of the events about objects of a kind in a namespace, the latest last."""
        found = items(self._api.list(EVENTS, namespace, fieldSelector=f"involvedObject.kind={kind}"), "items")
        found.sort(key=lambda each: int(each["metadata"]["resourceVersion"]))
        return [(each["type"], each["reason"], str(each.get("message"))) for each in found]

    def eventually(
        self, holds: Callable[[], object], *, limit_s: float = EVENTUALLY_S, what: str | Callable[[], str] = "it"
    ) -> None:
        """Wait for something of the cluster; fails after the limit with these words, which may be found then."""
        deadline_s = time.monotonic() + limit_s
        pause = threading.Event()
        while not holds():
            if time.monotonic() > deadline_s:
                raise AssertionError(f"not after {limit_s:g} s: {what if isinstance(what, str) else what()}")
            pause.wait(POLL_S)

    def _permitted(self) -> list[Document]:
        found = self._api.get(KUBEVIRTS.path(INSTALLED_IN, INSTALLED_IN))
        return items(found, "spec", "configuration", "permittedHostDevices", "pciHostDevices")

    def _permit(self, devices: list[Document]) -> None:
        self._configure({"permittedHostDevices": {"pciHostDevices": devices}})

    def _configure(self, configuration: Document) -> None:
        self._api.patch(KUBEVIRTS.path(INSTALLED_IN, INSTALLED_IN), {"spec": {"configuration": configuration}})
