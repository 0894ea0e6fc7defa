"""What the YAML parser complains of, in words that say what to correct."""

from __future__ import annotations

import yaml

from provisioner.model.door.mistakes import Findings
from provisioner.model.door.nodes import Node, Position, shown

_TEMPLATE = "this looks like a template ({{ … }}); give the text that it renders"


def note_syntax(error: yaml.YAMLError, findings: Findings, *, document: int) -> None:
    """Note why the parser stopped, at the place that must be corrected."""
    problem = str(getattr(error, "problem", None) or error)
    context = str(getattr(error, "context", None) or "")
    is_unclosed = "end of stream" in problem or "flow" in context
    begin, end = getattr(error, "context_mark", None), getattr(error, "problem_mark", None)
    mark = (begin if is_unclosed else end) or end or begin
    at = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
    if is_unclosed and begin:
        message = "this is begun and never closed, or something in it is no YAML"
    else:
        message = _in_plain_words(problem, _line(findings, at.line), at.column)
    message = message or f"not YAML: {problem}{f' ({context})' if context else ''}"
    findings.at(findings.position(at.line, at.column), message, document=max(document, 1))


def _in_plain_words(problem: str, line: str, column: int) -> str:
    """The usual slips, said so that they can be corrected; empty for the rest."""
    if "{{" in line:
        return _TEMPLATE
    at = line[column - 1 : column]
    if "cannot start any token" in problem and (at == "\t" or line.startswith("\t")):
        return "a tab indents this line; YAML is indented with spaces"
    if "cannot start any token" in problem and at:
        return f"a value cannot begin with {shown(at)} unless it is quoted"
    if "mapping values are not allowed" in problem:
        return 'unexpected ":": quote the value, or check the indentation of this line and the one before'
    if problem in {"did not find expected key", "did not find expected '-' indicator"}:
        return "the indentation of this line fits no line before it"
    return ""


def why_no_key(findings: Findings, key: Node) -> str:
    """Why a list or a mapping stands where a key is expected."""
    if "{{" in _line(findings, key.position.line - findings.shift[0]):
        return _TEMPLATE
    return "a key must be plain text, not a list or a mapping"


def _line(findings: Findings, number: int) -> str:
    return findings.lines[number - 1] if 1 <= number <= len(findings.lines) else ""
