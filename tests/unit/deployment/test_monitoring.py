"""The files that a Prometheus and a Grafana read fit the metrics the controller exports."""

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from controller.metrics import Labelling, Metrics

ROOT = Path(__file__).parents[3]
DASHBOARD = ROOT / "config/grafana/trimtab.json"
SCRAPE = ROOT / "config/prometheus/prometheus.yml"


def exported() -> set[str]:
    """Names of all series of a controller that has done nothing yet."""
    labels = Labelling(
        cvs=[("P", "kg/m3")],
        mvs=[("F", "kg/h")],
        tags=["cv.P.pv"],
        modes=["AUTO"],
        outcomes=["written"],
        refusals=["not certified"],
        period_s=0.1,
        deadline_s=0.1,
        version="0",
        model_name="m",
        model_version="0",
        model_sha256="0",
    )
    names = set()
    for family in Metrics(labels).registry.collect():
        names |= {sample.name for sample in family.samples}
        # A series whose labels come with the data is there by its family's name.
        names.add(family.name + ("_total" if family.type == "counter" else ""))
    return names


def expressions(node: object) -> list[str]:
    """Every `expr` and every variable's query below a node of the dashboard."""
    if isinstance(node, list):
        return [expr for item in node for expr in expressions(item)]
    if not isinstance(node, dict):
        return []
    own = [node["expr"]] if "expr" in node else []
    if node.get("type") == "query":
        own.append(node["query"])
    return own + [expr for value in node.values() for expr in expressions(value)]


def metrics_of(expr: str) -> set[str]:
    return set(re.findall(r"trimtab_\w+", re.sub(r'"[^"]*"', "", expr)))


def test_the_dashboard_reads_as_json_with_panels_that_have_ids_and_a_place():
    board = json.loads(DASHBOARD.read_text())
    panels = board["panels"]
    assert board["uid"] == "trimtab"
    assert len({panel["id"] for panel in panels}) == len(panels) > 15
    taken = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken)), "panels overlap"
    assert max(x for x, _ in taken) < 24


def test_every_expression_uses_only_metrics_that_the_controller_exports():
    used = expressions(json.loads(DASHBOARD.read_text()))
    assert len(used) > 30
    known = exported()
    for expr in used:
        assert metrics_of(expr), expr
        assert metrics_of(expr) <= known, expr


@pytest.mark.parametrize(
    "metric",
    [
        "trimtab_mode",
        "trimtab_process_value",
        "trimtab_setpoint",
        "trimtab_action_proposed",
        "trimtab_action_corrected",
        "trimtab_action_applied",
        "trimtab_scan_duration_seconds_bucket",
        "trimtab_scan_deadline_seconds",
        "trimtab_scan_start_lateness_seconds_bucket",
        "trimtab_correction_gap_bucket",
        "trimtab_scan_overruns_total",
        "trimtab_tag_quality",
        "trimtab_opcua_connected",
    ],
)
def test_the_dashboard_shows(metric: str):
    used = set().union(*map(metrics_of, expressions(json.loads(DASHBOARD.read_text()))))
    assert metric in used


def test_the_committed_dashboard_is_what_its_script_writes():
    spec = importlib.util.spec_from_file_location("dashboard", DASHBOARD.with_name("dashboard.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.text() == DASHBOARD.read_text(), "run config/grafana/dashboard.py"


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is absent: apt-get install --no-install-recommends prometheus")
    return found


def test_promtool_accepts_the_scrape_configuration():
    done = subprocess.run(
        [promtool(), "check", "config", str(SCRAPE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_parses_every_expression(tmp_path: Path):
    """As recording rules, with the dashboard's variables filled in."""
    used = [
        expr for expr in expressions(json.loads(DASHBOARD.read_text())) if "label_v" not in expr
    ]
    lines = ["groups:", "  - name: dashboard", "    rules:"]
    for index, expr in enumerate(used):
        filled = re.sub(r"\$__(rate_interval|range)", "1m", expr)
        lines += [f"      - record: dashboard:{index}", f"        expr: {json.dumps(filled)}"]
    rules = tmp_path / "rules.yml"
    rules.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [promtool(), "check", "rules", str(rules)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(used)} rules found" in done.stdout
