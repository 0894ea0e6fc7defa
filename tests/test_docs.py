"""The documents tell the truth: links and paths lead somewhere, commands and options exist, words are those of the code.

Error codes and JSON fields are held to the code in tests/cli/test_docs.py; the tutorial is run in tests/e2e.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cli.lazy import LazyGroup
from cli.tree import ROOT as COMMANDS
from tests.documents import ROOT, Page, hikube_calls, pages

PAGES = pages()
EXAMPLES = [Page(path) for path in sorted((ROOT / "examples").glob("*.yaml"))]
ROOMS = ("benchmarks", "cli", "docs", "examples", "provisioner", "scripts", "server", "templates", "tests")
WORDED = ("cli", "provisioner", "server", "templates", "tests/simulation")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(ROOMS)})/[\w./*-]*\w")
_WORDS_OF_A_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_links_lead_somewhere(page: Page) -> None:
    dead = [target for target in _LINK.findall(page.prose) if "://" not in target and not _leads_somewhere(page, target)]
    assert not dead


def _leads_somewhere(page: Page, target: str) -> bool:
    path, _, anchor = target.partition("#")
    aim = Page((page.path.parent / path).resolve()) if path else page
    return aim.path.exists() and (not anchor or anchor in aim.anchors())


@each_page
def test_paths_that_are_named_exist(page: Page) -> None:
    missing = [path for path in _PATH.findall(page.prose) if not list(ROOT.glob(path.rstrip("/.")))]
    assert not missing


@pytest.mark.parametrize("page", [page for page in PAGES if page.path.name != "guest.md"], ids=lambda page: page.name)
def test_source_files_that_are_named_exist(page: Page) -> None:
    """The page about guests names files of cloud-init's source as well, which are not here."""
    known = [path.as_posix() for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    named = [span for span in page.spans() if re.fullmatch(r"[\w/]+\.py", span)]
    assert not [name for name in named if not any(path.endswith(f"/{name}") for path in known)]


@each_page
def test_make_targets_that_are_named_exist(page: Page) -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = [*page.spans(), *page.shell_lines()]
    named = {target for line in lines if line.startswith("make ") for target in re.findall(r"^make ([a-z0-9]+)", line)}
    assert named <= targets


@each_page
def test_command_lines_parse(page: Page) -> None:
    calls = [call for line in page.shell_lines() for call in hikube_calls(line)]
    wrong = [f"hikube {' '.join(call)}: {why}" for call in calls if (why := _refusal(call))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", [*PAGES, *EXAMPLES], ids=lambda page: page.name)
def test_commands_and_options_in_the_text_exist(page: Page) -> None:
    calls = [call for span in page.spans() for call in hikube_calls(span)]
    wrong = [f"hikube {' '.join(call)}: {why}" for call in calls if (why := _refusal(call, is_whole=False))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("line", ["gpu vm lst", "gpu vm create x --gpuz l40s", "host add no-uri", "gpu vm show a b", "nope"])
def test_a_command_line_that_is_wrong_would_be_found(line: str) -> None:
    assert _refusal(line.split())


def test_the_words_of_the_glossary_are_the_words_of_the_code() -> None:
    code = "\n".join(path.read_text() for room in WORDED for path in (ROOT / room).rglob("*.py"))
    written = _WORDS_OF_A_CASE.sub(" ", code).replace("_", " ").replace("-", " ").lower()
    rows = re.findall(r"^\| (?!word |-)([^|]+) \|", Page(ROOT / "docs/glossary.md").text, re.MULTILINE)
    words = [word.strip().lower().replace("-", " ") for row in rows for word in row.split(",")]
    assert len(words) > 30
    assert not [word for word in words if not re.search(rf"\b{re.escape(word)}(s|es|ed|d|ing)?\b", written)]


def test_every_page_can_be_found_from_the_first() -> None:
    seen: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = Page(ahead.pop())
        if page.path in seen:
            continue
        seen.add(page.path)
        targets = [target.partition("#")[0] for target in _LINK.findall(page.prose) if "://" not in target]
        ahead += [
            path for target in targets if (path := (page.path.parent / target).resolve()).suffix == ".md" and path.exists()
        ]
    assert not [page.name for page in PAGES if page.path not in seen]


def _refusal(words: list[str], *, is_whole: bool = True) -> str:
    """Why the real command line would refuse these words; nothing is run.

    Args:
        is_whole: Arguments must be complete; otherwise the words are a mention, and only what is there must exist.
    """
    command: Any = LazyGroup("hikube", COMMANDS)
    context = command.context_class(command, info_name="hikube", color=False)
    rest = [] if words == ["--version"] else list(words)
    while rest and hasattr(command, "get_command") and not rest[0].startswith("-"):
        name, *rest = rest
        found = command.get_command(context, name)
        if found is None:
            return f"no command {name!r} in {context.command_path}" if not _is_placeholder(name) or is_whole else ""
        command, context = found, found.context_class(found, parent=context, info_name=name)
    return _refusal_of_arguments(command, context, rest, is_whole=is_whole)


def _refusal_of_arguments(command: Any, context: Any, rest: list[str], *, is_whole: bool) -> str:
    from typer import Exit
    from typer._click.exceptions import UsageError

    try:
        if is_whole:
            command.make_context(context.info_name, list(rest), parent=context.parent)
        else:
            command.make_parser(context).parse_args([word for word in rest if word != "…"])
    except UsageError as error:
        missing_value = "requires an argument" in error.format_message()
        return "" if missing_value and not is_whole else error.format_message()
    except Exit:
        return ""
    return ""


def _is_placeholder(word: str) -> bool:
    return word == "…" or word.isupper()
