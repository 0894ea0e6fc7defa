"""The one place of jinja2: XML is escaped by its name, other text is left alone, and nothing is silently empty."""

from __future__ import annotations

import jinja2
import pytest

from templates.environment import render


def test_a_value_that_nobody_gave_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("domain/domain.xml.j2")


def test_a_template_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(jinja2.TemplateNotFound):
        render("domain/../../etc/passwd")
