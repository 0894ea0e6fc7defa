"""What `hikube host adopt` found and did, as people read it."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.lifecycle.adoption import Adoptee, Adoption, Verdict

_WOULD = {Verdict.ADOPTED: "would be adopted", Verdict.COMPLETED: "would be completed"}


def adoption_text(adoption: Adoption, *, dry_run: bool) -> str:
    """One line for the host and one for each domain, with what is made and what is lost below it."""
    name = adoption.host.metadata.name
    made = ("would be added" if dry_run else "added") if adoption.is_new_host else "known"
    lines = [f"gpuhost/{name} {made}"]
    for adoptee in adoption.adoptees:
        lines += _lines(adoptee, dry_run=dry_run)
    if not adoption.adoptees:
        lines.append("no domain there bears our mark")
    if adoption.left:
        lines += ["volumes that belong to none of them, left as they are:", *[f"  {volume}" for volume in adoption.left]]
    return "\n".join(lines) + "\n"


def _lines(adoptee: Adoptee, *, dry_run: bool) -> Iterator[str]:
    key = adoptee.key
    subject = f"{key.kind.lower()}/{key.name}" if key is not None else f"domain {adoptee.domain.name}"
    where = f" in namespace {key.namespace}" if key is not None and key.namespace != "default" else ""
    word = _WOULD.get(adoptee.verdict, adoptee.verdict.value) if dry_run else adoptee.verdict.value
    yield f"{subject}{where} {word} ({adoptee.domain.state.value})"
    if adoptee.reason:
        yield f"  {adoptee.reason}"
    others = [f"{each.kind.lower()}/{each.metadata.name}" for each in adoptee.makes if each.key != key]
    if others:
        yield f"  with {', '.join(others)}"
    yield from (f"  lost: {lost}" for lost in adoptee.lost)
