"""Alerts and dashboard: promtool takes them, their tests can fail, and they ask for nothing that nobody exports."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from provisioner.clocks import ManualClock
from provisioner.lifecycle.fleet import Known
from provisioner.lifecycle.queue import QueueState
from provisioner.planning.fleet import Fleet
from server.health import Health
from server.metrics import Metrics
from tests.server.promtool import check

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/prometheus/alerts.yaml"
TESTS = ROOT / "deploy/prometheus/alerts.test.yaml"
DASHBOARD = ROOT / "deploy/grafana/hikube.json"
PAGE = ROOT / "docs/reference/metrics.md"
OF_THE_PROCESS = {
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_start_time_seconds",
}
_NAME = re.compile(r"\b(?:hikube|process)_[a-z_]+")
_PART = re.compile(r"_(?:bucket|sum|count)$")
VARIABLES = {"$__rate_interval": "5m", "$__range": "6h", "$model": ".*", "$kind": ".*"}
GRID_WIDTH = 24


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Every query of the dashboard, with the title of its panel."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def exported() -> set[str]:
    """The names of all families, of a process that leads."""
    metrics = Metrics(health=Health(ManualClock()), clock=ManualClock(), version="1", store="memory")
    metrics.queue.look_with(lambda: QueueState(0, 0, 0, 0.0))
    metrics.fleet.look_with(lambda: Known((), Fleet(())))
    return set(metrics.names())


def named(text: str) -> set[str]:
    return {_PART.sub("", name) for name in _NAME.findall(text)}


def test_promtool_takes_the_rules_and_their_tests() -> None:
    checked = check("check", "rules", "--lint-fatal", ALERTS)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = check("test", "rules", TESTS)
    assert tested.returncode == 0, tested.stdout + tested.stderr


MISTAKES = {
    "HikubeControllerAway": ("absent(hikube_build_info)", "absent(hikube_leader)"),
    "HikubeNoLeader": ("max(hikube_leader) == 0", "min(hikube_leader) == 1"),
    "HikubeLoopStands": ("hikube_leader == 1 and time() - hikube_loop_last_turn", "time() - hikube_loop_last_turn"),
    "HikubeStoreAway": ("last_answer_timestamp_seconds > 120", "last_answer_timestamp_seconds > 12000"),
    "HikubeQueueNotDraining": ("hikube_queue_oldest_due_seconds > 300", "hikube_queue_oldest_due_seconds > 3000"),
    "HikubeReconcileFailures": ("> 0.01", "> 0"),
    "HikubeHostAway": ("min by (host) (hikube_host_reachable) == 0", "hikube_host_reachable == 0"),
    "HikubeGPUQuarantined": ("(max by (host, model, state) (hikube_host_gpus", "((hikube_host_gpus"),
    "HikubeGPUsNotComingHome": (
        "(hikube_oldest_released_claim_seconds) > 3600",
        "(hikube_oldest_released_claim_seconds) > 36000",
    ),
    "HikubeNoFreeGPU": ('(max by (model) (hikube_gpus{state="Free"}) > 0)', 'hikube_gpus{state="Free"}'),
}
"""One in each rule: what stands there, and what does not do."""


def test_a_mistake_in_any_rule_would_be_found(tmp_path: Path) -> None:
    assert set(MISTAKES) == {rule["alert"] for rule in rules()}
    text = ALERTS.read_text()
    for right, wrong in MISTAKES.values():
        assert text.count(right) == 1, right
        text = text.replace(right, wrong)
    (tmp_path / ALERTS.name).write_text(text)
    shutil.copy(TESTS, tmp_path)
    tested = check("test", "rules", tmp_path / TESTS.name)
    assert tested.returncode != 0
    assert set(re.findall(r"alertname: ?(\w+)", tested.stdout + tested.stderr)) == set(MISTAKES)


def test_every_alert_is_tested_firing_and_silent() -> None:
    told = [case for story in yaml.safe_load(TESTS.read_text())["tests"] for case in story["alert_rule_test"]]
    names = {rule["alert"] for rule in rules()}
    assert {case["alertname"] for case in told if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in told if not case.get("exp_alerts")} == names


def test_every_alert_says_what_it_means() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["summary"] and len(rule["annotations"]["description"].split()) > 8
        assert rule["alert"] in (ROOT / "docs/how-to/watch-with-prometheus.md").read_text()


def test_promtool_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    entries = []
    for number, (_, expression) in enumerate(expressions()):
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)
        assert "$" not in expression
        entries.append({"record": f"dashboard:expression_{number}:shown", "expr": expression})
    path = tmp_path / "dashboard.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": entries}]}))
    checked = check("check", "rules", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(entries)} rules found" in checked.stdout


def test_alerts_and_dashboard_name_only_what_is_exported() -> None:
    asked = {name for rule in rules() for name in named(rule["expr"])}
    asked |= {name for _, expression in expressions() for name in named(expression)}
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    asked |= {name for each in variables for name in named(str(each.get("query")))}
    assert len(asked) > 15
    assert asked - exported() - OF_THE_PROCESS == set()


def test_every_metric_is_documented_with_its_labels_and_nothing_else_is() -> None:
    rows = re.findall(r"^\| `((?:hikube|process)_\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == exported() | OF_THE_PROCESS


def test_the_dashboard_is_whole() -> None:
    text = DASHBOARD.read_text()
    dashboard = json.loads(text)
    assert text == json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    for panel in panels():
        assert panel["title"] and panel["description"].endswith((".", "?")), panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= GRID_WIDTH
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


def test_panels_do_not_lie_on_each_other() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        for cell in [(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]:
            assert cell not in taken, f"{panel['title']} lies on {taken.get(cell)}"
            taken[cell] = panel["title"]
