"""The tag image: what every tag of R101 shows at one instant, as a dictionary path -> value."""

from datetime import UTC, datetime, timedelta

from plant_sim.plant import LoopMode
from plant_sim.unit.alarms import Alarms
from plant_sim.unit.faults import Reading
from plant_sim.unit.handshake import Handshake
from plant_sim.unit.reactor_unit import ReactorUnit
from plant_sim.unit.remote_loop import Limited, RemoteLoop, windup
from plant_sim.unit.tag_table import TAGS
from plant_sim.unit.tags import ALARM_PREFIX, CVS, GRADE_SETPOINTS, MVS, PV_PREFIX, Grade, Kind

Shown = Reading | float | int | bool | str | datetime

NEVER = datetime(1601, 1, 1, tzinfo=UTC)
"""OPC UA's zero DateTime: no lease."""
_DIAGNOSTICS: dict[str, float | int] = {
    tag.path: 0 if tag.kind is Kind.UINT32 else 0.0
    for tag in TAGS
    if tag.path.startswith("APC/Diagnostics/")
}


def tag_image(unit: ReactorUnit, heartbeat: int, now_s: float, utc: datetime) -> dict[str, Shown]:
    """Everything the tags show. heartbeat: HeartbeatOut.  now_s and utc name the same instant."""
    image: dict[str, Shown] = {}
    image.update((PV_PREFIX + name, reading) for name, reading in unit.readings.items())
    image.update((f"R101/SP/{name}", unit.setpoint[index]) for index, name in enumerate(CVS))
    image["R101/Grade"] = int(grade_of(unit.setpoint))
    for index in range(len(MVS)):
        _show_mv(image, unit, index)
    _show_alarms(image, unit.alarms)
    _show_apc(image, unit.hand, heartbeat, now_s, utc)
    image.update(_DIAGNOSTICS)
    image.update(unit.diagnostics)
    _show_sim(image, unit)
    tripped = unit.plant.tripped
    cause = str(unit.plant.first_out)
    image["SIS/Tripped"] = tripped
    image["SIS/TripCause"] = cause if tripped else ""
    image["SIS/FirstOut"] = cause
    return image


def grade_of(setpoint: list[float]) -> Grade:
    """The grade whose setpoints these are, else CUSTOM."""
    wanted = tuple(setpoint)
    return next((grade for grade, sp in GRADE_SETPOINTS.items() if sp == wanted), Grade.CUSTOM)


def _show_mv(image: dict[str, Shown], unit: ReactorUnit, index: int) -> None:
    loop = unit.loops[index]
    actual = float(unit.plant.actual[index])
    following = unit.following(index)
    low, high = windup(loop, loop.target if following else actual)
    values: dict[str, Shown] = {
        "Target": loop.written,
        "Actual": actual,
        "Track": actual,
        "LoLim": loop.lo_lim,
        "HiLim": loop.hi_lim,
        "MaxMove": loop.max_move,
        "Mode": int(loop.mode),
        "Output": loop.output,
        "Permit": unit.hand.permit and loop.mode is LoopMode.RCAS,
        "Init": unit.initialising,
        "WindupLo": low,
        "WindupHi": high,
        "Status": _status(unit, loop, following=following),
    }
    image.update((f"R101/MV/{MVS[index]}/{item}", value) for item, value in values.items())


def _status(unit: ReactorUnit, loop: RemoteLoop, *, following: bool) -> str:
    """Who drives the MV, and which limit acts."""
    if unit.plant.tripped:
        return "TRIP"
    if unit.plant.override_active:
        return "OVERRIDE"
    if unit.shed_to_safe and loop.mode is LoopMode.RCAS:
        return "SAFE"
    if loop.mode is LoopMode.MAN:
        return "MAN"
    if not following:
        return "PI"
    return "RCAS" if loop.limited is Limited.NO else f"RCAS {loop.limited}"


def _show_alarms(image: dict[str, Shown], alarms: Alarms) -> None:
    for name, alarm in alarms.items():
        image[f"{ALARM_PREFIX}{name}/Active"] = alarm.active
        image[f"{ALARM_PREFIX}{name}/Acked"] = alarm.acknowledged


def _show_apc(
    image: dict[str, Shown], hand: Handshake, heartbeat: int, now_s: float, utc: datetime
) -> None:
    lease = hand.lease
    values: dict[str, Shown] = {
        "HeartbeatIn": hand.heartbeat,
        "HeartbeatOut": heartbeat,
        "HeartbeatTimeout": hand.heartbeat_timeout_s,
        "Mode": int(hand.mode),
        "Request": hand.request,
        "Permit": hand.permit,
        "Active": hand.active,
        "ShedReason": hand.shed_reason,
        "ShedOption": int(hand.shed_option),
        "LeaseOwner": lease.owner if lease else "",
        "LeaseUntil": _to_millisecond(utc + timedelta(seconds=lease.until_s - now_s))
        if lease
        else NEVER,
    }
    image.update((f"APC/{item}", value) for item, value in values.items())


def _to_millisecond(instant: datetime) -> datetime:
    """Drop the microseconds: two clocks read one after the other must not look like a change."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def _show_sim(image: dict[str, Shown], unit: ReactorUnit) -> None:
    A, I, R, P, T = unit.plant.state.tolist()  # noqa: E741
    values: dict[str, Shown] = {
        "Speed": unit.speed,
        "PlantTime": unit.plant.time_s,
        "Seed": unit.seed,
        "Paused": unit.paused,
        "Scenario": unit.plant.scenario.name,
        "Truth/MonomerConc": A,
        "Truth/InitiatorConc": I,
        "Truth/RadicalConc": R,
        "Truth/PolymerConc": P,
        "Truth/Temperature": T,
        "Truth/PeakTemperature": unit.peak_T,
    }
    image.update((f"Sim/{item}", value) for item, value in values.items())
