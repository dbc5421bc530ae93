import csv
from pathlib import Path

import pytest

from plant_sim.baseline import run_baseline
from plant_sim.plant import PlantOptions
from plant_sim.trend import COLUMNS, TrendFile


def run(path: Path, **changes) -> list[dict[str, str]]:
    asked = {
        "scenario": "grade_up",
        "seed": 3,
        "options": PlantOptions(noise=True),
        "duration_s": 7200.0,
        "setpoint_at_s": 3600.0,
    }
    with TrendFile(path) as trend:
        run_baseline(**(asked | changes), trend=trend)
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_row_a_minute_and_the_setpoint_changes_once(tmp_path):
    rows = run(tmp_path / "a.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [float(row["plant_time_s"]) for row in rows] == [60.0 * n for n in range(121)]
    start, target = rows[0]["P_sp"], "140.0"
    assert start != target
    assert [row["P_sp"] for row in rows] == [start] * 61 + [target] * 60
    assert {row["active"] for row in rows} == {"0"}
    assert {row["episode"] for row in rows} == {"0"}


def test_the_peak_is_never_below_the_temperature(tmp_path):
    for row in run(tmp_path / "a.csv", scenario="startup"):
        assert float(row["peak_T"]) >= float(row["T"])


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path):
    names = [tmp_path / f"{n}.csv" for n in range(3)]
    for name, seed in zip(names, (3, 3, 4), strict=True):
        run(name, seed=seed)
    first, again, other = (name.read_bytes() for name in names)
    assert first == again
    assert first != other


@pytest.mark.parametrize(("change_s", "changed"), [(0.0, 120), (90.0, 119), (1e9, 0)])
def test_the_change_may_come_at_once_between_rows_or_never(tmp_path, change_s, changed):
    rows = run(tmp_path / "a.csv", setpoint_at_s=change_s)
    assert sum(row["P_sp"] == "140.0" for row in rows) == changed


def test_a_full_disk_ends_the_trend_and_not_the_run(tmp_path):
    trend = TrendFile(tmp_path / "a.csv")
    trend._file.close()
    trend._file = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115
    trend._csv = csv.writer(trend._file)
    unit = run_baseline(
        scenario="startup",
        seed=0,
        options=PlantOptions(),
        duration_s=36000.0,
        setpoint_at_s=0.0,
        trend=trend,
    )
    trend.flush()
    assert unit.plant.time_s == pytest.approx(36000.0)
    assert "No space left" in trend.failure
    trend.close()
