"""The dashboard of all controllers, one line a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from panels import (
    AMBER,
    GREY,
    RED,
    UP,
    WINDOW,
    a_minute,
    board,
    number,
    several,
    states,
    steps,
    trend,
    words,
)
from unit import MODE_NAMES, mode_number

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders import dashboard

CHOSEN = 'plant_unit=~"$unit"'
HERE = f"{{{CHOSEN}}}"


def empty() -> dashboard.Dashboard:
    """The dashboard without its rows."""
    return board(
        "trimtab-fleet",
        "trimtab fleet",
        "All supervisory controllers: which are in command, which need somebody.",
        [several("unit", "Unit", "label_values(trimtab_scan_period_seconds, plant_unit)")],
    )


def share(metric: str, by: str = "plant_unit") -> str:
    """Rate of a counter of plant time over all plant time."""
    passed = f"sum by (plant_unit) (rate(trimtab_plant_seconds_total{HERE}[{WINDOW}]))"
    own = f"sum by ({by}) (rate({metric}{HERE}[{WINDOW}]))"
    return f"{own} / on (plant_unit) group_left () {passed}"


def command() -> list[Any]:
    """Who is in command."""
    return [
        number(
            "In AUTO", "Units whose controller is in command.",
            f'sum(trimtab_mode{{{CHOSEN},trimtab_mode="AUTO"}})',
        ).decimals(0),
        number(
            "In SHED", "Units whose controller has let go and waits for an operator.",
            f'sum(trimtab_mode{{{CHOSEN},trimtab_mode="SHED"}})',
        ).decimals(0).thresholds(steps((None, GREY), (1.0, AMBER))),
        number(
            "Without a session", "Units whose controller is not connected.",
            f"count(trimtab_opcua_connected{HERE}) - sum(trimtab_opcua_connected{HERE})",
        ).decimals(0).thresholds(steps((None, GREY), (1.0, RED))),
        number(
            "Missed scans", "Late or skipped, in the time shown.",
            f"sum(increase(trimtab_scan_overruns_total{HERE}[$__range])) "
            f"+ sum(increase(trimtab_scan_skipped_total{HERE}[$__range]))",
        ).decimals(0).thresholds(steps((None, GREY), (1.0, AMBER))),
        words(
            "Builds", "Versions in use.", f"count by (version) (trimtab_build_info{HERE})",
            "trimtab {{version}}",
        ),
        words(
            "Models", "Bundles in use.", f"count by (name, version) (trimtab_model_info{HERE})",
            "{{name}} {{version}}",
        ),
        states("Mode", "By unit.", mode_number(CHOSEN), "{{plant_unit}}", MODE_NAMES).span(24),
        states(
            "OPC UA", "Whether a session is open.",
            f"trimtab_opcua_connected{HERE}", "{{plant_unit}}", UP,
        ),
        trend(
            "In AUTO", "Share of the plant time.",
            (share("trimtab_control_seconds_total"), "{{plant_unit}}"),
        ).unit("percentunit").min(0).max(1),
    ]  # fmt: skip


def quality() -> list[Any]:
    """How well they control, and how near to their limits."""
    return [
        trend(
            "Time in spec",
            "Share of the plant time with the value inside its band.",
            (share("trimtab_in_spec_seconds_total", "plant_unit, loop"), "{{plant_unit}} {{loop}}"),
        )
        .unit("percentunit")
        .min(0)
        .max(1),
        trend(
            "Least margin",
            "Of each unit to any of its limits; below 0 one is exceeded.",
            (f"min by (plant_unit) (trimtab_constraint_margin_ratio{HERE})", "{{plant_unit}}"),
        ).unit("percentunit"),
        trend(
            "Out of distribution",
            "Above 1 the state is unlike the training data.",
            (f"max by (plant_unit) (trimtab_ood_score{HERE})", "{{plant_unit}}"),
        ),
        trend(
            "Scans without usable advice",
            "Per minute.",
            (
                a_minute("trimtab_correction_refused_total", HERE, "plant_unit"),
                "{{plant_unit}}",
            ),
        ),
    ]


def machine() -> list[Any]:
    """Whether the machine and the line keep up."""
    rate = f"rate(trimtab_scan_duration_seconds_bucket{HERE}[{WINDOW}])"
    p99 = f"histogram_quantile(0.99, sum by (le, plant_unit) ({rate}))"
    deadline = f"max by (plant_unit) (trimtab_scan_deadline_seconds{HERE})"
    return [
        trend(
            "Scan, p99 over the deadline",
            "Above 1 a scan in a hundred is late.",
            (f"{p99} / on (plant_unit) {deadline}", "{{plant_unit}}"),
        ).unit("percentunit"),
        trend(
            "Bad tags",
            "Tags that must not be used.",
            (
                f"sum by (plant_unit) (trimtab_tag_quality{HERE} == bool 0)",
                "{{plant_unit}}",
            ),
        ),
        trend(
            "OPC UA failures",
            "Failed requests a minute.",
            (
                a_minute("trimtab_opcua_request_failures_total", HERE, "plant_unit"),
                "{{plant_unit}}",
            ),
        ),
        trend(
            "Alarms of the plants",
            "That are not normal, nor shelved or suppressed.",
            (
                f'sum by (plant_unit) (trimtab_alarms_active{{{CHOSEN},state!="shelved"}})',
                "{{plant_unit}}",
            ),
        ),
    ]  # fmt: skip


ROWS = {"In command": command, "Quality": quality, "Machine and line": machine}
