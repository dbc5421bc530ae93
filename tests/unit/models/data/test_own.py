"""A user's own history, as a historian exports it."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from models.cli import app
from models.data.checks import DataRefused, check
from models.data.own import read_own
from models.runtime import Runtime
from models.train import train


@pytest.fixture
def frame(small_recipe, small_data):
    """The small data as an export with ISO times; an hour lies between two episodes."""
    names = {"cv": small_recipe.cvs, "mv": small_recipe.mvs, "dv": small_recipe.dvs}
    columns = {
        tag.name: getattr(small_data, field)[:, i]
        for field, tags in names.items()
        for i, tag in enumerate(tags)
    }
    columns |= {f"{cv.name}.SP": small_data.sp[:, i] for i, cv in enumerate(small_recipe.cvs)}
    start = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
    seconds = small_data.time_s + small_data.episode * 17 * 3600.0
    time = [start + dt.timedelta(seconds=float(s)) for s in seconds]
    return pl.DataFrame({"time": time, "episode": small_data.episode, **columns})


def test_an_export_comes_back_as_the_data_it_holds(frame, small_recipe, small_data, tmp_path):
    frame.write_parquet(tmp_path / "own.parquet")
    frame.with_columns(pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%S")).write_csv(
        tmp_path / "own.csv"
    )
    for name in ("own.parquet", "own.csv"):
        data, findings = read_own(tmp_path / name, small_recipe)
        np.testing.assert_array_equal(data.cv, small_data.cv)
        np.testing.assert_array_equal(data.mv, small_data.mv)
        np.testing.assert_allclose(data.time_s, small_data.time_s)
        assert data.bounds() == small_data.bounds()
        assert not findings


def test_without_episodes_a_pause_is_a_gap(frame, small_recipe, tmp_path):
    frame.drop("episode").write_parquet(tmp_path / "own.parquet")
    data, _ = read_own(tmp_path / "own.parquet", small_recipe)
    assert len(data.episodes()) == 1
    assert len(data.bounds()) == 6


def test_rows_with_a_value_missing_are_gaps_and_words_are_flagged(frame, small_recipe, tmp_path):
    text = frame["Temperature"].cast(pl.String).to_list()
    text[30], text[31] = "Bad Input", None
    frame.with_columns(Temperature=pl.Series(text)).write_csv(tmp_path / "own.csv")
    data, findings = read_own(tmp_path / "own.csv", small_recipe)
    assert len(data.bounds()) == 7
    assert len(data.cv) == frame.height - 2
    assert [(f.severity, f.column) for f in findings] == [("flag", "Temperature")]
    assert "1 of" in findings[0].figure
    assert "Bad Input" in findings[0].figure


def test_a_missing_column_is_named_with_the_nearest(frame, small_recipe, tmp_path):
    frame.rename({"Temperature.SP": "Temperature_SP"}).write_csv(tmp_path / "own.csv")
    with pytest.raises(DataRefused, match=r"Temperature\.SP \(is it 'Temperature_SP'\?\)"):
        read_own(tmp_path / "own.csv", small_recipe)


def test_times_that_are_no_times_are_refused(frame, small_recipe, tmp_path):
    frame.with_columns(time=pl.lit("yesterday")).write_csv(tmp_path / "own.csv")
    with pytest.raises(DataRefused, match="ISO 8601 or seconds"):
        read_own(tmp_path / "own.csv", small_recipe)


@pytest.mark.parametrize(
    ("name", "words"), [("own.xlsx", "allowed: .parquet or .csv"), ("none.csv", "cannot be read")]
)
def test_another_file_is_refused(small_recipe, tmp_path, name, words):
    with pytest.raises(DataRefused, match=words):
        read_own(tmp_path / name, small_recipe)


def test_unsorted_rows_are_refused_and_not_sorted(frame, small_recipe, tmp_path):
    frame.reverse().write_parquet(tmp_path / "own.parquet")
    data, _ = read_own(tmp_path / "own.parquet", small_recipe)
    assert check(data, small_recipe).refused


def test_a_bundle_is_trained_on_an_export(frame, small_recipe, silent, tmp_path):
    frame.write_parquet(tmp_path / "own.parquet")
    manifest = train(
        small_recipe,
        tmp_path / "work",
        tmp_path / "out",
        jobs=1,
        progress=silent,
        own_file=tmp_path / "own.parquet",
    )
    assert Runtime.load(tmp_path / "out").manifest == manifest
    assert manifest.dataset["variant"] == "own"
    assert manifest.dataset["file"] == "own.parquet"
    assert "gain_over_error.InitiatorFeed.PolymerConc" in manifest.dataset


def test_the_command_tells_and_exits_3_when_refused(frame, tmp_path):
    frame.with_columns(pl.col("Temperature") - 273.15).write_parquet(tmp_path / "own.parquet")
    result = CliRunner().invoke(
        app, ["check-data", "--data", str(tmp_path / "own.parquet")], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 3
    assert "looks like degC" in result.output
    frame.write_parquet(tmp_path / "own.parquet")
    result = CliRunner().invoke(app, ["check-data", "--data", str(tmp_path / "own.parquet")])
    assert result.exit_code == 0
    assert "Identifiability" in result.output
