"""The DCS alone: one episode under its own PI, without a server; the yardstick of a controller."""

from plant_sim.plant import PlantOptions
from plant_sim.scenarios import scenario_named
from plant_sim.unit.handshake import Handshake
from plant_sim.unit.reactor_unit import ReactorUnit, TrendSink


def run_baseline(
    *,
    scenario: str,
    seed: int,
    options: PlantOptions,
    duration_s: float,
    setpoint_at_s: float,
    trend: TrendSink,
) -> ReactorUnit:
    """Run one episode; the setpoint goes to the scenario's target at `setpoint_at_s`.

    The same unit as behind the server, with nobody asking for control. A row goes to `trend` every
    minute of plant time. Returns the unit at the end; raises ValueError for an unknown scenario.
    """
    target = list(scenario_named(scenario).setpoint)
    unit = ReactorUnit(
        scenario=scenario, seed=seed, options=options, hand=Handshake(), speed=1.0, trend=trend
    )
    change_s = min(setpoint_at_s, duration_s)
    for part, end_s in enumerate((change_s, duration_s)):
        if part:
            unit.setpoint = list(target)
        if end_s > unit.plant.time_s:
            unit.advance(end_s - unit.plant.time_s, now_s=unit.plant.time_s)
    return unit
