"""The file in which a guest's console is kept: begun with each start, left there when the domain stops, or goes.

It lies in the directory of a storage pool and is a volume of it, as any file there. Only that it is there is remembered here:
what is in it can be told from the domain's boots.
"""

from __future__ import annotations

import posixpath

from provisioner.drivers.simulated.state import DomainConfig, HostState, VolumeState


def begin_log(state: HostState, live: DomainConfig) -> None:
    """The domain starts: its log, if it has one, is begun anew."""
    folder, name = posixpath.split(live.console_log)
    for pool in state.pools.values():
        if pool.path == folder:
            pool.volumes[name] = VolumeState(name, live.console_log, 0, 0)


def log_volume(state: HostState, path: str) -> VolumeState | None:
    """The file at that path, or None: nothing was kept there, or somebody deleted it."""
    folder, name = posixpath.split(path)
    return next((pool.volumes.get(name) for pool in state.pools.values() if pool.path == folder), None)
