"""`hikube host doctor`: looks at hosts from inside, now, and says what is wrong with them and what to do. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Annotated

import typer

from cli.completing import complete_hosts
from cli.gpu.naming import full_address
from cli.host.gpu_rules import GpuRules, gpu_rules
from cli.options import NAMELESS, NamelessOutput, output_format
from cli.output import as_json, as_list, as_yaml, put, say
from cli.render.doctor import doctor_json, doctor_text
from cli.session import Session, no_such
from provisioner.model.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from provisioner.lifecycle.consulting import Consultation
    from provisioner.model.gpu_host import GPUHost

AT_ONCE = 8
PATIENCE_S = 2.0
ERRORS_EXIT_CODE = 9

Seen = tuple[str, "Consultation"]


def doctor(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="The host; all hosts if none is named", autocompletion=complete_hosts)
    ] = "",
    uri: Annotated[str, typer.Option("--uri", metavar="URI", help="A host that was not added; nothing is stored")] = "",
    gpu_rule: GpuRules = [],  # noqa: B006
    gpu: Annotated[
        list[str], typer.Option("--gpu", metavar="ADDRESS", help="Only these GPUs, and what is about the host; repeatable")
    ] = [],  # noqa: B006
    output: NamelessOutput = "table",
) -> int:
    """Check hosts and their GPUs for everything that passthrough depends on, and say what to do.

    The same checks run with every survey and before every bind; a GPU with an error is not handed out. Exit code 9 if there
    is an error, 0 for warnings. Each code has a page in docs/findings.
    """
    form = output_format(output, allowed=NAMELESS)
    if name and uri:
        raise InvalidInput("a host has a NAME or a --uri, not both")
    if gpu_rule and not uri:
        raise InvalidInput("--gpu-rule goes with --uri", hint="an added host has its rules in its spec")
    gpus = [_address(word) for word in gpu]
    session = Session()
    hosts = [_unknown_host(session, uri, gpu_rule)] if uri else _known_hosts(session, name)
    if not hosts and form == "table":
        say("no hosts; add one: hikube host add NAME qemu+ssh://root@HOST/system")
        return 0
    seen = [_narrowed(each, gpus) for each in _consult_all(session, hosts, uri=uri)]
    _refuse_unknown_gpus(seen, gpus)
    _print(seen, form, is_one=bool(name or uri), gpus=gpus)
    return _exit_code(seen)


def _address(word: str) -> str:
    address = full_address(word)
    if not address:
        raise InvalidInput(f"--gpu {word!r} is no PCI address", hint="write it as 0000:41:00.0 or 41:00.0")
    return address


def _known_hosts(session: Session, name: str) -> list[GPUHost]:
    from provisioner.model.gpu_host import GPUHost

    hosts = {host.metadata.name: host for host in session.store.list(GPUHost).items}
    if name and name not in hosts:
        raise no_such("GPUHost", name, namespace="", known=hosts)
    return [hosts[each] for each in sorted(hosts) if not name or each == name]


def _unknown_host(session: Session, uri: str, rules: list[str]) -> GPUHost:
    from cli.documents import from_options
    from provisioner.model.gpu_host import GPUHost
    from provisioner.model.metadata import HIKUBE

    spec = {"uri": uri} | gpu_rules(rules)
    host = from_options(session, {"apiVersion": HIKUBE, "kind": "GPUHost", "metadata": {"name": "not-added"}, "spec": spec})
    assert isinstance(host, GPUHost)
    return host


def _consult_all(session: Session, hosts: Sequence[GPUHost], *, uri: str) -> list[Seen]:
    """Every host, several at once; says which it waits for if that takes a while."""
    from cli.planning import ports_of
    from provisioner.lifecycle.consulting import consult

    ports = ports_of(session)
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hikube-doctor")
    try:
        asked = {uri or host.metadata.name: pool.submit(consult, host, ports) for host in hosts}
        _, late = wait(asked.values(), timeout=PATIENCE_S)
        if late:
            say(f"looking at {', '.join(title for title, future in asked.items() if future in late)} …")
        return [(title, future.result()) for title, future in asked.items()]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _narrowed(seen: Seen, gpus: Sequence[str]) -> Seen:
    """With what is about the host and these GPUs only; with everything if none is named."""
    from dataclasses import replace

    title, found = seen
    if not gpus:
        return seen
    wanted, diagnosis = {"host", *gpus}, found.diagnosis
    narrowed = replace(
        diagnosis,
        findings=tuple(each for each in diagnosis.findings if each.subject in wanted),
        passed=tuple(each for each in diagnosis.passed if each.subject in wanted),
        not_known=tuple(each for each in diagnosis.not_known if each.subject in wanted),
    )
    return title, replace(found, diagnosis=narrowed)


def _refuse_unknown_gpus(seen: Sequence[Seen], gpus: Sequence[str]) -> None:
    known = {gpu.address for _, found in seen for gpu in found.host.status.gpus}
    for address in gpus:
        if address not in known:
            raise NotFound(f"no GPU is at {address}", hint=f"known: {', '.join(sorted(known)) or 'none'}")


def _print(seen: Sequence[Seen], form: str, *, is_one: bool, gpus: Sequence[str]) -> None:
    if form == "table":
        put("\n".join(doctor_text(title, found, gpus=_shown(found, gpus)) for title, found in seen))
        return
    items = [doctor_json(title, found) for title, found in seen]
    value = items[0] if is_one else as_list(items)
    put(as_json(value) if form == "json" else as_yaml(value))


def _shown(found: Consultation, gpus: Sequence[str]) -> list[str]:
    """The GPUs that were judged; none of a host that does not answer."""
    judged = {each.subject for each in found.diagnosis.findings} | {each.subject for each in found.diagnosis.passed}
    return [gpu.address for gpu in found.host.status.gpus if gpu.address in judged and (not gpus or gpu.address in gpus)]


def _exit_code(seen: Sequence[Seen]) -> int:
    sick = [title for title, found in seen if found.diagnosis.errors]
    if not sick:
        return 0
    say(f"errors on {', '.join(sick)}: GPUs with an error, and all GPUs of a host with one, are not handed out")
    return ERRORS_EXIT_CODE
