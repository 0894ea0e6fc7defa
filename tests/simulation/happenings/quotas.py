"""What operators do to tenants: they raise and lower what a namespace may have, lift a limit, and set it again."""

from __future__ import annotations

from random import Random

from provisioner.model.gpu_quota import ALL_GPUS, GPUQuota
from provisioner.model.metadata import Metadata
from tests.simulation.happenings import happening
from tests.simulation.happenings.changing import done, edit
from tests.simulation.happenings.choosing import a, spelled
from tests.simulation.universe import Universe

MOST = 5
L40S = "nvidia.com/AD102GL_L40S"


@happening
def change_quota(universe: Universe, random: Random) -> str:
    """More, or less than is used."""
    quota = a(GPUQuota, universe, random)
    if quota is None:
        return ""
    hard = {random.choice((ALL_GPUS, L40S)): random.randrange(MOST)} | random.choice(({}, {ALL_GPUS: random.randrange(MOST)}))
    return f"{quota.key} allows {hard}" if edit(universe, quota, hard=hard) else ""


@happening
def lift_quota(universe: Universe, random: Random) -> str:
    """A quota is deleted, and made again after a while."""
    quota, pause_s = a(GPUQuota, universe, random), random.choice((30.0, 900.0)) * random.random()
    if quota is None:
        return ""
    universe.store.delete(quota.key)
    metadata = Metadata(name=quota.metadata.name, namespace=quota.metadata.namespace)
    again = GPUQuota(metadata=metadata, spec=quota.spec)
    universe.later(pause_s, f"{quota.key} is made again", lambda: done(lambda: universe.store.create(again)))
    return f"{quota.key} is lifted for {spelled(pause_s)}"
