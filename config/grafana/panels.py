"""Panels of the dashboards: kinds, colours, legends.  Imported by `dashboard.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import (
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import (
    AxisPlacement,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    VisibilityMode,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Iterable

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
WINDOW = "$__rate_interval"

GREY, GREEN, BLUE, AMBER, RED = "#808890", "#4c9a68", "#5b83b0", "#d9a13b", "#c4473a"

MODES = {
    "INIT": GREY,
    "MANUAL": "#b0b4b8",
    "SHADOW": BLUE,
    "AUTO": GREEN,
    "HOLD": AMBER,
    "SHED": RED,
}
"""Modes in their order, each with its colour; a mode's number is its place."""

QUALITY = {"0": ("bad", RED), "1": ("uncertain", AMBER), "2": ("good", GREY)}
UP = {"0": ("no", RED), "1": ("yes", GREY)}
OWED = {"0": ("confirmed", GREY), "1": ("not confirmed", RED)}


def a_minute(metric: str, selector: str, by: str) -> str:
    """How often a counter counts a minute, summed by labels."""
    return f"60 * sum by ({by}) (rate({metric}{selector}[{WINDOW}]))"


def query(expr: str, legend: str) -> prometheus.Dataquery:
    """One range query."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).range()


def steps(*pairs: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Colours from a value upwards; None is the base."""
    thresholds = [model.Threshold(value=value, color=colour) for value, colour in pairs]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(thresholds)


def trend(title: str, text: str, *queries: tuple[str, str], exemplars: bool = False) -> Any:
    """A trend of (expression, legend) with the last values in its legend."""
    legend = (
        options.VizLegendOptions()
        .display_mode(LegendDisplayMode.TABLE)
        .show_legend(show_legend=True)
    )
    panel = (
        timeseries.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .legend(legend.placement(LegendPlacement.BOTTOM).calcs(["lastNotNull"]))
        .show_points(VisibilityMode.NEVER)
        .height(8)
        .span(12)
    )
    for letter, (expr, name) in zip("ABCDEFGH", queries, strict=False):
        asked = query(expr, name).ref_id(letter)
        panel = panel.with_target(asked.exemplar(exemplar=True) if exemplars else asked)
    return panel


def number(title: str, text: str, expr: str, legend: str = "") -> Any:
    """One figure with a small trend behind it."""
    return (
        stat.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .with_target(query(expr, legend).ref_id("A"))
        .reduce_options(options.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(BigValueGraphMode.AREA)
        .color_mode(BigValueColorMode.VALUE)
        .thresholds(steps((None, GREY)))
        .height(4)
        .span(4)
    )


def words(title: str, text: str, expr: str, legend: str) -> Any:
    """What labels say, such as a name and a version."""
    panel = number(title, text, expr, legend)
    return panel.graph_mode(BigValueGraphMode.NONE).text_mode(BigValueTextMode.NAME)


def states(title: str, text: str, expr: str, legend: str, names: dict[str, tuple[str, str]]) -> Any:
    """A state timeline; names maps a value to (text, colour)."""
    mapping = model.ValueMap(
        options={
            value: model.ValueMappingResult(text=name, color=colour, index=index)
            for index, (value, (name, colour)) in enumerate(names.items())
        }
    )
    return (
        statetimeline.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .with_target(query(expr, legend).ref_id("A"))
        .mappings([mapping])
        .merge_values(merge_values=True)
        .show_value(VisibilityMode.NEVER)
        .thresholds(steps((None, GREY)))
        .height(8)
        .span(12)
    )


def heat(title: str, text: str, histogram: str, selector: str, unit: str) -> Any:
    """How often a histogram's buckets were filled, over time."""
    counts = f"sum by (le) (increase({histogram}_bucket{selector}[{WINDOW}]))"
    asked = query(counts, "{{le}}").ref_id("A").format(PromQueryFormat.HEATMAP)
    colours = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Greys").steps(64)
    axis = heatmap.YAxisConfig().axis_placement(AxisPlacement.LEFT).unit(unit)
    return (
        heatmap.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .with_target(asked)
        .calculate(calculate=False)
        .color(colours)
        .y_axis(axis)
        .height(8)
        .span(12)
    )


def choice(name: str, label: str, values: str) -> dashboard.QueryVariable:
    """A list the viewer chooses one of."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(values)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def several(name: str, label: str, values: str) -> dashboard.QueryVariable:
    """A list the viewer chooses some of; all at first."""
    return (
        choice(name, label, values)
        .multi(multi=True)
        .include_all(include_all=True)
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def every(name: str, values: str) -> dashboard.QueryVariable:
    """A hidden list that a panel is repeated over."""
    return several(name, name, values).hide(model.VariableHide.HIDE_VARIABLE)


def board(uid: str, title: str, text: str, variables: Iterable[Any]) -> dashboard.Dashboard:
    """An empty dashboard."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(text)
        .tags(["trimtab", "process control"])
        .timezone("browser")
        .refresh("5s")
        .time("now-30m", "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
    )
    for variable in variables:
        made = made.with_variable(variable)
    return made
