"""docs/reference/rbac.md, made of the chart: its rules, with the comment above each as the reason.

python -m tests.kubernetes.rbac_page        writes it
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.documents import ROOT
from tests.kubernetes.charts import Helm

PAGE = ROOT / "docs" / "reference" / "rbac.md"
VALUES = ("--set=kubevirt.enabled=true", "--set=crds.install=false")
HEAD = """\
# Rights

What the chart and the plain manifests allow, to whom and why; made from `deploy/helm/hikube` by
`python -m tests.kubernetes.rbac_page`. A test runs the controller under its rules and holds the API server's audit log against
them: nothing is refused, and no rule is idle.
[How tenants are given theirs](../how-to/run-on-kubernetes.md#tenants).
"""
ROLES = {
    "hikube-controller": "The controller: in the whole cluster",
    "hikube-controller in hikube-system": "The controller: in its own namespace",
    "hikube-controller-kubevirt": "The controller: where KubeVirt is a hypervisor",
    "hikube-tenant-view": "Tenants who look",
    "hikube-tenant-edit": "Tenants who write",
    "hikube-operator": "Operators",
}
ABOUT = {
    "hikube-controller": """\
Bound to the service account `hikube-controller` of `hikube-system`. RBAC knows no labels, so the rule for Secrets is about all
Secrets: whoever gets that account's token can read them. Keep `hikube-system` to operators, as `kube-system` is.""",
    "hikube-controller in hikube-system": "A Role, bound to the same account.",
    "hikube-controller-kubevirt": "With `kubevirt.enabled` only.",
    "hikube-tenant-view": "A part of the cluster's own roles `view`, `edit` and `admin`.",
    "hikube-tenant-edit": """\
A part of the cluster's own roles `edit` and `admin`, which let read Secrets too: a tenant can see the SSH keys of the guests
in her namespace, which are her own.""",
    "hikube-operator": "Bound to nobody: `kubectl create clusterrolebinding … --clusterrole=hikube-operator --group=…`.",
}
_RULES = re.compile(r"(?:^  # (?P<why>.*)\n)+(?P<rule>(?:^  - .*\n|^    .*\n?)+)", re.MULTILINE)
_WHY = re.compile(r"^  # (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Explained:
    """One rule of a role."""

    role: str
    why: str
    rule: dict[str, Any]


def explained(text: str) -> Iterator[Explained]:
    """The rules of a rendered chart. One without a comment above it is not among them."""
    for part in text.split("\n---\n"):
        document = yaml.safe_load(part) or {}
        if document.get("kind") not in ("Role", "ClusterRole"):
            continue
        namespace = document["metadata"].get("namespace")
        name = document["metadata"]["name"] + (f" in {namespace}" if namespace else "")
        for found in _RULES.finditer(part.partition("\nrules:\n")[2] + "\n"):
            (rule,) = yaml.safe_load(found["rule"])
            yield Explained(name, " ".join(_WHY.findall(found[0])), rule)


def page(text: str) -> str:
    """The whole page, of a chart rendered with VALUES."""
    rules = list(explained(text))
    parts = [HEAD]
    for name, title in ROLES.items():
        lines = [_line(each) for each in rules if each.role == name]
        parts.append("\n".join([f"## {title}", "", ABOUT[name], "", "| on | may | why |", "|---|---|---|", *lines, ""]))
    return "\n".join(parts)


def _line(each: Explained) -> str:
    (group,) = each.rule["apiGroups"]
    whose = f"`{group}`" if group else "the core"
    names = f" named {_words(each.rule['resourceNames'])}" if "resourceNames" in each.rule else ""
    on = f"{_words(each.rule['resources'])} of {whose}{names}"
    return f"| {on} | {', '.join(each.rule['verbs'])} | {each.why} |"


def _words(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as home:
        PAGE.write_text(page(Helm(Path(home)).text(*VALUES)))
    sys.stdout.write(f"{PAGE} written\n")


if __name__ == "__main__":
    main()
