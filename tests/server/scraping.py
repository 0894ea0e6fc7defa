"""Reading an endpoint as Prometheus and a kubelet do."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from dataclasses import dataclass

LIMIT_S = 20.0
_SAMPLE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: dict[str, str]


def get(url: str, *, method: str = "GET") -> Answer:
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            return Answer(answer.status, answer.read().decode(), dict(answer.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode(), dict(error.headers))


class Samples:
    """What one scrape brought."""

    def __init__(self, text: str) -> None:
        self._values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for line in text.splitlines():
            if found := _SAMPLE.fullmatch(line):
                labels = frozenset(_LABEL.findall(found["labels"] or ""))
                self._values[(found["name"], labels)] = float(found["value"])

    def __call__(self, name: str, **labels: str) -> float | None:
        """One value; None: there is no such series."""
        return self._values.get((name, frozenset(labels.items())))

    def all(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        """Every series of that name."""
        return {labels: value for (known, labels), value in self._values.items() if known == name}

    def total(self, name: str, **labels: str) -> float:
        """Over all series that have these labels."""
        return sum(value for known, value in self.all(name).items() if labels.items() <= dict(known).items())

    def __len__(self) -> int:
        return len(self._values)
