"""virt-controller, the nodes and the mirrors they share, wired: which change of what brings a look at which key.

VirtualMachine  ->  machines
Instance        ->  instances, machines (its owner), node side (its pods)
Pod             ->  instances (its domain), node side
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

from tests.kubernetes.kubevirt.api import Api
from tests.kubernetes.kubevirt.events import Recorder
from tests.kubernetes.kubevirt.fields import Document, Key, at, controller_of, items, key_of
from tests.kubernetes.kubevirt.guests import Guests
from tests.kubernetes.kubevirt.instances import Instances
from tests.kubernetes.kubevirt.loop import Loop
from tests.kubernetes.kubevirt.machines import Machines
from tests.kubernetes.kubevirt.mirror import Mirror
from tests.kubernetes.kubevirt.node_side import NodeSide, pods_of
from tests.kubernetes.kubevirt.nodes import Nodes
from tests.kubernetes.kubevirt.pace import Pace
from tests.kubernetes.kubevirt.resources import INSTALLED_IN, INSTANCES, KUBEVIRTS, MACHINES, NODES, PODS

DEVICE_LISTS = ("pciHostDevices", "mediatedDevices", "usb")


class Controllers:
    """Four loops, one thread each."""

    def __init__(self, api: Api, *, pace: Pace) -> None:
        self._api = api
        self.machines_mirror = Mirror(api, MACHINES)
        self.instances_mirror = Mirror(api, INSTANCES)
        self.pods_mirror = Mirror(api, PODS)
        self.nodes_mirror = Mirror(api, NODES)
        self.mirrors = (self.nodes_mirror, self.pods_mirror, self.instances_mirror, self.machines_mirror)
        self._events = Recorder(api)
        self.guests = Guests(self._guest_changed)
        seen: dict[str, Any] = {"instances": self.instances_mirror, "events": self._events, "pace": pace}
        self.nodes = Nodes(api, nodes=self.nodes_mirror, pods=self.pods_mirror, **seen)
        machines = Machines(api, machines=self.machines_mirror, chance=random.Random(), **seen)
        instances = Instances(api, pods=self.pods_mirror, permitted=self._permitted, **seen)
        node_side = NodeSide(api, pods=self.pods_mirror, guests=self.guests, is_alive=self.nodes.is_alive, **seen)
        self._machines: Loop[Key] = Loop("machines", machines.reconcile)
        self._instances: Loop[Key] = Loop("instances", instances.reconcile)
        self._node_side: Loop[Key] = Loop("node-side", node_side.reconcile)
        self.heartbeats: Loop[str] = Loop("heartbeats", self.nodes.reconcile)
        self._loops: tuple[Loop[Any], ...] = (self._machines, self._instances, self._node_side, self.heartbeats)
        self.machines_mirror.listen(lambda each: self._machines.enqueue(key_of(each)))
        self.instances_mirror.listen(self._instance_changed)
        self.pods_mirror.listen(self._pod_changed)

    def start(self) -> None:
        for mirror in self.mirrors:
            mirror.start()
        for loop in self._loops:
            loop.start()

    def pause(self) -> None:
        """virt-controller does nothing; nodes and guests go on."""
        self._machines.pause()
        self._instances.pause()

    def resume(self) -> None:
        self._machines.resume()
        self._instances.resume()

    def stop(self) -> None:
        """Everything is told to end; `join` when the client is closed."""
        for loop in self._loops:
            loop.stop()
        for mirror in self.mirrors:
            mirror.stop()

    def join(self) -> None:
        for loop in self._loops:
            loop.join()
        for mirror in self.mirrors:
            mirror.join()

    def look_at_nodes(self) -> None:
        """After something was done to them; also those that are gone, whose pods are collected."""
        names = {at(each, "spec", "nodeName") for each in self.pods_mirror.all()}
        for name in names | {each["metadata"]["name"] for each in self.nodes_mirror.all()}:
            if name:
                self.heartbeats.enqueue(name)

    def _instance_changed(self, instance: Document) -> None:
        self._instances.enqueue(key_of(instance))
        owner = controller_of(instance)
        if owner is not None:
            self._machines.enqueue((instance["metadata"]["namespace"], owner["name"]))
        for key in pods_of(self.pods_mirror, instance):
            self._node_side.enqueue(key)

    def _pod_changed(self, pod: Document) -> None:
        domain = at(pod, "metadata", "annotations", "kubevirt.io/domain")
        if domain:
            self._instances.enqueue((pod["metadata"]["namespace"], domain))
        self._node_side.enqueue(key_of(pod))

    def _guest_changed(self, key: Key) -> None:
        instance = self.instances_mirror.get(key)
        for pod in pods_of(self.pods_mirror, instance) if instance is not None else ():
            self._node_side.enqueue(pod)

    def _permitted(self) -> Collection[str]:
        found = self._api.get(KUBEVIRTS.path(INSTALLED_IN, INSTALLED_IN))
        lists = at(found, "spec", "configuration", "permittedHostDevices", default={})
        return {each["resourceName"] for kind in DEVICE_LISTS for each in items(lists, kind)}
