"""The URI of a cluster, taken apart.

kubevirt:                               the cluster that this process is in, or the usual kubeconfig's current context
kubevirt://CONTEXT                      that context of it
kubevirt://CONTEXT?kubeconfig=/path     that context of that file; without CONTEXT its current one
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from provisioner.model.errors import InvalidInput

SCHEME = "kubevirt"
_HINT = "write kubevirt: for the cluster at hand, or kubevirt://CONTEXT?kubeconfig=/path/to/file"


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """Which cluster is meant; empty parts are what kubectl would take."""

    uri: str
    context: str = ""
    kubeconfig: str = ""


def parse(uri: str) -> ClusterAddress:
    """The address that a URI names.

    Raises:
        InvalidInput: it names none.
    """
    try:
        parts = urlsplit(uri)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise InvalidInput(f"cannot understand the URI {uri!r}", why=str(error), hint=_HINT) from error
    unknown = sorted({name for name, _ in options} - {"kubeconfig"})
    if parts.scheme != SCHEME or parts.fragment or unknown or len(options) > 1:
        why = f"it has no option {unknown[0]!r}" if unknown else "it is no URI of a KubeVirt cluster"
        raise InvalidInput(f"cannot understand the URI {uri!r}", why=why, hint=_HINT)
    # Contexts may have slashes and colons in their names, as those of cloud providers do.
    context = unquote(parts.netloc + parts.path).rstrip("/") if parts.netloc else unquote(parts.path).strip("/")
    return ClusterAddress(uri=uri, context=context, kubeconfig=dict(options).get("kubeconfig", ""))
