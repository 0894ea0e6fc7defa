"""What every manifest of ours must be: each rule looks at one object beside all the others, and says what is wrong.

As kube-linter and its like have it, and held by nothing but plain reading: a cluster would run most of what these refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]
Rule = Callable[[Document, Sequence[Document]], Iterator[str]]


def violations(documents: Sequence[Document]) -> list[str]:
    """`rule: kind name: what is wrong`, for all objects and all rules."""
    return [
        f"{rule.__name__}: {each['kind']} {each['metadata']['name']}: {wrong}"
        for each in documents
        for rule in RULES
        for wrong in rule(each, documents)
    ]


def image_is_a_version(document: Document, _: Sequence[Document]) -> Iterator[str]:
    """A tag that moves, or none, lets replicas differ."""
    for container in _containers(document):
        name, _, tag = container["image"].rpartition("/")[2].partition(":")
        if "@sha256:" not in container["image"] and tag in ("", "latest"):
            yield f"image {container['image']} names no version of {name}"


def runs_as_nobody(document: Document, _: Sequence[Document]) -> Iterator[str]:
    """Neither root nor a user that only the image names."""
    for pod in _pods(document):
        context = pod.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser", 0):
            yield "its pod may be root"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield "its pod may make any system call"


def containers_are_confined(document: Document, _: Sequence[Document]) -> Iterator[str]:
    """Files that stay as they are, no capability, no way to gain one."""
    for container in _containers(document):
        context = container.get("securityContext", {})
        wanted = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "privileged": False}
        for name, value in wanted.items():
            if context.get(name) is not value:
                yield f"container {container['name']}: {name} is not {value}"
        if context.get("capabilities") != {"drop": ["ALL"]}:
            yield f"container {container['name']}: it keeps capabilities"


def stays_in_its_pod(document: Document, _: Sequence[Document]) -> Iterator[str]:
    """Nothing of its node."""
    for pod in _pods(document):
        for name in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(name):
                yield f"{name} is set"
        yield from (f"volume {each['name']} is of the node" for each in pod.get("volumes", ()) if "hostPath" in each)
        ports = [port for container in pod["containers"] for port in container.get("ports", ())]
        yield from (f"port {port['containerPort']} is the node's" for port in ports if "hostPort" in port)


def resources_are_set(document: Document, _: Sequence[Document]) -> Iterator[str]:
    """What it needs, and a bound on memory and on what it writes."""
    for pod in _pods(document):
        for container in pod["containers"]:
            resources = container.get("resources", {})
            if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
                yield f"container {container['name']}: resources are not set"
        endless = [
            each["name"] for each in pod.get("volumes", ()) if "emptyDir" in each and not each["emptyDir"].get("sizeLimit")
        ]
        yield from (f"volume {name} has no bound" for name in endless)


def is_probed(document: Document, _: Sequence[Document]) -> Iterator[str]:
    """By names of ports that there are."""
    for container in _containers(document):
        ports = {port.get("name") for port in container.get("ports", ())}
        for probe in ("livenessProbe", "readinessProbe"):
            if container.get(probe, {}).get("httpGet", {}).get("port") not in ports:
                yield f"container {container['name']}: {probe} asks no port of it"


def writes_only_where_a_volume_is(document: Document, _: Sequence[Document]) -> Iterator[str]:
    """Each mount has its volume, each volume its mount."""
    for pod in _pods(document):
        mounted = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", ())}
        there = {volume["name"] for volume in pod.get("volumes", ())}
        yield from (f"volume {name} is mounted or there, not both" for name in sorted(mounted ^ there))


def no_wildcards(document: Document, _: Sequence[Document]) -> Iterator[str]:
    """And no verb that lends rights."""
    for rule in document.get("rules") or () if document["kind"] in ("Role", "ClusterRole") else ():
        for field in ("apiGroups", "resources", "verbs"):
            if any("*" in value for value in rule.get(field, ())):
                yield f"{field} {rule[field]}"
        yield from (f"verb {verb}" for verb in rule["verbs"] if verb in ("escalate", "bind", "impersonate"))


def tokens_only_where_used(document: Document, documents: Sequence[Document]) -> Iterator[str]:
    """An account says no; a pod that needs its token says so, and then the account has rights."""
    if document["kind"] == "ServiceAccount" and document.get("automountServiceAccountToken") is not False:
        yield "every pod under it gets a token"
    bound = {subject["name"] for each in documents if each["kind"].endswith("RoleBinding") for subject in each["subjects"]}
    for pod in _pods(document):
        if pod.get("serviceAccountName", "default") == "default":
            yield "it is the namespace's default account"
        if "automountServiceAccountToken" not in pod:
            yield "it does not say whether it needs a token"
        elif pod["automountServiceAccountToken"] and pod.get("serviceAccountName") not in bound:
            yield "it has a token that is worth nothing"


def bindings_lead_somewhere(document: Document, documents: Sequence[Document]) -> Iterator[str]:
    """Roles and accounts of bindings are there."""
    if document["kind"].endswith("RoleBinding"):
        aims = [(document["roleRef"]["kind"], document["roleRef"]["name"])]
        aims += [(subject["kind"], subject["name"]) for subject in document["subjects"]]
        there = {(each["kind"], each["metadata"]["name"]) for each in documents}
        yield from (f"there is no {kind} {name}" for kind, name in aims if (kind, name) not in there)


def selectors_match(document: Document, documents: Sequence[Document]) -> Iterator[str]:
    """Whatever selects pods selects some of ours."""
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in documents if "template" in (each.get("spec") or {})]
    for selector in _selectors(document):
        if not selector:
            yield "it selects everything"
        elif not any(selector.items() <= each.items() for each in labels):
            yield f"no pod is {selector}"


def replicas_are_kept(document: Document, documents: Sequence[Document]) -> Iterator[str]:
    """Several replicas have a budget, which lets a drain go on."""
    if document["kind"] == "Deployment" and document["spec"]["replicas"] > 1:
        labels = document["spec"]["template"]["metadata"]["labels"]
        budgets = [each["spec"] for each in documents if each["kind"] == "PodDisruptionBudget"]
        mine = [each for each in budgets if each["selector"]["matchLabels"].items() <= labels.items()]
        if not mine:
            yield "it has no PodDisruptionBudget"
        yield from ("its PodDisruptionBudget blocks drains" for each in mine if each.get("maxUnavailable", 1) in (0, "0%"))
        if not document["spec"]["template"]["spec"].get("topologySpreadConstraints"):
            yield "its replicas may share a node"


def network_is_closed(document: Document, documents: Sequence[Document]) -> Iterator[str]:
    """A policy for both directions, in which nothing is open to everything."""
    policies = [each["spec"] for each in documents if each["kind"] == "NetworkPolicy"]
    for pod_labels in [document["spec"]["template"]["metadata"]["labels"]] if list(_pods(document)) else []:
        mine = [each for each in policies if each["podSelector"]["matchLabels"].items() <= pod_labels.items()]
        if not any(set(each["policyTypes"]) == {"Ingress", "Egress"} for each in mine):
            yield "no NetworkPolicy is about its pods"
    if document["kind"] == "NetworkPolicy":
        rules = [*document["spec"].get("ingress", ()), *document["spec"].get("egress", ())]
        yield from ("a rule is about every port" for rule in rules if not rule.get("ports"))


OF_THE_CLUSTER = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "Namespace",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)


def has_a_namespace(document: Document, _: Sequence[Document]) -> Iterator[str]:
    """What is in a namespace says in which, so that nobody's default decides."""
    if document["kind"] not in OF_THE_CLUSTER and not document["metadata"].get("namespace"):
        yield "it names no namespace"


RULES: tuple[Rule, ...] = (
    image_is_a_version,
    runs_as_nobody,
    containers_are_confined,
    stays_in_its_pod,
    resources_are_set,
    is_probed,
    writes_only_where_a_volume_is,
    no_wildcards,
    tokens_only_where_used,
    bindings_lead_somewhere,
    selectors_match,
    replicas_are_kept,
    network_is_closed,
    has_a_namespace,
)


def _pods(document: Document) -> Iterator[Document]:
    if document["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
        yield document["spec"]["template"]["spec"]


def _containers(document: Document) -> Iterator[Document]:
    for pod in _pods(document):
        yield from (*pod["containers"], *pod.get("initContainers", ()))


def _selectors(document: Document) -> Iterator[Mapping[str, str]]:
    spec = document.get("spec") or {}
    if document["kind"] == "Service":
        yield spec["selector"]
    if document["kind"] in ("Deployment", "PodDisruptionBudget"):
        yield spec["selector"]["matchLabels"]
    if document["kind"] == "NetworkPolicy":
        yield spec["podSelector"]["matchLabels"]
    for pod in _pods(document):
        yield from (each["labelSelector"]["matchLabels"] for each in pod.get("topologySpreadConstraints", ()))
