"""The files that Prometheus, Alertmanager and Grafana read fit what the controller exports."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from controller.core.state import Mode
from controller.metrics import Labelling, Metrics
from controller.reporting import TRANSITIONS

ROOT = Path(__file__).parents[3]
GRAFANA = ROOT / "config/grafana"
BOARDS = [GRAFANA / "trimtab.json", GRAFANA / "fleet.json"]
PROMETHEUS = ROOT / "config/prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
ALERTMANAGER = ROOT / "config/alertmanager/alertmanager.yml"
RUNBOOK = "file:///opt/trimtab/"
"""Where docs/deployment.md installs this checkout, and its step 7 puts another address."""
ALERTS = {
    *("Down", "ScanStalled", "ScanOverruns", "ConstraintViolated", "Shed", "OpcuaDisconnected"),
    *("OutOfDistribution", "CertificateExpiry", "BadInput", "JournalFailing"),
    "ReleaseUnconfirmed",
}


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
        transitions=TRANSITIONS,
        constraints=["P.safe_high"],
    )
    names = {"trimtab_process_limit"}  # its labels come with the bundle
    for family in Metrics(labels).registry.collect():
        names |= {sample.name for sample in family.samples}
    return names


def boards() -> list[dict]:
    return [json.loads(path.read_text()) for path in BOARDS]


def alerts() -> list[dict]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


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


@pytest.mark.parametrize("file", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_reads_as_json_with_panels_that_have_ids_and_a_place(file: Path):
    board = json.loads(file.read_text())
    panels = board["panels"]
    assert board["uid"].startswith("trimtab")
    assert len({panel["id"] for panel in panels}) == len(panels) > 15
    taken = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken)), "panels overlap"
    assert max(x for x, _ in taken) < 24
    assert all(panel.get("description") for panel in panels if panel["type"] != "row")


def test_every_expression_uses_only_metrics_that_the_controller_exports():
    used = expressions(boards())
    assert len(used) > 60
    known = exported()
    for expr in used:
        assert metrics_of(expr), expr
        assert metrics_of(expr) <= known, expr


def test_every_rule_uses_only_metrics_that_the_controller_exports():
    known = exported()
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                raw = re.sub(r"\w+:\w+:\w+", "", rule["expr"])
                assert metrics_of(raw) <= known, rule


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
        "trimtab_process_limit",
        "trimtab_constraint_margin_ratio",
        "trimtab_correction_norm_ratio_bucket",
        "trimtab_in_spec_seconds_total",
        "trimtab_iae_total",
        "trimtab_ood_score",
        "trimtab_time_to_no_return_seconds",
        "trimtab_prediction_error_ratio",
        "trimtab_alarms_active",
        "trimtab_model_info",
        "trimtab_build_info",
    ],
)
def test_the_dashboard_shows(metric: str):
    used = set().union(*map(metrics_of, expressions(boards()[0])))
    assert metric in used


def test_the_modes_of_the_timeline_are_the_controllers_modes_in_their_colours():
    (timeline,) = [panel for panel in boards()[0]["panels"] if panel["title"] == "Mode"]
    (mapping,) = timeline["fieldConfig"]["defaults"]["mappings"]
    names = {place: entry["text"] for place, entry in mapping["options"].items()}
    assert names == {str(place): mode.value for place, mode in enumerate(Mode)}
    (target,) = timeline["targets"]
    for place, mode in enumerate(Mode):
        if place:
            assert re.search(rf'\b{place} \* max by .*?trimtab_mode="{mode}"', target["expr"])


def test_the_committed_dashboards_are_what_their_script_writes(tmp_path: Path):
    script = [sys.executable, str(GRAFANA / "dashboard.py"), str(tmp_path)]
    subprocess.run(script, check=True, capture_output=True)
    for board in BOARDS:
        written = (tmp_path / board.name).read_text()
        assert written == board.read_text(), "run config/grafana/dashboard.py"


def test_grafana_is_provisioned_with_a_source_and_a_folder_of_dashboards():
    folder = GRAFANA / "provisioning"
    sources = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())
    assert [source["type"] for source in sources["datasources"]] == ["prometheus"]
    interval = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["global"]
    said = sources["datasources"][0]["jsonData"]["timeInterval"]
    assert said == interval["scrape_interval"]
    (provider,) = yaml.safe_load((folder / "dashboards/trimtab.yml").read_text())["providers"]
    assert provider["options"]["path"]


def test_every_alert_of_the_operators_manual_is_there():
    assert {rule["alert"] for rule in alerts()} == ALERTS


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_grave_it_is_what_it_is_and_what_to_do(rule: dict):
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
    assert "{{ $labels.plant_unit }}" in rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == f"{RUNBOOK}docs/operations.md"
    assert anchor == rule["alert"].lower()


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_the_runbook_says_of_an_alert_what_it_is_what_the_plant_does_and_what_to_do(alert: str):
    page = (ROOT / "docs/operations.md").read_text()
    (section,) = re.findall(rf"(?ms)^### {alert}\n(.*?)(?=^##|\Z)", page)
    said = re.findall(r"(?m)^(Meaning|The plant|Look at|Do): \S", section)
    assert said == ["Meaning", "The plant", "Look at", "Do"]


def test_every_alert_has_a_unit_test_of_its_raising_and_of_its_end():
    tested = {}
    for path in (PROMETHEUS / "rule_tests").glob("*.yml"):
        for case in yaml.safe_load(path.read_text())["tests"]:
            for check in case.get("alert_rule_test", ()):
                found = tested.setdefault(check["alertname"], set())
                found.add(bool(check.get("exp_alerts")))
    assert tested == {name: {True, False} for name in ALERTS}


def ran(tool: str, *arguments: str, package: str = "prometheus") -> str:
    """What a tool of Debian's says of our files; skips where it is absent."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is absent: apt-get install --no-install-recommends {package}")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_accepts_the_scrape_configuration():
    said = ran("promtool", "check", "config", str(PROMETHEUS / "prometheus.yml"))
    assert "2 rule files found" in said


def test_promtool_accepts_the_rules():
    assert "12 rules found" in ran("promtool", "check", "rules", *map(str, RULES))


def test_the_unit_tests_of_the_rules_pass():
    files = sorted((PROMETHEUS / "rule_tests").glob("*.yml"))
    assert ran("promtool", "test", "rules", *map(str, files)).count("SUCCESS") == len(files) == 2


def test_amtool_accepts_the_routes():
    said = ran("amtool", "check-config", str(ALERTMANAGER), package="prometheus-alertmanager")
    assert "3 inhibit rules" in said


def test_nothing_but_down_is_told_of_a_controller_that_is_down():
    """By the rule itself: the live test sees it in the real Alertmanager."""
    rules = yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]
    (down,) = [rule for rule in rules if rule["source_matchers"] == ['alertname="Down"']]
    assert down["target_matchers"] == ['alertname!="Down"']


def test_prometheus_parses_every_expression(tmp_path: Path):
    """As recording rules, with the dashboards' variables filled in."""
    used = [expr for expr in expressions(boards()) if "label_v" not in expr]
    lines = ["groups:", "  - name: dashboard", "    rules:"]
    for index, expr in enumerate(used):
        filled = re.sub(r"\$__(rate_interval|range)", "1m", expr)
        lines += [f"      - record: dashboard:{index}", f"        expr: {json.dumps(filled)}"]
    rules = tmp_path / "rules.yml"
    rules.write_text("\n".join(lines) + "\n")
    assert f"{len(used)} rules found" in ran("promtool", "check", "rules", str(rules))
