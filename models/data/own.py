"""A user's own history: a Parquet or CSV export whose columns are named after the tags.

Columns: `time` (ISO 8601 or seconds), every CV, MV and DV of the recipe, `<CV>.SP` for the
setpoints, and optionally `episode`, which separates records that do not follow each other. A
row holds the values at its instant; an MV, its mean over the sample that ends there. Other
columns are ignored. A row with a value missing is a gap.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.bundle import DataCheck
from models.data.checks import DataRefused
from models.data.dataset import Dataset, segments

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.recipe import Recipe

    F64 = NDArray[np.float64]


def read_own(path: Path, recipe: Recipe) -> tuple[Dataset, list[DataCheck]]:
    """Read an export; findings are values that are no numbers. Raises DataRefused."""
    frame = _frame(path)
    cvs = [cv.name for cv in recipe.cvs]
    mvs, dvs = [mv.name for mv in recipe.mvs], [dv.name for dv in recipe.dvs]
    setpoints = [f"{name}.SP" for name in cvs]
    wanted = [*cvs, *setpoints, *mvs, *dvs]
    _check_columns(path, frame, ["time", *wanted])
    findings = []
    numbers = {}
    for name in wanted:
        numbers[name], lost = _numbers(frame[name])
        if lost is not None:
            findings.append(lost)
    values = np.column_stack([numbers[name] for name in wanted])
    # An infinity is kept: the checks name it. What is missing leaves a gap.
    whole = ~np.isnan(values).any(axis=1)
    if not whole.any():
        raise DataRefused(f"{path}: no row has a value in all of {', '.join(wanted)}")
    column = {name: values[whole, i] for i, name in enumerate(wanted)}
    episode = _episodes(path, frame)[whole]
    time_s = _since_start(_seconds(path, frame["time"])[whole], episode)
    limited = [i for i, cv in enumerate(recipe.cvs) if cv.safe_high is not None]
    cv = _stacked(column, cvs)
    data = Dataset(
        episode=episode,
        segment=segments(episode, time_s, recipe.source.sample_time_s),
        scenario=np.full(len(episode), -1, dtype=np.int64),
        time_s=time_s,
        cv=cv,
        sp=_stacked(column, setpoints),
        mv=_stacked(column, mvs),
        dv=_stacked(column, dvs),
        peak=cv[:, limited[0] if limited else 0].copy(),
    )
    return data, findings


def _frame(path: Path) -> pl.DataFrame:
    kind = path.suffix.lower()
    if kind not in {".parquet", ".csv"}:
        raise DataRefused(f"{path}: received {path.suffix!r}; allowed: .parquet or .csv")
    try:
        frame = pl.read_parquet(path) if kind == ".parquet" else _read_csv(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataRefused(f"{path}: cannot be read: {error}") from error
    if frame.is_empty():
        raise DataRefused(f"{path}: holds no rows; export a longer span")
    return frame


def _read_csv(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, try_parse_dates=True, infer_schema_length=None)


def _check_columns(path: Path, frame: pl.DataFrame, wanted: list[str]) -> None:
    missing = [name for name in wanted if name not in frame.columns]
    if not missing:
        return
    near = {name: difflib.get_close_matches(name, frame.columns, n=1) for name in missing}
    hints = [f"{name} (is it {match[0]!r}?)" if match else name for name, match in near.items()]
    raise DataRefused(
        f"{path}: columns are missing: {', '.join(hints)}; name the columns after the recipe's "
        f"tags: {', '.join(wanted)}"
    )


def _numbers(column: pl.Series) -> tuple[F64, DataCheck | None]:
    """Values (M,) with nan for what is missing, and a finding about what is no number."""
    value = column.cast(pl.Float64, strict=False)
    words = column.filter(value.is_null() & column.is_not_null())
    finding = None
    if len(words):
        finding = DataCheck(
            severity="flag",
            column=column.name,
            reason="values that are no numbers count as missing",
            figure=f"{len(words)} of {len(column)}, e.g. {str(words[0])[:20]!r}",
            advice="export numbers, or leave the rows out",
        )
    return value.fill_null(np.nan).to_numpy().astype(np.float64), finding


def _seconds(path: Path, column: pl.Series) -> F64:
    if isinstance(column.dtype, pl.Datetime | pl.Date):
        column = column.dt.epoch("us").cast(pl.Float64) / 1e6
    elif not column.dtype.is_numeric():
        raise DataRefused(
            f"{path}: time: received {str(column[0])[:40]!r}; allowed: ISO 8601 or seconds"
        )
    if column.null_count():
        raise DataRefused(f"{path}: time: missing in {column.null_count()} rows; leave them out")
    return column.to_numpy().astype(np.float64)


def _episodes(path: Path, frame: pl.DataFrame) -> NDArray[np.int64]:
    """Number (M,) of each row's episode, in the order of the file."""
    if "episode" not in frame.columns:
        return np.zeros(frame.height, dtype=np.int64)
    number = frame["episode"].rle_id().to_numpy().astype(np.int64)
    if number[-1] + 1 != frame["episode"].n_unique():
        raise DataRefused(
            f"{path}: episode: rows of one episode are scattered; sort by episode and time"
        )
    return number


def _since_start(time_s: F64, episode: NDArray[np.int64]) -> F64:
    first = np.unique(episode, return_index=True)[1]
    start = np.repeat(time_s[first], np.diff([*first, len(episode)]))
    return np.asarray(time_s - start)


def _stacked(column: dict[str, F64], names: list[str]) -> F64:
    rows = len(next(iter(column.values())))
    return np.stack([np.zeros(rows), *(column[name] for name in names)], axis=1)[:, 1:]
