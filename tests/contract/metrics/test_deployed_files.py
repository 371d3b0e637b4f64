"""The Grafana board and the alerts name only metrics that exist, and behave as they say."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.metrics.catalogue import METRICS

PROJECT = Path(__file__).parents[3]
DEPLOY = PROJECT / "deploy"
PROMTOOL = shutil.which("promtool")
SERIES = {metric.name for metric in METRICS if metric.kind != "histogram"} | {
    f"{metric.name}_{part}" for metric in METRICS if metric.kind == "histogram" for part in ("bucket", "sum", "count")
}
LABELS = {label for metric in METRICS for label in metric.labels} | {"le", "instance"}
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing: apt-get install prometheus")


def find_metrics(expression: str) -> set[str]:
    return set(re.findall(r"\bmailrun_\w+", expression))


def read_board() -> dict[str, Any]:
    board: dict[str, Any] = json.loads((DEPLOY / "grafana" / "mailrun.json").read_text())
    return board


def test_queries_of_the_board_name_only_metrics_and_labels_that_exist():
    expressions = [target["expr"] for panel in read_board()["panels"] for target in panel["targets"]]
    assert len(expressions) > 15
    for expression in expressions:
        assert find_metrics(expression), expression
        assert find_metrics(expression) <= SERIES, expression
        assert set(re.findall(r"\b(\w+)=~?\"", expression)) <= LABELS, expression
    assert {name.removesuffix("_bucket") for e in expressions for name in find_metrics(e)} == {m.name for m in METRICS}


def test_board_works_on_import_with_any_data_source():
    board = read_board()
    assert (board["id"], board["uid"], board["schemaVersion"] >= 36) == (None, "mailrun", True)
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert find_metrics(variables["campaign"]["definition"]) <= SERIES
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in board["panels"]:
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert sources == [{"type": "prometheus", "uid": "${datasource}"}] * len(sources)
        assert {"title", "type", "gridPos", "fieldConfig", "options"} <= panel.keys()
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        used = {name for target in panel["targets"] for name in re.findall(r"\$(\w+)", target["expr"])}
        assert used <= {*variables, "__rate_interval"}


def test_panels_of_the_board_do_not_overlap():
    taken = set[tuple[int, int]]()
    for panel in read_board()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells


def test_alerts_name_only_metrics_that_exist_and_say_what_to_do():
    text = (DEPLOY / "prometheus" / "rules.yaml").read_text()
    assert find_metrics(text) <= SERIES
    alerts = re.findall(r"- alert: (\w+)", text)
    tested = (DEPLOY / "prometheus" / "rules_test.yaml").read_text()
    for alert in alerts:  # both sides
        cases = re.findall(rf"alertname: {alert}\n\s+exp_alerts:(.*)", tested)
        assert {case.strip() for case in cases} == {"", "[]"}, alert
    runbooks = re.findall(r"runbook: (\S+)", text)
    assert len(runbooks) == text.count("description:") == text.count("summary:") == len(alerts)
    assert all((PROJECT / page).is_file() for page in runbooks)


@needs_promtool
def test_alerts_fire_and_stay_silent_as_their_tests_say():
    rules = DEPLOY / "prometheus"
    for arguments in (("check", "rules", rules / "rules.yaml"), ("test", "rules", rules / "rules_test.yaml")):
        ended = subprocess.run([str(PROMTOOL), *map(str, arguments)], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
