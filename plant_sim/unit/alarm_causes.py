"""What raises each alarm of R101: the demands of one instant, from what the DCS itself sees.

A temperature is judged by its transmitter, as the tags show it: without a good reading the
temperature alarms stay as they are, and BadPV speaks. A cause raises three alarms at most: a
runaway T_H, T_HH and the shed; a dead controller the watchdog and the shed; whatever happens to the
transmitters BadPV and, half an hour later, the shed.
"""

from collections.abc import Mapping

from plant_sim.unit import handshake
from plant_sim.unit.alarm_table import BAD_PV, DEADLINE, SHED, T_H, T_HH, WATCHDOG
from plant_sim.unit.alarms import Definition, Demand
from plant_sim.unit.faults import Quality, Reading
from plant_sim.unit.handshake import HEARTBEAT_LOST, Handshake
from plant_sim.unit.tags import PV_PREFIX

MISSES_TAG = "APC/Diagnostics/DeadlineMisses"


def demands(
    readings: Mapping[str, Reading],
    hand: Handshake,
    misses: tuple[int | None, int | None],
    now_s: float,
) -> dict[str, Demand]:
    """What every alarm is asked.

    readings: by name of the PV.  hand: the hand-shake.  misses: DeadlineMisses when it was last
    judged and now; None: no controller has written it.  now_s: monotonic wall time.
    """
    temperature = readings["Temperature"]
    return {
        T_H.name: _too_high(T_H, temperature),
        T_HH.name: _too_high(T_HH, temperature),
        SHED.name: _shed(hand),
        WATCHDOG.name: _watchdog(hand, now_s),
        BAD_PV.name: _bad_pv(readings),
        DEADLINE.name: _deadline(*misses),
    }


def _too_high(definition: Definition, reading: Reading) -> Demand:
    limit = definition.limit
    if limit is None or reading.value is None or not reading.good:
        return Demand(raised=None)
    value, end = reading.value, limit.value - limit.deadband
    if value >= limit.value:
        text = f"Reactor temperature {value:.1f} {limit.unit}, limit {limit.value:g} {limit.unit}"
        return Demand(raised=True, message=text)
    if value >= end:
        return Demand(raised=None)
    text = f"Reactor temperature {value:.1f} {limit.unit}, back below {end:g} {limit.unit}"
    return Demand(raised=False, message=text)


def _shed(hand: Handshake) -> Demand:
    if not hand.latched:
        return Demand(raised=False, message="Shed acknowledged")
    reason = hand.shed_reason
    return Demand(raised=True, message=f"APC shed: {reason}", subjects=frozenset({reason}))


def _watchdog(hand: Handshake, now_s: float) -> Demand:
    if not (hand.latched and hand.shed_reason == HEARTBEAT_LOST):
        return Demand(raised=False, message="Shed acknowledged")
    if handshake.fresh(hand, now_s):
        return Demand(raised=False, message="Heartbeat of the APC is back")
    age_s, limit_s = now_s - hand.heartbeat_at_s, hand.heartbeat_timeout_s
    text = f"Heartbeat of the APC {age_s:.1f} s old, limit {limit_s:g} s"
    return Demand(raised=True, message=text)


def _bad_pv(readings: Mapping[str, Reading]) -> Demand:
    bad = {name: reading for name, reading in readings.items() if not reading.good}
    if not bad:
        return Demand(raised=False, message="All PVs good")
    text = ", ".join(f"{PV_PREFIX}{name}: {_fault(reading)}" for name, reading in bad.items())
    return Demand(raised=True, message=text, subjects=frozenset(bad))


def _fault(reading: Reading) -> str:
    if reading.quality is not Quality.GOOD:
        return reading.quality.value
    return f"value {reading.value}"


def _deadline(before: int | None, now: int | None) -> Demand:
    """A counter that went down is another controller's: it begins anew."""
    missed = now - before if now is not None and before is not None else 0
    if missed <= 0:
        return Demand(raised=False, message="No scan past its deadline for a minute")
    text = f"{missed} scan(s) of the APC past the deadline, {now} in all"
    return Demand(raised=True, message=text)
