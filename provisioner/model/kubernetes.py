"""Kubernetes and KubernetesNodes: tenant clusters and their worker groups, in one internal form.

Documents of three generations (node groups inside the cluster with `ephemeralStorage`, then with `diskSize`, then as objects of
their own) all become a NodeGroup: a KubernetesNodes is one, with the cluster that it belongs to. Nothing reconciles these yet.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from provisioner.model.metadata import APPS, Part, Resource, Status
from provisioner.model.virtual_machine import GpuRequest

DEFAULT_GROUP = "md0"
"""The group of a cluster whose document names none."""


class NodeResources(Part):
    """Explicit size of one worker, in place of an instance type: both or neither."""

    cpu: int | None = None
    memory: str | None = None


class Kubelet(Part):
    """Reservations on every worker; empty: computed from its size."""

    system_reserved_memory: str = ""
    kube_reserved_memory: str = ""
    system_reserved_cpu: str = ""
    kube_reserved_cpu: str = ""
    eviction_hard_memory: str = "7%"
    eviction_soft_memory: str = "10%"


class NodeGroup(Part):
    """Workers of one kind, and how many there may be."""

    min_replicas: int = 0
    max_replicas: int = 10
    instance_type: str = "u1.medium"
    disk_size: str = "20Gi"
    storage_class: str = ""
    """Empty: that of the cluster."""
    roles: tuple[str, ...] = ()
    resources: NodeResources = Field(default_factory=NodeResources)
    pod_cpu_limit: str = ""
    pod_cpu_request: str = ""
    gpus: tuple[GpuRequest, ...] = ()
    """Of each worker."""
    kubelet: Kubelet = Field(default_factory=Kubelet)
    log_serial_console: bool = False
    max_unhealthy: str = ""
    """A number or a percentage; empty: that of the cluster."""
    node_startup_timeout: str = ""
    """Empty: that of the cluster."""


class ComponentResources(Part):
    """CPU and memory of a control-plane component, as quantities."""

    cpu: str = ""
    memory: str = ""


class Component(Part):
    """One component of the control plane."""

    resources: ComponentResources = Field(default_factory=ComponentResources)
    resources_preset: str = "micro"
    """Used where `resources` is empty."""


class ApiServer(Component):
    """The API server."""

    resources_preset: str = "large"
    extra_args: tuple[str, ...] = ()
    extra_volumes: tuple[dict[str, Any], ...] = ()
    extra_volume_mounts: tuple[dict[str, Any], ...] = ()


class Konnectivity(Part):
    """The tunnel from the control plane to the workers."""

    server: Component = Field(default_factory=Component)


class ControlPlane(Part):
    """The control plane, which runs outside the workers."""

    replicas: int = 2
    api_server: ApiServer = Field(default_factory=ApiServer)
    controller_manager: Component = Field(default_factory=Component)
    scheduler: Component = Field(default_factory=Component)
    konnectivity: Konnectivity = Field(default_factory=Konnectivity)


class AddonSwitch(Part):
    """An addon that is only on or off."""

    enabled: bool = False


class AddonValues(Part):
    """An addon that is always on, with values of its Helm chart to override."""

    values_override: dict[str, Any] = Field(default_factory=dict)


class Addon(AddonValues):
    """An addon that can be on or off, with values to override."""

    enabled: bool = False


class IngressNginxAddon(Addon):
    """The ingress controller."""

    expose_method: Literal["Proxied", "LoadBalancer"] = "Proxied"
    hosts: tuple[str, ...] = ()


class Addons(Part):
    """What is installed into the cluster."""

    cert_manager: Addon = Field(default_factory=Addon)
    cilium: AddonValues = Field(default_factory=AddonValues)
    coredns: AddonValues = Field(default_factory=AddonValues)
    fluxcd: Addon = Field(default_factory=Addon)
    gateway_api: AddonSwitch = Field(default_factory=AddonSwitch, alias="gatewayAPI")
    gpu_operator: Addon = Field(default_factory=Addon)
    hami: Addon = Field(default_factory=Addon)
    ingress_nginx: IngressNginxAddon = Field(default_factory=IngressNginxAddon)
    monitoring_agents: Addon = Field(default_factory=Addon)
    ouroboros: Addon = Field(default_factory=Addon)
    velero: Addon = Field(default_factory=Addon)
    vertical_pod_autoscaler: AddonValues = Field(default_factory=AddonValues)


class NodeHealthCheck(Part):
    """When a worker counts as broken."""

    max_unhealthy: str = "50%"
    node_startup_timeout: str = "20m"
    ready_unknown_timeout: str = "5m"
    ready_false_timeout: str = "10m"


class Talos(Part):
    """Which Talos the workers run; empty: the platform's choice."""

    version: str = ""
    schematic_id: str = Field(default="", alias="schematicID")
    image_factory_url: str = Field(default="", alias="imageFactoryURL")
    installer_repository: str = ""
    registry_mirrors: dict[str, Any] = Field(default_factory=dict)


class OidcUser(Part):
    """Somebody who may log in."""

    email: str
    role: Literal["admin", "view"] = "view"


class Oidc(Part):
    """How people log in to the cluster."""

    mode: Literal["None", "System", "CustomConfig"] = "None"
    custom_config: Any = None
    users: tuple[OidcUser, ...] = ()


class KubernetesSpec(Part):
    """What the tenant wants of a cluster."""

    storage_class: str = "replicated"
    host: str = ""
    version: str = "v1.35"
    node_groups: dict[str, NodeGroup] = Field(default_factory=dict)
    """Never empty behind the door: a document without groups means one group `md0`."""
    addons: Addons = Field(default_factory=Addons)
    control_plane: ControlPlane = Field(default_factory=ControlPlane)
    node_health_check: NodeHealthCheck = Field(default_factory=NodeHealthCheck)
    max_node_provision_time: str = "30m"
    talos: Talos = Field(default_factory=Talos)
    images: dict[str, str] = Field(default_factory=dict)
    oidc: Oidc = Field(default_factory=Oidc)


class Kubernetes(Resource):
    """A tenant cluster with its worker groups."""

    KIND: ClassVar[str] = "Kubernetes"
    API_VERSION: ClassVar[str] = APPS
    PLURAL: ClassVar[str] = "kuberneteses"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("k8s",)

    api_version: str = APPS
    kind: str = "Kubernetes"
    spec: KubernetesSpec = Field(default_factory=KubernetesSpec)
    status: Status = Field(default_factory=Status)


class KubernetesNodesSpec(NodeGroup):
    """A worker group as an object of its own."""

    cluster: str
    storage_class: str = "replicated"
    max_unhealthy: str = "50%"
    node_startup_timeout: str = "20m"
    ready_unknown_timeout: str = "5m"
    ready_false_timeout: str = "10m"
    max_node_provision_time: str = "30m"
    version: str = ""
    """Empty: that of the cluster."""
    talos: Talos = Field(default_factory=Talos)
    images: dict[str, str] = Field(default_factory=dict)


class KubernetesNodes(Resource):
    """A worker group; its name is `<cluster>-<pool>`."""

    KIND: ClassVar[str] = "KubernetesNodes"
    API_VERSION: ClassVar[str] = APPS
    PLURAL: ClassVar[str] = "kubernetesnodeses"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("kn", "nodes")

    api_version: str = APPS
    kind: str = "KubernetesNodes"
    spec: KubernetesNodesSpec
    status: Status = Field(default_factory=Status)

    @property
    def pool(self) -> str:
        """The group's name inside its cluster."""
        return self.metadata.name.removeprefix(f"{self.spec.cluster}-")
