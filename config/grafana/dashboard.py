"""Writes `trimtab.json`, the Grafana dashboard of one controller.

    .venv/bin/python config/grafana/dashboard.py

The JSON is committed, so that Grafana can be provisioned with it without this script; a test
compares the two.  Every expression uses metrics of `controller/metrics.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    LineInterpolation,
    ScaleDistribution,
    VisibilityMode,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

TARGET = Path(__file__).with_name("trimtab.json")
SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
HERE = '{instance="$instance"}'
OF_UNIT = '{instance="$instance",unit="$unit"}'
OF_MV = '{instance="$instance",tag="$mv"}'
WINDOW = "$__rate_interval"

GREY, GREEN, AMBER, RED = "#808890", "#4c9a68", "#d9a13b", "#c4473a"


def query(expr: str, legend: str) -> prometheus.Dataquery:
    """One range query; `HERE` in `expr` selects the controller."""
    return prometheus.Dataquery().expr(expr).legend_format(legend).range()


def steps(*pairs: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    """Colours from a value upwards; None is the base."""
    thresholds = [model.Threshold(value=value, color=colour) for value, colour in pairs]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(thresholds)


def trend(title: str, text: str, queries: Iterable[tuple[str, str]]) -> timeseries.Panel:
    """A trend with the last values in its legend."""
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
    for letter, (expr, name) in zip("ABCDEF", queries, strict=False):
        panel = panel.with_target(query(expr, name).ref_id(letter))
    return panel


def number(title: str, text: str, expr: str, legend: str = "") -> stat.Panel:
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


def states(title: str, text: str, expr: str, legend: str, names: dict[str, tuple[str, str]]) -> Any:
    """A state timeline; names maps a value to (text, colour)."""
    shown = {value: {"text": name, "color": colour} for value, (name, colour) in names.items()}
    mapping = model.ValueMap(
        options={
            value: model.ValueMappingResult(text=item["text"], color=item["color"], index=index)
            for index, (value, item) in enumerate(shown.items())
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


def quantiles(metric: str, *, deadline: bool) -> list[tuple[str, str]]:
    """p50 and p99 of a histogram, beside the deadline when asked for."""
    rate = f"sum by (le) (rate({metric}_bucket{HERE}[{WINDOW}]))"
    lines = [(f"histogram_quantile({q}, {rate})", f"p{round(100 * q)}") for q in (0.5, 0.99)]
    if deadline:
        lines.append((f"trimtab_scan_deadline_seconds{HERE}", "deadline"))
    return lines


def per_control_second(metric: str) -> str:
    """Rate of a counter of loops over the rate of the plant time under control."""
    control = f"rate(trimtab_control_seconds_total{HERE}[{WINDOW}])"
    return f"rate({metric}{HERE}[{WINDOW}]) / on (instance) group_left () {control}"


def choice(name: str, label: str, values: str) -> dashboard.QueryVariable:
    """A list the viewer chooses one of."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(values)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def every(name: str, values: str) -> dashboard.QueryVariable:
    """A hidden list that a panel is repeated over."""
    hidden = choice(name, name, values).hide(model.VariableHide.HIDE_VARIABLE)
    return (
        hidden.multi(multi=True)
        .include_all(include_all=True)
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def build() -> dashboard.Dashboard:
    """The dashboard: overview, process, moves and certificate, timing, connection."""
    board = (
        dashboard.Dashboard("trimtab")
        .uid("trimtab")
        .description("One supervisory controller: mode, loops, moves, certificate, scan, link.")
        .tags(["trimtab", "process control"])
        .timezone("browser")
        .refresh("5s")
        .time("now-30m", "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
        .with_variable(
            choice("instance", "Controller", "label_values(trimtab_scan_period_seconds, instance)")
        )
        .with_variable(every("unit", f"label_values(trimtab_setpoint{HERE}, unit)"))
        .with_variable(every("mv", f"label_values(trimtab_action_applied{HERE}, tag)"))
    )
    for row, panels in ROWS.items():
        board = board.with_row(dashboard.Row(row))
        for panel in panels():
            board = board.with_panel(panel)
    return board


def overview() -> list[Any]:
    """What an operator looks at first."""
    modes = {"0": ("", "transparent"), "1": ("in this mode", GREEN)}
    quality = {"0": ("bad", RED), "1": ("uncertain", AMBER), "2": ("good", GREEN)}
    return [
        number(
            "Scans behind",
            "Seconds since the last complete scan.",
            f"time() - trimtab_last_scan_timestamp_seconds{HERE}",
        )
        .unit("s")
        .thresholds(steps((None, GREY), (3.0, AMBER), (10.0, RED))),
        number(
            "Overruns",
            "Scans that ended after their deadline, in the time shown.",
            f"increase(trimtab_scan_overruns_total{HERE}[$__range])",
        )
        .decimals(0)
        .thresholds(steps((None, GREY), (1.0, AMBER))),
        number(
            "Skipped scans",
            "Grid instants passed over because a scan ran too long.",
            f"increase(trimtab_scan_skipped_total{HERE}[$__range])",
        )
        .decimals(0)
        .thresholds(steps((None, GREY), (1.0, AMBER))),
        number("OPC UA", "1 while a session is open.", f"trimtab_opcua_connected{HERE}").thresholds(
            steps((None, RED), (1.0, GREY))
        ),
        number(
            "Reconnects",
            "Connections made after the first, in the time shown.",
            f"increase(trimtab_opcua_reconnects_total{HERE}[$__range])",
        ).decimals(0),
        number(
            "Model",
            "The bundle that gives the advice.",
            f"trimtab_model_info{HERE}",
            "{{name}} {{version}}",
        )
        .graph_mode(BigValueGraphMode.NONE)
        .text_mode(BigValueTextMode.NAME),
        states(
            "Mode",
            "Mode of the controller over time.",
            f"trimtab_mode{HERE}",
            "{{trimtab_mode}}",
            modes,
        ),
        states(
            "Tag quality",
            "2 good, 1 uncertain, 0 bad.",
            f"trimtab_tag_quality{HERE}",
            "{{tag}}",
            quality,
        ),
    ]


def process() -> list[Any]:
    """The loops: PV against SP, and what they cost."""
    return [
        trend(
            "PV and SP [$unit]",
            "Measured value and setpoint of the tags in $unit.",
            [
                (f"trimtab_process_value{OF_UNIT}", "{{tag}} PV"),
                (f"trimtab_setpoint{OF_UNIT}", "{{tag}} SP"),
            ],
        )
        .repeat("unit")
        .repeat_direction("h")
        .span(24),
        trend(
            "Time in spec",
            "Share of the plant time under control with the value inside its band.",
            [
                (per_control_second("trimtab_in_spec_seconds_total"), "{{loop}}"),
            ],
        )
        .unit("percentunit")
        .min(0)
        .max(1),
        trend(
            "Mean absolute error",
            "IAE divided by the plant time under control.",
            [
                (per_control_second("trimtab_iae_total"), "{{loop}}"),
            ],
        ),
    ]


def moves() -> list[Any]:
    """Policy, correction, write; and the certificate."""
    return [
        trend(
            "Moves: $mv",
            "Proposed by the policy, corrected within the box, applied by the plant.",
            [
                (f"trimtab_action_proposed{OF_MV}", "proposed"),
                (f"trimtab_action_corrected{OF_MV}", "corrected"),
                (f"trimtab_action_applied{OF_MV}", "applied"),
            ],
        )
        .line_interpolation(LineInterpolation.STEP_AFTER)
        .repeat("mv")
        .repeat_direction("h")
        .span(24),
        trend(
            "Correction gap",
            "Certified bound on the learned cost above its least value in the box.",
            quantiles("trimtab_correction_gap", deadline=False),
        ).scale_distribution(options.ScaleDistributionConfig().type(ScaleDistribution.LOG).log(10)),
        trend(
            "Scans without usable advice",
            "Refusals by reason, and moves that ended at a limit, per minute.",
            [
                (f"60 * rate(trimtab_correction_refused_total{HERE}[{WINDOW}])", "{{reason}}"),
                (f"60 * rate(trimtab_limit_hits_total{HERE}[{WINDOW}])", "{{tag}} at {{limit}}"),
            ],
        ),
        trend(
            "Policy against correction",
            "Distance of the two moves as a share of the spans (p50, p99).",
            quantiles("trimtab_correction_norm_ratio", deadline=False),
        ).unit("percentunit"),
        trend(
            "Movement",
            "Moves written, spans per hour of wall time.",
            [(f"3600 * rate(trimtab_move_ratio_total{HERE}[{WINDOW}])", "{{tag}}")],
        ),
    ]


def timing() -> list[Any]:
    """Whether the scan keeps its deadline."""
    stages = f"sum by (le, stage) (rate(trimtab_stage_duration_seconds_bucket{HERE}[{WINDOW}]))"
    return [
        trend(
            "Scan duration",
            "p50 and p99 against the deadline.",
            quantiles("trimtab_scan_duration_seconds", deadline=True),
        ).unit("s"),
        trend(
            "Lateness",
            "From the grid instant to the start of the scan.",
            quantiles("trimtab_scan_start_lateness_seconds", deadline=True),
        ).unit("s"),
        trend(
            "Stages, p99",
            "Duration of each part of a scan.",
            [(f"histogram_quantile(0.99, {stages})", "{{stage}}")],
        ).unit("s"),
        trend(
            "Scans by outcome",
            "Complete scans a second.",
            [(f"rate(trimtab_scans_total{HERE}[{WINDOW}])", "{{outcome}}")],
        ),
    ]


def connection() -> list[Any]:
    """The link to the DCS."""
    requests = f"rate(trimtab_opcua_request_duration_seconds_bucket{HERE}[{WINDOW}])"
    services = f"sum by (le, service) ({requests})"
    return [
        trend(
            "OPC UA request duration, p99",
            "By service.",
            [
                (f"histogram_quantile(0.99, {services})", "{{service}}"),
            ],
        ).unit("s"),
        trend(
            "OPC UA failures",
            "Failed requests a minute, and changes of mode a minute.",
            [
                (
                    f"60 * rate(trimtab_opcua_request_failures_total{HERE}[{WINDOW}])",
                    "{{service}} {{status}}",
                ),
                (
                    f"60 * rate(trimtab_mode_transitions_total{HERE}[{WINDOW}])",
                    "{{from_mode}} to {{to_mode}}: {{reason}}",
                ),
            ],
        ),
    ]


ROWS = {
    "Overview": overview,
    "Process": process,
    "Moves and certificate": moves,
    "Timing": timing,
    "Connection": connection,
}


def text() -> str:
    """The dashboard as JSON, the same for the same code."""
    board = build().build()
    for number_from_1, panel in enumerate(board.panels or [], start=1):
        panel.id_val = number_from_1
    return json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
