"""Which kinds the stand-in reads and writes, and where the API server serves them."""

from __future__ import annotations

from dataclasses import dataclass

FINALIZER_CONTROLLER = "kubevirt.io/virtualMachineControllerFinalize"
FINALIZER_FOREGROUND = "kubevirt.io/foregroundDeleteVirtualMachine"
LABEL_CREATED_BY = "kubevirt.io/created-by"
LABEL_NODE = "kubevirt.io/nodeName"
LABEL_SCHEDULABLE = "kubevirt.io/schedulable"
ANNOTATION_GENERATION = "kubevirt.io/vm-generation"
ANNOTATION_TOPOLOGY = "kubevirt.io/pci-topology-version"
VERSION_ANNOTATIONS = {
    "kubevirt.io/latest-observed-api-version": "v1",
    "kubevirt.io/storage-observed-api-version": "v1",
}
INSTALLED_IN = "kubevirt"
"""The namespace of KubeVirt's own objects."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind."""

    base: str
    plural: str
    kind: str
    namespaced: bool = True

    def collection(self, namespace: str = "") -> str:
        """Of one namespace, or of all."""
        middle = f"/namespaces/{namespace}" if namespace else ""
        return f"{self.base}{middle}/{self.plural}"

    def path(self, namespace: str, name: str, subresource: str = "") -> str:
        """Of one object."""
        tail = f"/{subresource}" if subresource else ""
        return f"{self.collection(namespace if self.namespaced else '')}/{name}{tail}"


_CORE = "/api/v1"
_KUBEVIRT = "/apis/kubevirt.io/v1"
_INSTANCETYPE = "/apis/instancetype.kubevirt.io/v1beta1"

MACHINES = Resource(_KUBEVIRT, "virtualmachines", "VirtualMachine")
INSTANCES = Resource(_KUBEVIRT, "virtualmachineinstances", "VirtualMachineInstance")
KUBEVIRTS = Resource(_KUBEVIRT, "kubevirts", "KubeVirt")
PODS = Resource(_CORE, "pods", "Pod")
NODES = Resource(_CORE, "nodes", "Node", namespaced=False)
EVENTS = Resource(_CORE, "events", "Event")
SECRETS = Resource(_CORE, "secrets", "Secret")
CLAIMS_OF_VOLUMES = Resource(_CORE, "persistentvolumeclaims", "PersistentVolumeClaim")
LEASES = Resource("/apis/coordination.k8s.io/v1", "leases", "Lease")
REVISIONS = Resource("/apis/apps/v1", "controllerrevisions", "ControllerRevision")
CLAIMS = Resource("/apis/resource.k8s.io/v1", "resourceclaims", "ResourceClaim")
CLAIM_TEMPLATES = Resource("/apis/resource.k8s.io/v1", "resourceclaimtemplates", "ResourceClaimTemplate")
DEVICE_CLASSES = Resource("/apis/resource.k8s.io/v1", "deviceclasses", "DeviceClass", namespaced=False)
SLICES = Resource("/apis/resource.k8s.io/v1", "resourceslices", "ResourceSlice", namespaced=False)
DATA_VOLUMES = Resource("/apis/cdi.kubevirt.io/v1beta1", "datavolumes", "DataVolume")
INSTANCETYPES = Resource(_INSTANCETYPE, "virtualmachineinstancetypes", "VirtualMachineInstancetype")
CLUSTER_INSTANCETYPES = Resource(
    _INSTANCETYPE, "virtualmachineclusterinstancetypes", "VirtualMachineClusterInstancetype", namespaced=False
)
PREFERENCES = Resource(_INSTANCETYPE, "virtualmachinepreferences", "VirtualMachinePreference")
CLUSTER_PREFERENCES = Resource(
    _INSTANCETYPE, "virtualmachineclusterpreferences", "VirtualMachineClusterPreference", namespaced=False
)
DEFINITIONS = Resource(
    "/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
MUTATING = Resource(
    "/apis/admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", namespaced=False
)
VALIDATING = Resource(
    "/apis/admissionregistration.k8s.io/v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
ROLES = Resource("/apis/rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", namespaced=False)
ROLE_BINDINGS = Resource("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
NAMESPACES = Resource(_CORE, "namespaces", "Namespace", namespaced=False)
SERVICES = Resource(_CORE, "services", "Service")
API_SERVICES = Resource("/apis/apiregistration.k8s.io/v1", "apiservices", "APIService", namespaced=False)
