"""Reading the plant's trend file, also while it is being written."""

from pathlib import Path

import pytest

from controller.demo.processes import DemoError
from controller.demo.trend import read_trend

HEADER = (
    "episode,plant_time_s,scenario,A,I,R,P,T,peak_T,P_meas,T_meas,P_sp,T_sp,F_I,T_c,active,"
    "override,tripped\n"
)


def line(episode: int, time_s: float) -> str:
    return (
        f"{episode},{time_s},startup,400,1,2e-6,{time_s / 60},350,351,1,2,100,350,1.8,340,1,0,0\n"
    )


def test_one_episode_is_read_column_by_column(tmp_path: Path):
    path = tmp_path / "trend.csv"
    path.write_text(HEADER + line(0, 0.0) + line(1, 0.0) + line(1, 60.0) + line(2, 0.0))
    found = read_trend(path, 1)
    assert found.plant_time_s.tolist() == [0.0, 60.0]
    assert found.P.tolist() == [0.0, 1.0]
    assert found.peak_T.tolist() == [351.0, 351.0]
    assert len(read_trend(path, 7)) == 0


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path):
    path = tmp_path / "trend.csv"
    path.write_text(HEADER + line(1, 0.0) + line(1, 60.0)[:-12])
    assert len(read_trend(path, 1)) == 1


def test_between_takes_both_ends(trend):
    found = trend().between(3600.0, 7200.0)
    assert found.plant_time_s[0] == 3600.0
    assert found.plant_time_s[-1] == 7200.0
    assert len(found) == 61


def test_a_missing_column_is_named(tmp_path: Path):
    path = tmp_path / "trend.csv"
    path.write_text(HEADER.replace("peak_T,", ""))
    with pytest.raises(DemoError, match=r"trend\.csv: columns missing in the trend: peak_T"):
        read_trend(path, 0)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(DemoError, match=r"trend\.csv.*No such file"):
        read_trend(tmp_path / "trend.csv", 0)
