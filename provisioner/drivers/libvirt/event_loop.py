"""libvirt's event loop: one thread per process that keeps connections alive and notices when they die.

libvirt demands that the loop is registered before the first connection is opened. The thread is a daemon and idles in poll(2);
nothing of ours runs in it but the callbacks of `events`, and with them listeners, which return at once.
"""

from __future__ import annotations

import threading

import libvirt

_lock = threading.Lock()
_started = threading.Event()
_LONGEST_PAUSE_MS = 5_000


def ensure_running() -> None:
    """Start the loop unless it runs already."""
    with _lock:
        if _started.is_set():
            return
        libvirt.registerErrorHandler(_keep_quiet, None)
        libvirt.virEventRegisterDefaultImpl()
        # A timer that does nothing: without any timer or handle the loop's poll would never return.
        libvirt.virEventAddTimeout(_LONGEST_PAUSE_MS, _keep_quiet, None)
        threading.Thread(target=_run, name="libvirt-events", daemon=True).start()
        _started.set()


def _run() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _keep_quiet(*_: object) -> None:
    """libvirt prints every error to stderr unless a handler takes it; each one is raised as an exception as well."""
