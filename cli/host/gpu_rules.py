"""`--gpu-rule`: what counts as a GPU, in one word of the command line."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from provisioner.model.errors import InvalidInput

RULE_WORDS = {"vendor": "vendor", "class": "class", "id": "ids", "ids": "ids", "address": "addresses", "addresses": "addresses"}
LISTS = ("ids", "addresses")

GpuRules = Annotated[
    list[str],
    typer.Option(
        "--gpu-rule",
        metavar="RULE",
        help="What counts as a GPU: vendor=10de,class=03,id=10de:26b9,address=0000:41:00.0; repeatable",
    ),
]


def gpu_rules(texts: list[str]) -> dict[str, Any]:
    """The fields of a GPUHost's spec that these rules make; none if there are none."""
    return {"gpuRules": [_rule(text) for text in texts]} if texts else {}


def _rule(text: str) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    for pair in text.split(","):
        word, separator, value = pair.strip().partition("=")
        field = RULE_WORDS.get(word)
        if not separator or not value or field is None:
            raise InvalidInput(
                f"--gpu-rule {pair!r} cannot be understood",
                hint="vendor=10de,class=03,id=10de:26b9,address=0000:41:00.0; id and address may repeat",
            )
        if field in LISTS:
            rule.setdefault(field, []).append(value)
        else:
            rule[field] = value
    return rule
