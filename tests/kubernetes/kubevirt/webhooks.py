"""virt-api's admission: a review comes in, a pure rule judges, an answer goes out. The rules are in modules of their own."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable

from tests.kubernetes.kubevirt import instance_rules, machine_defaults, machine_rules
from tests.kubernetes.kubevirt.api import Api
from tests.kubernetes.kubevirt.eviction_rules import judge
from tests.kubernetes.kubevirt.fields import Document, at, items, uid_of
from tests.kubernetes.kubevirt.gpu_rules import enabled_gates
from tests.kubernetes.kubevirt.mistyped import mistyped
from tests.kubernetes.kubevirt.refusals import Denial, denial_of
from tests.kubernetes.kubevirt.resources import INSTALLED_IN, INSTANCES, KUBEVIRTS, LABEL_CREATED_BY, PODS

Review = Callable[[Document], Document]


class Webhooks:
    """Each method answers one kind of review; called from the server's threads.

    Args:
        schema: of VirtualMachine, by which the mutator refuses what has the wrong type before anybody else does.
    """

    def __init__(self, api: Api, *, schema: Document) -> None:
        self._api = api
        self._schema = schema

    def by_path(self) -> dict[str, Review]:
        return {
            "/virtualmachines-mutate": self.mutate_machine,
            "/virtualmachines-validate": self.validate_machine,
            "/virtualmachineinstances-mutate": self.mutate_instance,
            "/virtualmachineinstances-validate-create": self.validate_new_instance,
            "/virtualmachineinstances-validate-update": self.validate_changed_instance,
            "/launcher-eviction": self.judge_eviction,
        }

    def mutate_machine(self, request: Document) -> Document:
        wrong = mistyped(request["object"], self._schema)
        if wrong:
            return _answer(request, denial_of(wrong))
        new = machine_defaults.with_defaults(request["object"], request.get("oldObject"))
        return _patched(request, [{"op": "replace", "path": "/spec", "value": new["spec"]}])

    def validate_machine(self, request: Document) -> Document:
        if at(request["object"], "metadata", "deletionTimestamp"):
            return _answer(request, None)
        return _answer(request, denial_of(machine_rules.machine_causes(request["object"], self._gates())))

    def mutate_instance(self, request: Document) -> Document:
        new = instance_rules.with_defaults(request["object"])
        parts = ("metadata", "spec", "status")
        return _patched(request, [{"op": "add", "path": f"/{part}", "value": new[part]} for part in parts])

    def validate_new_instance(self, request: Document) -> Document:
        return _answer(request, instance_rules.refuse_new(request["object"], self._gates()))

    def validate_changed_instance(self, request: Document) -> Document:
        user = str(at(request, "userInfo", "username", default=""))
        return _answer(request, instance_rules.refuse_change(request["oldObject"], request["object"], user))

    def judge_eviction(self, request: Document) -> Document:
        """Marks the instance, unless the eviction is a dry run."""
        namespace, name = request["namespace"], request["name"]
        pod = self._api.get(PODS.path(namespace, name))
        instance = self._instance_of(pod) if pod is not None else None
        verdict = judge(instance)
        if verdict.is_marked and instance is not None and not _is_rehearsal(request):
            node = at(pod, "spec", "nodeName", default="")
            path = INSTANCES.path(namespace, instance["metadata"]["name"])
            self._api.patch(path, {"status": {"evacuationNodeName": node}})
        return _answer(request, verdict.denial)

    def _instance_of(self, pod: Document) -> Document | None:
        domain = at(pod, "metadata", "annotations", "kubevirt.io/domain")
        if not domain:
            return None
        found = self._api.get(INSTANCES.path(pod["metadata"]["namespace"], domain))
        uid = (pod["metadata"].get("labels") or {}).get(LABEL_CREATED_BY)
        return found if found is not None and uid_of(found) == uid else None

    def _gates(self) -> set[str]:
        return enabled_gates(self._api.get(KUBEVIRTS.path(INSTALLED_IN, INSTALLED_IN)))


def _is_rehearsal(request: Document) -> bool:
    """A dry run is asked for in the query, or in the eviction's own options, which the API server does not look at for us."""
    return bool(request.get("dryRun")) or "All" in items(request, "object", "deleteOptions", "dryRun")


def _answer(request: Document, denial: Denial | None) -> Document:
    response: Document = {"uid": request["uid"], "allowed": denial is None}
    if denial is not None:
        response["status"] = denial.document()
    return response


def _patched(request: Document, patch: list[Document]) -> Document:
    encoded = b64encode(json.dumps(patch).encode()).decode()
    return {"uid": request["uid"], "allowed": True, "patchType": "JSONPatch", "patch": encoded}
