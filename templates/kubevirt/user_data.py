"""The seed's texts for a guest whose NoCloud source takes user-data and network-config only, as KubeVirt's does.

There is no vendor-data, and meta-data is KubeVirt's own; so ours goes where the tenant's is, as parts of one MIME multipart:

    the tenant's      byte for byte inside its part; what kind of text it is, cloud-init finds by its first line, as ever
    ours              the parts that vendor-data would hold (templates.guest.seed), and the tenant's SSH keys

As with vendor-data the tenant wins: cloud-init merges cloud-configs in the order of their parts, and our parts come after with
a Merge-Type that only adds: a key that the tenant set stays, dicts are merged, lists grow. Private keys are plain lines of
ASCII in parts of ours, never encoded, so that hand-over finds and removes them; the tenant's part is encoded, so it does not.
"""

from __future__ import annotations

import email
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from templates.guest.seed import SeedPlan, network_config, own_parts, part, yaml_text

BOUNDARY = "===============hikube-user-data=="
MERGES_BELOW = "dict(no_replace,recurse_dict,recurse_list)+list(append)+str()"
_SEARCHED = 4096
"""So many bytes cloud-init looks at to tell a MIME message."""


def user_data(plan: SeedPlan) -> str:
    """User-data with the tenant's part and all of ours. What `plan` says of instance id and host name is KubeVirt's to say."""
    return _joined([*_tenants(plan), *_ours(own_parts(plan)), *_ours(_ssh_keys(plan))])


def user_data_without_us(plan: SeedPlan) -> str:
    """User-data after hand-over: the tenant's own part and SSH keys, and no secret of ours."""
    return _joined([*_tenants(plan), *_ours(_ssh_keys(plan))])


def network_data(plan: SeedPlan) -> str:
    """The network-config: each interface by its MAC address."""
    return network_config(plan.mac_addresses)


def _joined(parts: list[Message]) -> str:
    return MIMEMultipart(boundary=BOUNDARY, _subparts=parts).as_bytes().decode() if parts else ""


def _tenants(plan: SeedPlan) -> list[Message]:
    raw = plan.user_data.encode()
    if b"mime-version:" in raw[:_SEARCHED].lower():
        return [email.message_from_bytes(raw)]  # cloud-init walks parts of parts
    if not raw.strip():
        return []
    return [MIMEText(plan.user_data, "plain", "utf-8")]  # base64


def _ours(parts: list[MIMEText]) -> list[MIMEText]:
    for each in parts:
        if each.get_content_subtype() == "cloud-config":
            each.add_header("Merge-Type", MERGES_BELOW)
    return parts


def _ssh_keys(plan: SeedPlan) -> list[MIMEText]:
    if not plan.ssh_keys:
        return []
    text = "#cloud-config\n" + yaml_text({"ssh_authorized_keys": list(plan.ssh_keys)})
    return [part(text, "cloud-config", "hikube-ssh-keys")]
