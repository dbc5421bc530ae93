"""The dashboard of one controller, by the rows it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.models.common import LineInterpolation, ScaleDistribution
from panels import (
    AMBER,
    GREEN,
    GREY,
    MODES,
    OWED,
    QUALITY,
    RED,
    UP,
    WINDOW,
    a_minute,
    board,
    choice,
    every,
    heat,
    number,
    states,
    steps,
    trend,
    words,
)

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import dashboard

HERE = '{plant_unit="$unit"}'
OF_EU = '{plant_unit="$unit",unit="$eu"}'
OF_MV = '{plant_unit="$unit",tag="$mv"}'


def empty() -> dashboard.Dashboard:
    """The dashboard without its rows."""
    return board(
        "trimtab",
        "trimtab",
        "One supervisory controller: mode, loops, moves, certificate, scan, link.",
        [
            choice("unit", "Unit", "label_values(trimtab_scan_period_seconds, plant_unit)"),
            every("eu", f"label_values(trimtab_setpoint{HERE}, unit)"),
            every("mv", f"label_values(trimtab_action_applied{HERE}, tag)"),
        ],
    )


def mode_number(selector: str) -> str:
    """The place of the present mode among `MODES`, by unit."""
    terms = [
        f'{place} * max by (plant_unit) (trimtab_mode{{{selector},trimtab_mode="{mode}"}})'
        for place, mode in enumerate(MODES)
        if place
    ]
    return " + ".join(terms)


MODE_NAMES = {str(place): (mode, colour) for place, (mode, colour) in enumerate(MODES.items())}


def quantiles(metric: str, *, deadline: bool) -> list[tuple[str, str]]:
    """p50 and p99 of a histogram, beside the deadline when asked for."""
    rate = f"sum by (le) (rate({metric}_bucket{HERE}[{WINDOW}]))"
    lines = [(f"histogram_quantile({q}, {rate})", f"p{round(100 * q)}") for q in (0.5, 0.99)]
    if deadline:
        lines.append((f"trimtab_scan_deadline_seconds{HERE}", "deadline"))
    return lines


def per_plant_second(metric: str) -> str:
    """Rate of a counter of loops over the rate of the plant time."""
    passed = f"rate(trimtab_plant_seconds_total{HERE}[{WINDOW}])"
    return f"rate({metric}{HERE}[{WINDOW}]) / on (instance) group_left () {passed}"


def overview() -> list[Any]:
    """What an operator looks at first."""
    return [
        number(
            "Scans behind",
            "Seconds since the last complete scan.",
            f"time() - trimtab_last_scan_timestamp_seconds{HERE}",
        ).unit("s"),
        number(
            "Overruns",
            "Scans that ended after their deadline, in the time shown.",
            f"increase(trimtab_scan_overruns_total{HERE}[$__range])",
        )
        .decimals(0)
        .thresholds(steps((None, GREY), (1.0, AMBER))),
        number(
            "Skipped scans",
            "Grid instants passed over because a scan ran too long, in the time shown.",
            f"increase(trimtab_scan_skipped_total{HERE}[$__range])",
        )
        .decimals(0)
        .thresholds(steps((None, GREY), (1.0, AMBER))),
        number(
            "Time to no return",
            "Plant time for which the moves in force may at most be held before, by the model, a "
            "ceiling can no longer be kept. 0: act at once, or too late. +Inf: beyond the horizon.",
            f"trimtab_time_to_no_return_seconds{HERE}",
        )
        .unit("s")
        .thresholds(steps((None, RED), (600.0, AMBER), (3600.0, GREY))),
        words(
            "Model", "The bundle that gives the advice.", f"trimtab_model_info{HERE}",
            "{{name}} {{version}}",
        ),
        words(
            "Build", "Version of the controller and of Python.", f"trimtab_build_info{HERE}",
            "trimtab {{version}}, Python {{python}}",
        ),
        states(
            "Mode", "Mode of the controller over time.",
            mode_number('plant_unit="$unit"'), "{{plant_unit}}", MODE_NAMES,
        ),
        states(
            "Tag quality", "What each tag is worth.",
            f"trimtab_tag_quality{HERE}", "{{tag}}", QUALITY,
        ),
    ]  # fmt: skip


def process() -> list[Any]:
    """The loops: PV against SP and limits, and what they cost."""
    return [
        trend(
            "PV, SP and limits [$eu]",
            "Measured value, setpoint and limit of the tags in $eu.",
            (f"trimtab_process_value{OF_EU}", "{{tag}} PV"),
            (f"trimtab_setpoint{OF_EU}", "{{tag}} SP"),
            (f"trimtab_process_limit{OF_EU}", "{{tag}} {{limit}}"),
        )
        .repeat("eu")
        .repeat_direction("h")
        .span(24),
        trend(
            "Margin",
            "Distance of each value to its limit as a share of the range; below 0 it is exceeded.",
            (f"trimtab_constraint_margin_ratio{HERE}", "{{constraint}}"),
        )
        .unit("percentunit")
        .thresholds(steps((None, RED), (0.0, GREY))),
        trend(
            "Plant time beyond a limit",
            "Share of the plant time.",
            (per_plant_second("trimtab_constraint_violation_seconds_total"), "{{constraint}}"),
        ).unit("percentunit"),
        trend(
            "Time in spec",
            "Share of the plant time with the value inside its band, in any mode.",
            (per_plant_second("trimtab_in_spec_seconds_total"), "{{loop}}"),
        )
        .unit("percentunit")
        .min(0)
        .max(1),
        trend(
            "Mean absolute error",
            "IAE divided by the plant time.",
            (per_plant_second("trimtab_iae_total"), "{{loop}}"),
        ),
    ]


def moves() -> list[Any]:
    """Policy, correction, write; and the certificate."""
    return [
        trend(
            "Moves: $mv",
            "Proposed by the policy, corrected within the box, applied by the plant.",
            (f"trimtab_action_proposed{OF_MV}", "proposed"),
            (f"trimtab_action_corrected{OF_MV}", "corrected"),
            (f"trimtab_action_applied{OF_MV}", "applied"),
            (f"trimtab_action_limit{OF_MV}", "{{limit}} limit"),
        )
        .line_interpolation(LineInterpolation.STEP_AFTER)
        .repeat("mv")
        .repeat_direction("h")
        .span(24),
        heat(
            "Correction",
            "Distance of policy and correction as a share of the spans: scans by bucket.",
            "trimtab_correction_norm_ratio", HERE, "percentunit",
        ),
        heat(
            "Certificate",
            "Bound on the learned cost above its least value in the box: scans by bucket.",
            "trimtab_correction_gap", HERE, "none",
        ),
        trend(
            "Correction gap",
            "Certified bound on the learned cost above its least value in the box.",
            *quantiles("trimtab_correction_gap", deadline=False),
        ).scale_distribution(options.ScaleDistributionConfig().type(ScaleDistribution.LOG).log(10)),
        trend(
            "Scans without usable advice",
            "Refusals by reason, and moves that ended at a limit, per minute.",
            (f"60 * rate(trimtab_correction_refused_total{HERE}[{WINDOW}])", "{{reason}}"),
            (f"60 * rate(trimtab_limit_hits_total{HERE}[{WINDOW}])", "{{tag}} at {{limit}}"),
        ),
        trend(
            "Iterations of the correction",
            "p50 and p99.",
            *quantiles("trimtab_correction_iterations", deadline=False),
        ),
        trend(
            "Movement",
            "Moves written, spans per hour of wall time.",
            (f"3600 * rate(trimtab_move_ratio_total{HERE}[{WINDOW}])", "{{tag}}"),
        ),
    ]  # fmt: skip


def believed() -> list[Any]:
    """How far the model may be believed."""
    return [
        trend(
            "Out of distribution",
            "Distance of the state from the training data over its threshold; above 1 unlike them.",
            (f"trimtab_ood_score{HERE}", "score"),
        ).thresholds(steps((None, GREEN), (1.0, RED))),
        trend(
            "Prediction error",
            "Of the scan before about this one, share of the range; and the share of recent "
            "predictions outside their band.",
            (f"trimtab_prediction_error_ratio{HERE}", "{{output}}"),
            (f"trimtab_model_outside_bands_ratio{HERE}", "outside bands"),
        ).unit("percentunit"),
    ]


def timing() -> list[Any]:
    """Whether the scan keeps its deadline."""
    stages = f"sum by (le, stage) (rate(trimtab_stage_duration_seconds_bucket{HERE}[{WINDOW}]))"
    return [
        trend(
            "Scan duration",
            "p50 and p99 against the deadline; exemplars name the scan.",
            *quantiles("trimtab_scan_duration_seconds", deadline=True),
            exemplars=True,
        ).unit("s"),
        trend(
            "Lateness",
            "From the grid instant to the start of the scan.",
            *quantiles("trimtab_scan_start_lateness_seconds", deadline=True),
            exemplars=True,
        ).unit("s"),
        trend(
            "Stages, p99",
            "Duration of each part of a scan.",
            (f"histogram_quantile(0.99, {stages})", "{{stage}}"),
        ).unit("s"),
        trend(
            "Scans by outcome",
            "Complete scans a second.",
            (f"rate(trimtab_scans_total{HERE}[{WINDOW}])", "{{outcome}}"),
        ),
    ]


def connection() -> list[Any]:
    """The link to the DCS, its alarms, and the record."""
    requests = f"rate(trimtab_opcua_request_duration_seconds_bucket{HERE}[{WINDOW}])"
    services = f"sum by (le, service) ({requests})"
    return [
        states(
            "OPC UA", "Whether a session is open.",
            f"trimtab_opcua_connected{HERE}", "session", UP,
        ).height(4),
        number(
            "Reconnects",
            "Connections made after the first, in the time shown.",
            f"increase(trimtab_opcua_reconnects_total{HERE}[$__range])",
        ).decimals(0),
        number(
            "Certificates", "Until the first of them expires; NaN where nothing is encrypted.",
            f"min(trimtab_opcua_certificate_expiry_timestamp_seconds{HERE}) - time()",
        ).unit("s").thresholds(steps((None, RED), (259200.0, AMBER), (2592000.0, GREY))),
        number(
            "Journal", "Records that wait for the disk.", f"trimtab_journal_waiting_records{HERE}"
        ).decimals(0),
        trend(
            "OPC UA request duration, p99",
            "By service.",
            (f"histogram_quantile(0.99, {services})", "{{service}}"),
        ).unit("s"),
        trend(
            "OPC UA failures",
            "Failed requests a minute, and changes of mode a minute.",
            (
                f"60 * rate(trimtab_opcua_request_failures_total{HERE}[{WINDOW}])",
                "{{service}} {{status}}",
            ),
            (
                a_minute("trimtab_mode_transitions_total", HERE, "from_mode, to_mode"),
                "{{from_mode}} to {{to_mode}}",
            ),
        ),
        trend(
            "Alarms of the plant",
            "That are not normal; NaN where the plant tells of none, and while it is not known.",
            (f"sum by (priority, state) (trimtab_alarms_active{HERE})", "{{priority}} {{state}}"),
        ),
        trend(
            "Age of the tags",
            "Since the time their source gave them.",
            (f"time() - trimtab_tag_source_timestamp_seconds{HERE}", "{{tag}}"),
        ).unit("s"),
        states(
            "Release", "Whether the DCS has still to confirm that it took the MVs back.",
            f"trimtab_release_due{HERE}", "release", OWED,
        ),
    ]  # fmt: skip


ROWS = {
    "Overview": overview,
    "Process": process,
    "Moves and certificate": moves,
    "Model": believed,
    "Timing": timing,
    "Connection": connection,
}
