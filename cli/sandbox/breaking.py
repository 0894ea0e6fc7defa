"""`hikube sandbox break` and `mend`: what befalls the simulated fleet, and what hikube makes of it.

A trouble is done to the state files, behind hikube's back, as it would be to real hosts. Where it can be noticed by itself the
command then waits until it is, running the control loop if nobody else does: without one, nobody looks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from cli.completing import complete_sandbox, complete_troubles
from cli.options import Namespace, Timeout, Wait, duration_s
from cli.output import put, say
from cli.sandbox.premises import handles
from cli.sandbox.recovery import Recovery, noticed, runs
from cli.sandbox.targets import Aim, aim_of, trouble_named
from cli.session import Session

if TYPE_CHECKING:
    from provisioner.drivers.simulated.host import SimulatedHost

Where = Annotated[
    str, typer.Argument(metavar="HOST|HOST/ADDRESS|vm/NAME", help="A host, a GPU or a VM", autocompletion=complete_sandbox)
]
WAYS_TO_LOSE_A_HOST = ("power", "network")


def break_(
    where: Where,
    what: Annotated[str, typer.Argument(metavar="WHAT", help="What goes wrong", autocompletion=complete_troubles)] = "",
    namespace: Namespace = "default",
    wait: Wait = True,
    timeout: Timeout = "60s",
) -> None:
    """Let something go wrong in the sandbox, and see what hikube makes of it. `hikube sandbox mend` makes it good again.

    WHAT can be left out: it is power, bus or crash then.

    \b
    HOST          power    its power is cut: its VMs die, and nobody answers
                  network  nobody reaches it; its VMs run on
                  hang     it takes calls, and answers none
                  reboot   its VMs end, and it answers again
                  disk     foreign files fill its storage pools
    HOST/ADDRESS  bus      the GPU falls off the bus: its config space reads as all ones
                  slot     it is gone from the PCI bus
                  reset    resets of it fail
                  xid      the driver in its VMs reports an Xid
                  unbind   its driver does not let go of it
                  holder   a process on the host has it open
    vm/NAME       crash    its QEMU dies
                  silence  the guest does not answer on SSH; the VM need not exist yet, here and below
                  address  it gets no address from its next boot on
                  driver   the NVIDIA driver is not installed in it
                  gpu      one of its GPUs does not show up in it
    """
    limit_s = duration_s(timeout)
    session = Session()
    aim = aim_of(handles(session), where, namespace=namespace)
    name = trouble_named(aim, what)
    _begin(aim, name)
    put(f"{aim.word}: {aim.troubles[name].does}\n")
    if wait and name in WAYS_TO_LOSE_A_HOST:
        noticed(session, next(iter(aim.hosts)), timeout_s=limit_s)
    else:
        _say_who_notices(session)


def _begin(aim: Aim, name: str) -> None:
    trouble = aim.troubles[name]
    for host in _with_it(aim, name):
        trouble.begin(host, aim.subject)


def _with_it(aim: Aim, name: str) -> Iterable[SimulatedHost]:
    """Only a domain that runs can crash, on the host where it does; how a guest shall behave can be said anywhere."""
    from provisioner.model.errors import NotFound

    if aim.machine is None or name != "crash":
        return aim.hosts.values()
    found = [host for host in aim.hosts.values() if runs(host, aim.subject)]
    if not found:
        raise NotFound(f"{aim.word} does not run on any host of the sandbox", hint="`hikube sandbox show` says what runs")
    return found


def _say_who_notices(session: Session) -> None:
    if session.controller_lock().holder() is None:
        say("nobody looks at the hosts now: `hikube controller` does; so does every command that waits, such as `hikube wait`")


def mend(
    where: Annotated[
        list[str],
        typer.Argument(metavar="[HOST|HOST/ADDRESS|vm/NAME]...", help="What; all if none", autocompletion=complete_sandbox),
    ] = [],  # noqa: B006 - typer copies it
    namespace: Namespace = "default",
    wait: Wait = True,
    timeout: Timeout = "60s",
) -> None:
    """Make good what went wrong in the sandbox, and wait until its hosts are ready and the VMs on them are up again."""
    limit_s = duration_s(timeout)
    session = Session()
    known = handles(session)
    aims = [aim_of(known, word, namespace=namespace) for word in where or list(known)]
    for aim in aims:
        _mend(aim)
        put(f"{aim.word} mended\n")
    if wait:
        hosts = {name: host for aim in aims if aim.machine is None for name, host in aim.hosts.items()}
        machines = [aim.machine for aim in aims if aim.machine is not None]
        Recovery(session, hosts=hosts, all_hosts=known, machines=machines).watch(timeout_s=limit_s)
    else:
        _say_who_notices(session)


def _mend(aim: Aim) -> None:
    from provisioner.drivers.simulated import troubles

    for host in aim.hosts.values():
        if aim.machine is not None:
            troubles.mend_guest(host, aim.subject)
        elif aim.subject:
            troubles.mend_gpu(host, aim.subject)
        else:
            troubles.mend_host(host)
