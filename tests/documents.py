"""The project's documents as tests read them: pages, fenced blocks, code spans, and the `hikube` command lines in them.

Knows Markdown as far as our pages use it. A command line is a line of a shell block that starts with `hikube` (behind `$ ` in a
console block), or a code span that does.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHELLS = ("", "sh", "bash", "shell")
_FENCE = re.compile(r"^ *```(\S*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_BETWEEN_COMMANDS = re.compile(r"^[|&;()<>]+$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block and the word behind its fence."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """A Markdown page of the tree."""

    path: Path

    @property
    def name(self) -> str:
        """Its path in the tree."""
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text()

    @property
    def prose(self) -> str:
        """All but the fenced blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self) -> list[Block]:
        """Its fenced blocks, and those indented by four blanks, which are shell lines on our pages."""
        indented = re.findall(r"^ {4}(\S.*)$", self.prose, re.MULTILINE)
        return [Block(language, text) for language, text in _FENCE.findall(self.text)] + [Block("sh", "\n".join(indented))]

    def spans(self) -> list[str]:
        """Its code spans."""
        return _SPAN.findall(self.prose)

    def anchors(self) -> set[str]:
        """What a link can point at behind `#`."""
        headings = re.findall(r"^#+ +(.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}

    def shell_lines(self) -> Iterator[str]:
        """What a reader would type, in order; lines that end in a backslash are joined."""
        for block in self.blocks():
            lines = block.text.replace("\\\n", " ").splitlines()
            if block.language == "console":
                yield from (line.strip()[2:] for line in lines if line.strip().startswith("$ "))
            elif block.language in SHELLS:
                yield from (line.strip() for line in lines)


def pages() -> list[Page]:
    """Every page of the tree."""
    return [Page(path) for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])]


def hikube_calls(line: str) -> list[list[str]]:
    """The arguments of every `hikube` in a shell line; none if it is no shell line, or calls something else."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return []
    found: list[list[str]] = []
    current: list[str] | None = None
    may_begin = True
    for word in words:
        if _BETWEEN_COMMANDS.match(word):
            current, may_begin = None, True
        elif may_begin and word == "hikube":
            current, may_begin = [], False
            found.append(current)
        elif current is not None:
            current.append(word)
        else:
            may_begin = may_begin and bool(re.match(r"^([A-Z_]+=.*|sudo|\$)$", word))
    return found
