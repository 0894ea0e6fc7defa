"""What the doctor says of hosts, as text and as data: findings by host and GPU, what was checked, what could not be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.render.table import NONE

if TYPE_CHECKING:
    from provisioner.lifecycle.consulting import Consultation
    from provisioner.model.examination import Finding
    from provisioner.planning.doctor.diagnosis import Diagnosis, NotKnown

HOST = "host"
_WORD = 9
_SUBJECTS_NAMED = 4


def doctor_text(title: str, seen: Consultation, *, gpus: Sequence[str]) -> str:
    """One host with these GPUs: a line of summary, a section for the host and for each GPU, and what was checked."""
    diagnosis, status = seen.diagnosis, seen.host.status
    if status.cluster is not None and not diagnosis.findings:
        nodes, version = len(status.cluster.nodes), status.cluster.version
        return f"{title}: answers; KubeVirt {version} with {nodes} nodes; {seen.examination.why_not}\n"
    names = {gpu.address: gpu.name.rsplit("/", 1)[-1] for gpu in status.gpus}
    how = f"looked at from inside ({seen.examination.source})" if seen.examination.is_known else "not looked at from inside"
    lines = [f"{title}: {_sum(diagnosis.findings)}; {how}"]
    for subject in (HOST, *gpus):
        lines += [f"  {subject}  {names[subject]}" if subject in names else f"  {subject}"]
        lines += list(_findings(diagnosis.about(subject))) or ["    in order"]
    lines += [f"  checked: {len(diagnosis.passed) + len(diagnosis.findings)}, could not be checked: {len(diagnosis.not_known)}"]
    lines += [f"    {line}" for line in _reasons(diagnosis.not_known)]
    return "".join(f"{line}\n" for line in lines)


def _sum(findings: Iterable[Finding]) -> str:
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.severity] = counts.get(finding.severity, 0) + 1
    errors, warnings = counts.get("error", 0), counts.get("warning", 0)
    if not errors and not warnings:
        return "in order"
    words = [
        f"{number} {word}{'' if number == 1 else 's'}" for number, word in ((errors, "error"), (warnings, "warning")) if number
    ]
    return ", ".join(words)


def _findings(findings: Iterable[Finding]) -> Iterator[str]:
    """Errors and warnings with what to do; what is only good to know in a line."""
    from provisioner.planning.doctor.table import CHECKS, page_of

    indent = " " * (4 + _WORD)
    for finding in findings:
        check = CHECKS[finding.code]
        yield f"    {finding.severity:<{_WORD}}{finding.code}  {finding.message}"
        if finding.severity == "info":
            continue
        yield f"{indent}means: {check.meaning}"
        yield f"{indent}do:    {check.advice}"
        yield f"{indent}page:  {page_of(finding.code)}"


def _reasons(unknown: Iterable[NotKnown]) -> list[str]:
    """By the reason: what could not be checked for it; checks of the same GPUs stand together, with the GPUs behind them."""
    by_reason: dict[str, dict[str, list[str]]] = {}
    for each in unknown:
        by_reason.setdefault(each.why, {}).setdefault(each.title, []).append(each.subject)
    return [f"{why}: {'; '.join(_about(titles, subjects) for subjects, titles in _alike(of))}" for why, of in by_reason.items()]


def _alike(subjects_of: Mapping[str, Sequence[str]]) -> Iterable[tuple[tuple[str, ...], list[str]]]:
    titles_of: dict[tuple[str, ...], list[str]] = {}
    for title, subjects in subjects_of.items():
        titles_of.setdefault(tuple(subject for subject in subjects if subject != HOST), []).append(title)
    return titles_of.items()


def _about(titles: Sequence[str], gpus: Sequence[str]) -> str:
    if not gpus:
        return ", ".join(titles)
    more = f" and {len(gpus) - _SUBJECTS_NAMED} more" if len(gpus) > _SUBJECTS_NAMED else ""
    return f"{', '.join(titles)} ({', '.join(gpus[:_SUBJECTS_NAMED])}{more})"


def doctor_json(title: str, seen: Consultation) -> dict[str, Any]:
    """The same as data; `healthy` is whether there is no error."""
    diagnosis: Diagnosis = seen.diagnosis
    return {
        "host": title,
        "uri": seen.host.spec.uri,
        "healthy": not diagnosis.errors,
        "source": seen.examination.source,
        "whyNot": seen.examination.why_not,
        "bootId": seen.examination.boot_id,
        "findings": [_finding_json(finding) for finding in diagnosis.findings],
        "checked": [{"code": each.code, "title": each.title, "subject": each.subject} for each in diagnosis.passed],
        "notKnown": [
            {"code": each.code, "title": each.title, "subject": each.subject, "why": each.why} for each in diagnosis.not_known
        ],
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    from provisioner.planning.doctor.table import CHECKS, page_of

    check = CHECKS[finding.code]
    return {
        "code": finding.code,
        "severity": finding.severity,
        "subject": finding.subject,
        "message": finding.message,
        "meaning": check.meaning,
        "advice": check.advice,
        "page": page_of(finding.code),
    }


def findings_lines(findings: Sequence[Mapping[str, Any]], *, host: str) -> list[str]:
    """The findings of the last examination in short, as `host show` has them; empty if there are none."""
    if not findings:
        return []
    subjects = max(len(each["subject"]) for each in findings)
    lines = [
        f"  {each['severity']:<{_WORD - 2}}  {each['code']}  {each['subject']:<{subjects}}  {each['message'] or NONE}"
        for each in findings
    ]
    return ["Findings:", *lines, f"  What to do: `hikube host doctor {host}`"]
