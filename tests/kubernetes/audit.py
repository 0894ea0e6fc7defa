"""What service accounts of ours asked of the API server, by its own audit log: verb, resource, where, and the answer's status.

Other users' requests are not logged. A line is there before its answer is, and a watch has one when it begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.cluster import NAMESPACE

POLICY = json.dumps(
    {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "userGroups": [f"system:serviceaccounts:{NAMESPACE}"]}, {"level": "None"}],
    }
)
FORBIDDEN = 403


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """What a rule of RBAC allows, taken apart: one verb on one resource of one group."""

    group: str
    resource: str
    """With its subresource, as a rule has it."""
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''}"


@dataclass(frozen=True, slots=True)
class Request:
    """One that was answered, or a watch that has begun."""

    user: str
    right: Right
    """That it needed."""
    namespace: str
    name: str
    status: int
    uri: str


def requests(log: Path, *, since: int = 0) -> Iterator[Request]:
    """Of service accounts in our namespace, in the order of their answers.

    Args:
        since: how many bytes of the log are to be passed over: its size at an earlier time.
    """
    with log.open("rb") as file:
        file.seek(since)
        for line in file:
            if not line.endswith(b"\n"):
                return  # it is being written
            event = json.loads(line)
            about = event.get("objectRef")
            if about is None:
                continue  # /version and the like, which everybody may see
            resource = "/".join(part for part in (about["resource"], about.get("subresource")) if part)
            yield Request(
                user=event["user"]["username"],
                right=Right(about.get("apiGroup", ""), resource, event["verb"]),
                namespace=about.get("namespace", ""),
                name=about.get("name", ""),
                status=event["responseStatus"]["code"],
                uri=event["requestURI"],
            )


def rights_of(documents: Iterable[Mapping[str, Any]], *names: str) -> set[Right]:
    """What roles of these names allow, one by one."""
    return {
        Right(group, resource, verb)
        for role in documents
        if role["kind"] in ("ClusterRole", "Role") and role["metadata"]["name"] in names
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
