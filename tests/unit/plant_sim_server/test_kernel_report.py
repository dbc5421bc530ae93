"""A start says what its compiled kernels cost, and warns where every start will pay again."""

from pathlib import Path

from structlog.testing import capture_logs

import plant_sim.serve as serve_module
from plant_sim.compiled import Compilation, compilation


def reported(monkeypatch, found):
    monkeypatch.setattr(serve_module, "compilation", lambda: found)
    with capture_logs() as logs:
        serve_module._report_kernels()
    return logs


def test_kernels_are_counted():
    found = compilation()
    assert found.cached + found.compiled > 0
    assert found.seconds > 0.0


def test_a_start_with_a_cache_reports_and_does_not_warn(monkeypatch):
    found = Compilation(directory=Path("/var/cache/x"), cached=9, compiled=1, seconds=0.5)
    (line,) = reported(monkeypatch, found)
    assert (line["cached"], line["compiled"], line["cache"]) == (9, 1, "/var/cache/x")
    assert line["log_level"] == "info"


def test_a_start_without_one_warns_and_says_what_to_do(monkeypatch):
    _, warning = reported(
        monkeypatch, Compilation(directory=None, cached=0, compiled=10, seconds=3.0)
    )
    assert warning["log_level"] == "warning"
    assert "NUMBA_CACHE_DIR" in warning["do"]
