"""What hikube writes into a KubeVirt cluster: a VirtualMachine and the Secret of its seed; and the texts of that seed.

Objects are built as values and never as text, so no name or script can break out of its field.
"""

from templates.kubevirt.objects import (
    CURRENT,
    GPUS,
    OWNER,
    SEED,
    data_volume_name,
    seed_name,
    seed_secret,
    virtual_machine,
)
from templates.kubevirt.user_data import network_data, user_data, user_data_without_us

__all__ = [
    "CURRENT",
    "GPUS",
    "OWNER",
    "SEED",
    "data_volume_name",
    "network_data",
    "seed_name",
    "seed_secret",
    "user_data",
    "user_data_without_us",
    "virtual_machine",
]
