"""virt-api: which request goes where. Reviews to the webhooks, `start`, `stop` and `restart` to the subresources, and what an
aggregated API must say of itself.

`start`, `stop` and `restart` answer 406 to `Accept: application/json` alone, and 202 without a body where they succeed.
"""

from __future__ import annotations

import json
import re

from tests.kubernetes.kubevirt import subresources
from tests.kubernetes.kubevirt.api import Api, Away, Refused
from tests.kubernetes.kubevirt.fields import Document, key_of, uid_of
from tests.kubernetes.kubevirt.https_server import Request, Response, json_response
from tests.kubernetes.kubevirt.resources import INSTANCES, LABEL_CREATED_BY, MACHINES, PODS
from tests.kubernetes.kubevirt.webhooks import Webhooks

GROUP = "/apis/subresources.kubevirt.io/v1"
_VERB = re.compile(rf"{GROUP}/namespaces/(?P<namespace>[^/]+)/virtualmachines/(?P<name>[^/]+)/(?P<verb>start|stop|restart)$")
NOT_ACCEPTABLE = Response(406, b"406: Not Acceptable", "text/plain")


class VirtApi:
    """One answer for one request; called from the server's threads."""

    def __init__(self, api: Api, *, schema: Document) -> None:
        self._api = api
        self._reviews = Webhooks(api, schema=schema).by_path()

    def answer(self, request: Request) -> Response:
        path = request.path.partition("?")[0]
        try:
            if path in self._reviews:
                return self._review(path, request)
            if (found := _VERB.match(path)) and request.method == "PUT":
                return self._subresource(request, **found.groupdict())
        except (Refused, Away) as error:
            return json_response(
                {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": str(error), "code": 500}, 500
            )
        return json_response(_DISCOVERY) if path.rstrip("/") == GROUP else Response(404)

    def _review(self, path: str, request: Request) -> Response:
        review = json.loads(request.body)
        response = self._reviews[path](review["request"])
        return json_response({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response})

    def _subresource(self, request: Request, *, namespace: str, name: str, verb: str) -> Response:
        accepts = request.headers.get("accept", "*/*")
        if "*/*" not in accepts:
            return NOT_ACCEPTABLE
        machine = self._api.get(MACHINES.path(namespace, name))
        instance = self._api.get(INSTANCES.path(namespace, name))
        options = json.loads(request.body) if request.body.strip() else {}
        answer = subresources.answer(verb, name, machine=machine, instance=instance, options=options)
        if answer.code >= 400 or machine is None:
            return json_response(answer.status(), answer.code)
        if answer.spec is not None:
            self._api.patch(MACHINES.path(namespace, name), {"spec": answer.spec})
        if answer.requests:
            body = {"status": {"stateChangeRequests": list(answer.requests)}}
            self._api.patch(MACHINES.path(namespace, name, "status"), body)
        if answer.is_forced and instance is not None:
            self._kill(instance)
        return Response(202)

    def _kill(self, instance: Document) -> None:
        """A forced restart does not wait for the guest."""
        selector = f"{LABEL_CREATED_BY}={uid_of(instance)}"
        for pod in self._api.list(PODS, instance["metadata"]["namespace"], labelSelector=selector)["items"]:
            self._api.delete(PODS.path(*key_of(pod)), gracePeriodSeconds=0)


_DISCOVERY: Document = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": GROUP.removeprefix("/apis/"),
    "resources": [
        {"name": f"virtualmachines/{verb}", "singularName": "", "namespaced": True, "kind": "", "verbs": ["update"]}
        for verb in subresources.VERBS
    ],
}
