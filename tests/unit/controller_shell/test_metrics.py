"""Metrics: names that promtool accepts, series that exist before their first event, the port."""

import shutil
import subprocess
import urllib.request
from math import isnan

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from controller.exposition import MetricsServer
from controller.metrics import Labelling, Metrics


def labelling(deadline_s: float = 0.08) -> Labelling:
    return Labelling(
        cvs=[("PolymerConc", "kg/m3"), ("Temperature", "K")],
        mvs=[("InitiatorFeed", "kg/h"), ("CoolantTemperature", "K")],
        tags=["PolymerConc.pv", "InitiatorFeed.actual"],
        modes=["INIT", "MANUAL", "SHADOW", "AUTO", "HOLD", "SHED"],
        outcomes=["written", "not_written"],
        refusals=["not_certified"],
        period_s=0.1,
        deadline_s=deadline_s,
        version="0.1.0",
        model_name="polymer-cstr",
        model_version="1",
        model_sha256="00" * 32,
    )


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is absent: apt-get install --no-install-recommends prometheus",
)
def test_promtool_accepts_every_name_and_help_text():
    text = generate_latest(Metrics(labelling()).registry)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False, timeout=30
    )
    assert checked.returncode == 0, checked.stderr.decode() + checked.stdout.decode()
    assert checked.stderr == b""


@pytest.mark.parametrize("deadline_s", [0.08, 0.3, 240.0])
def test_one_bucket_edge_is_exactly_the_deadline(deadline_s):
    values = samples(Metrics(labelling(deadline_s)))
    edges = {
        float(dict(labels)["le"])
        for name, labels in values
        if name == "trimtab_scan_duration_seconds_bucket"
    }
    assert deadline_s in edges


def test_series_exist_at_zero_before_their_first_event():
    values = samples(Metrics(labelling()))
    for series in [
        ("trimtab_scans_total", (("outcome", "written"),)),
        ("trimtab_scan_overruns_total", ()),
        ("trimtab_correction_refused_total", (("reason", "not_certified"),)),
        ("trimtab_limit_hits_total", (("limit", "high"), ("tag", "InitiatorFeed"))),
        ("trimtab_iae_total", (("loop", "Temperature"),)),
        ("trimtab_opcua_reconnects_total", ()),
    ]:
        assert values[series] == 0.0
    assert values["trimtab_mode", (("trimtab_mode", "INIT"),)] == 1.0


def test_gauges_exist_before_there_is_anything_to_show():
    values = samples(Metrics(labelling()))
    for series in [
        ("trimtab_action_applied", (("tag", "InitiatorFeed"),)),
        ("trimtab_process_value", (("tag", "Temperature"), ("unit", "K"))),
        ("trimtab_prediction_error_ratio", (("output", "Temperature"),)),
        ("trimtab_alarms_active", (("priority", "high"), ("state", "unacknowledged"))),
        ("trimtab_time_to_no_return_seconds", ()),
        ("trimtab_ood_score", ()),
    ]:
        assert isnan(values[series]), series


def test_no_series_tells_when_another_was_created():
    assert not [name for name, _ in samples(Metrics(labelling())) if name.endswith("_created")]


def test_prometheus_is_given_open_metrics_and_others_the_plain_format():
    metrics = Metrics(labelling())
    metrics.scan_duration.observe(0.01, {"scan_id": "7"})
    server = MetricsServer(metrics.registry, "127.0.0.1", 0)
    try:
        asked = urllib.request.Request(  # noqa: S310 - http
            server.url, headers={"Accept": "application/openmetrics-text;version=1.0.0"}
        )
        with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310
            assert "openmetrics-text" in answer.headers["Content-Type"]
            told = answer.read()
            assert b'# {scan_id="7"}' in told
            assert told == open_metrics(metrics.registry)
        with urllib.request.urlopen(server.url, timeout=5) as answer:  # noqa: S310
            assert "text/plain" in answer.headers["Content-Type"]
            assert b"scan_id" not in answer.read()
    finally:
        server.close()


def test_two_controllers_in_one_process_do_not_share_series():
    first, second = Metrics(labelling()), Metrics(labelling())
    first.overruns.inc()
    assert samples(second)["trimtab_scan_overruns_total", ()] == 0.0


def test_the_server_serves_and_frees_its_port():
    metrics = Metrics(labelling())
    server = MetricsServer(metrics.registry, "127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{server.port}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert b"trimtab_build_info" in answer.read()
        with pytest.raises(OSError, match="in use"):
            MetricsServer(metrics.registry, "127.0.0.1", server.port)
    finally:
        port = server.port
        server.close()
    again = MetricsServer(metrics.registry, "127.0.0.1", port)
    again.close()
