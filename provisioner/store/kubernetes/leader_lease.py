"""Who runs the control loop over an API server: one of any number of processes at a time, by a Lease.

    candidate ── it is nobody's, or did not change for its whole duration ──> leading ──(no answer)──> in doubt
        ↑                                                                       │  ↑                    │   │
        │                                                                       │  └───── renewed ──────┘   │
        ├────────────────────────── released: the next one may lead at once <───┤                           │
        └────────────────────────── lost: another name stands there <───────────┴───────────────────────────┘

Leading is certain for CERTAIN_S after a renewal that was answered was *sent*, by the monotonic clock of this machine. Others
take the Lease when they have not seen it change for DURATION_S, by theirs. So nobody leads before the one before him has
stopped, as long as no clock runs half as fast again as another; times of day are never compared. Every write names the version
that it was based on: of several that take it at once one has it, and a renewal after a doubt proves that nobody had it since.

Whoever deletes the Lease by hand lets two lead for up to CERTAIN_S.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from provisioner.model.clock import timestamp
from provisioner.model.errors import Conflict, ControllerBusy, HikubeError, NotFound
from provisioner.store.kubernetes.lease import SIGNPOST, Lease, collection
from provisioner.store.moving.signposts import raise_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from provisioner.model.clock import Clock

log = logging.getLogger("hikube.leader")

NAME = "hikube-controller"
DURATION_S = 15
RENEW_S = 5.0
CERTAIN_S = 10.0
RETRY_S = 1.0
"""After a renewal that was not answered, or an attempt to lead that failed."""
REQUEST_TIMEOUT_S = 3.0
"""For the server that is handed in: a request that hangs must leave time for another one before CERTAIN_S is over."""

Document = dict[str, Any]


class Requests(Protocol):
    """What is needed of an API server; ApiServer is one. Best of its own, so that no burst of other requests delays it."""

    def request(self, method: str, path: str, *, body: Document | None = None) -> Document:
        """As ApiServer.request."""
        ...


@dataclass(frozen=True, slots=True)
class Leader:
    """Whoever runs the control loop."""

    identity: str
    command: str
    since: str
    """By the clock of its machine."""

    def __str__(self) -> str:
        return f"{self.identity} ({self.command})" if self.command else self.identity


class LeaderLease:
    """The right to run the control loop; as a context manager, held inside. Safe to use from several threads.

    Args:
        server: Its requests should end after REQUEST_TIMEOUT_S.
        identity: Names this object among all that want the Lease, ever: nobody else's may be equal.
        command: What to show to others who want it, such as `hikube controller`.
        lost: Called once, in a thread of the lease's, when somebody else was found to have it.
        ignores_signpost: For whoever moves the objects himself; anybody else is refused where they have left.
        renews: Whether to renew it in a thread of its own; without, whoever holds it calls `renew` at least every RENEW_S.
    """

    def __init__(
        self,
        server: Requests,
        *,
        namespace: str,
        clock: Clock,
        identity: str,
        command: str,
        name: str = NAME,
        lost: Callable[[], None] = lambda: None,
        renews: bool = True,
        ignores_signpost: bool = False,
    ) -> None:
        self._name = name
        self._namespace = namespace
        self._ignores_signpost = ignores_signpost
        self._server = server
        self._clock = clock
        self._identity = identity
        self._command = command
        self._unmade = Lease.unheld(namespace=namespace, name=name)
        self._collection = collection(namespace)
        self._path = f"{self._collection}/{name}"
        self._lost = lost
        self._renews = renews
        self._turn = threading.Lock()
        """Held during requests: of this object's, one at a time."""
        self._ours: Lease | None = None
        """As it was written last, while it is this object's."""
        self._certain_until_s = float("-inf")
        self._seen: tuple[str, float] = ("", 0.0)
        """The version of another one's that was read last, and when it was read first."""
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def is_certain(self) -> bool:
        """Whether nobody else can lead at this moment."""
        return self._ours is not None and self._clock.monotonic_s() < self._certain_until_s

    def check(self) -> None:
        """The fence: to be asked before whatever only the leader may do. Asks nobody.

        Raises:
            ControllerBusy: somebody else leads, or might.
        """
        if not self.is_certain:
            why = "the lease could not be renewed in time" if self._ours is not None else "the lease is not held"
            raise ControllerBusy("another process may run the control loop of this store by now", why=why)

    def acquire(self) -> None:
        """Take it.

        Raises:
            ControllerBusy: somebody else has it, or died with it less than DURATION_S ago; `context` says who.
            StoreUnavailable, NotAllowed: as `try_acquire`.
        """
        if self.try_acquire():
            return
        holder = self.holder()
        why = f"{holder} since {holder.since}" if holder else ""
        hint = f"leave the work to it, or stop it first; one that died is followed after {DURATION_S} s"
        facts = asdict(holder) if holder else {}
        raise ControllerBusy("another process runs the control loop of this store", why=why, hint=hint, context=facts)

    def try_acquire(self) -> bool:
        """Take it if it is nobody's, or did not change for its duration since this object saw it first.

        Returns: whether leading is certain now, also if it was before.

        Raises:
            StoreUnavailable: the server does not answer. It may be taken all the same; then the next call finds it so.
            NotAllowed: Leases of that namespace may not be read or written; or the objects have left, or not all come.
        """
        with self._turn:
            lease = self._read() if self._ours is None else None
            if self._ours is None:
                self._raise_if_signposted(lease)
            if self._ours is None and self._may_take(lease):
                now = timestamp(self._clock.now_s())
                wanted = (lease or self._unmade).taken(self._identity, command=self._command, duration_s=DURATION_S, now=now)
                if self._write(wanted):
                    self._begin_renewing()
        return self.is_certain

    def wait_to_acquire(self, stop: threading.Event) -> bool:
        """Try until leading is certain, or until `stop` is set; says which. A server that is away is waited for.

        Raises: NotAllowed: as `try_acquire`.
        """
        while not stop.is_set():
            try:
                if self.try_acquire():
                    return True
            except HikubeError as error:
                if error.retry is not error.retry.LATER:
                    raise
                log.warning("the lease cannot be had: %s", error)
            stop.wait(RETRY_S)
        return False

    def renew(self) -> bool:
        """Go on holding it; says whether it is this object's still. Raises as ApiServer.request: then that is not known."""
        with self._turn:
            if self._ours is None:
                return False
            if self._write(self._ours.renewed(now=timestamp(self._clock.now_s()))):
                return True
            lease = self._read()
            if lease is not None and lease.holder == self._identity:
                self._ours = lease  # written by us without an answer, or labelled by somebody
                self._write(lease.renewed(now=timestamp(self._clock.now_s())))
                return True
            self._forget()
        log.warning("the lease is lost to %s", lease.holder if lease is not None and lease.holder else "nobody")
        self._lost()
        return False

    def release(self) -> None:
        """Let the next one lead at once; whatever only the leader may do has ended before. Repeating it is harmless.

        A server that does not answer is not waited for: then the next one leads after DURATION_S.
        """
        self._ended.set()
        with self._turn:
            ours = self._ours
            if ours is None:
                return
            self._forget()
            try:
                self._server.request("PUT", self._path, body=ours.given_back(now=timestamp(self._clock.now_s())))
            except HikubeError as error:
                log.warning("the lease could not be given back: %s", error)

    def holder(self) -> Leader | None:
        """Who holds it as it is written, or None. One that died is named until somebody takes it. Raises as `try_acquire`."""
        lease = self._read()
        if lease is None or not lease.holder:
            return None
        return Leader(lease.holder, lease.command, lease.since)

    def _raise_if_signposted(self, lease: Lease | None) -> None:
        """The Lease of the controller without a class bears the signpost for all."""
        if self._ignores_signpost:
            return
        signposted = lease if self._name == NAME else self._read(f"{self._collection}/{NAME}")
        undo = f"kubectl annotate lease --namespace {self._namespace} {NAME} {SIGNPOST}-"
        raise_for(signposted.signpost if signposted is not None else None, store="this cluster", undo=undo)

    def _may_take(self, lease: Lease | None) -> bool:
        if lease is None or lease.holder in ("", self._identity):
            return True
        now_s = self._clock.monotonic_s()  # after the answer: it was not written later than this
        if lease.version != self._seen[0]:
            self._seen = (lease.version, now_s)
        return now_s - self._seen[1] >= (lease.duration_s or DURATION_S)

    def _read(self, path: str = "") -> Lease | None:
        try:
            return Lease(self._server.request("GET", path or self._path))
        except NotFound:
            return None

    def _write(self, document: Document) -> bool:
        """False if somebody else wrote first."""
        method, path = ("PUT", self._path) if document["metadata"].get("resourceVersion") else ("POST", self._collection)
        sent_s = self._clock.monotonic_s()
        try:
            self._ours = Lease(self._server.request(method, path, body=document))
        except (Conflict, NotFound):
            return False
        self._certain_until_s = sent_s + CERTAIN_S
        return True

    def _forget(self) -> None:
        self._certain_until_s = float("-inf")
        self._ours = None

    def _begin_renewing(self) -> None:
        self._ended = threading.Event()
        if self._renews:
            threading.Thread(target=self._keep, args=(self._ended,), name="leader lease", daemon=True).start()

    def _keep(self, ended: threading.Event) -> None:
        pause_s = RENEW_S
        while not ended.wait(pause_s):
            try:
                if not self.renew():
                    return
                pause_s = RENEW_S
            except HikubeError as error:
                log.warning("the lease is not renewed: %s", error)
                pause_s = RETRY_S
