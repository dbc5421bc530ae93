"""The unit R101 behind its tags: plant, remote loops, hand-shake and instruments in one place.

No protocol and no clock: the server tells it how far to move and what the wall clock says. The
verbs return nothing or a `Refusal`; what the tags show is read off by `tag_image.py`.
"""

from dataclasses import replace
from enum import StrEnum
from math import floor
from typing import Protocol

from plant_sim.integrate import IntegrationError
from plant_sim.plant import LoopCommand, LoopMode, Plant, PlantOptions
from plant_sim.reactor import INPUT_HIGH, INPUT_LOW
from plant_sim.regulatory import OVERRIDE_OUTPUT
from plant_sim.scenarios import scenario_named
from plant_sim.trend import ROW_PERIOD_S, TrendRow
from plant_sim.unit import alarms, faults, handshake, remote_loop
from plant_sim.unit.alarm_causes import MISSES_TAG, demands
from plant_sim.unit.alarm_table import DEFINITIONS
from plant_sim.unit.faults import FaultKind, Instrument, Reading
from plant_sim.unit.handshake import Conditions, Handshake, ShedOption
from plant_sim.unit.remote_loop import RemoteLoop
from plant_sim.unit.tag_table import MAX_MOVE, TAGS
from plant_sim.unit.tags import CVS, MVS, PV_PREFIX

SAFE_OUTPUT = OVERRIDE_OUTPUT
"""Outputs of a shed with ShedOption SAFE until it is acknowledged [kg/h, K]."""
_TIME_TOLERANCE_S = 1e-6


class Refusal(StrEnum):
    """Why something an operator, an engineer or a controller wanted was refused.

    The values are names of OPC UA status codes.
    """

    OUT_OF_RANGE = "BadOutOfRange"
    TYPE_MISMATCH = "BadTypeMismatch"
    ACCESS_DENIED = "BadUserAccessDenied"
    NOT_WRITABLE = "BadNotWritable"
    INVALID_STATE = "BadInvalidState"
    STATUS_NOT_WRITABLE = "BadWriteNotSupported"
    INDEX_RANGE = "BadIndexRangeInvalid"


class TrendSink(Protocol):
    """Where trend rows go."""

    def record(self, row: TrendRow) -> None:
        """Take one row."""


class ReactorUnit:
    """R101 for one process; `reset` begins a new episode."""

    def __init__(
        self,
        *,
        scenario: str,
        seed: int,
        options: PlantOptions,
        hand: Handshake,
        speed: float,
        paused: bool = False,
        trend: TrendSink | None = None,
    ) -> None:
        """Begin episode 0; raises ValueError for an unknown scenario."""
        self.options = options
        self.hand = hand
        self.speed = speed
        self.paused = paused
        self.failure = ""
        self.episode = -1
        self.alarms = alarms.all_normal(DEFINITIONS)
        self._trend = trend
        self.reset(scenario, seed)

    def reset(self, scenario: str, seed: int) -> None:
        """Begin a new episode: new plant, plant time 0, the DCS in control, defaults everywhere."""
        self.plant = Plant(scenario_named(scenario), seed=seed, options=self.options)
        self.seed = seed
        self.episode += 1
        if self.failure:
            self.failure, self.paused = "", False
        self.hand = handshake.reset(self.hand)
        self.setpoint = [float(value) for value in self.plant.setpoint]
        self.loops = self._default_loops()
        self.instruments = _healthy_instruments()
        self.readings: dict[str, Reading] = {}
        self.diagnostics: dict[str, float | int] = {}
        self.alarms = alarms.reset_all(self.alarms)
        self._misses: int | None = None
        self.peak_T = self._row_peak_T = float(self.plant.state[4])
        self._read_instruments()
        self._record()

    @property
    def initialising(self) -> bool:
        """Whether override or trip has the MVs: the APC must track (Init)."""
        return self.plant.override_active or self.plant.tripped

    @property
    def shed_to_safe(self) -> bool:
        """Whether an unacknowledged shed holds the MVs in RCAS at `SAFE_OUTPUT`."""
        return self.hand.latched and self.hand.shed_option is ShedOption.SAFE

    def following(self, index: int) -> bool:
        """Whether MV `index` follows its remote target."""
        in_rcas = self.loops[index].mode is LoopMode.RCAS
        return self.hand.active and in_rcas and not self.initialising

    def advance(self, seconds: float, now_s: float) -> None:
        """Move plant time on by `seconds`; the trend gets a row at every full minute on the way."""
        end_s = self.plant.time_s + seconds
        try:
            while end_s - self.plant.time_s > _TIME_TOLERANCE_S:
                self._step_to(min(end_s, self._next_row_s()), now_s)
        except IntegrationError as error:
            self.failure = str(error)
            self.paused = True
        self._read_instruments()
        self.settle(now_s)

    def settle(self, now_s: float) -> None:
        """Bring hand-shake, loops and alarms to what this instant demands."""
        self._settle_control(now_s)
        self._judge_alarms(now_s)

    def acknowledge_alarm(self, name: str, user: str, comment: str) -> bool:
        """`user` has seen an alarm; False: there is nothing to acknowledge."""
        seen = alarms.acknowledge(self.alarms[name], user, comment)
        if seen is not None:
            self.alarms = {**self.alarms, name: seen}
        return seen is not None

    def comment_alarm(self, name: str, user: str, comment: str) -> None:
        """Keep a comment of `user` with an alarm."""
        told = alarms.add_comment(self.alarms[name], user, comment)
        self.alarms = {**self.alarms, name: told}

    def _judge_alarms(self, now_s: float) -> None:
        written = self.diagnostics.get(MISSES_TAG)
        misses = None if written is None else int(written)
        asked = demands(self.readings, self.hand, (self._misses, misses), now_s)
        self._misses = misses
        self.alarms = alarms.judge_all(self.alarms, asked, self.plant.time_s, now_s)

    def _settle_control(self, now_s: float) -> None:
        was_active = self.hand.active
        self.hand = handshake.settle(self.hand, self._conditions(), now_s)
        actual = self.plant.actual
        for index, loop in enumerate(self.loops):
            value = float(actual[index])
            if not self.following(index):
                self.loops[index] = remote_loop.track(loop, value, now_s)
            elif not was_active:
                self.loops[index] = remote_loop.enter(loop, value, now_s)
            else:
                self.loops[index] = remote_loop.relimit(loop)

    def inject(self, tag: str, kind: str, magnitude: float, duration_s: float) -> Refusal | None:
        """Give the instrument of a PV (path, last segment, or * for all) a fault."""
        names = _instruments_named(tag)
        if not names or kind not in {k.value for k in FaultKind}:
            return Refusal.OUT_OF_RANGE
        for name in names:
            self.instruments[name] = faults.inject(
                self.instruments[name], FaultKind(kind), magnitude, self.plant.time_s, duration_s
            )
        self._read_instruments()
        return None

    def _step_to(self, time_s: float, now_s: float) -> None:
        summary = self.plant.step(time_s - self.plant.time_s, self._command())
        self.peak_T = max(self.peak_T, summary.peak_T)
        self._row_peak_T = max(self._row_peak_T, summary.peak_T)
        self._settle_control(now_s)
        into_row_s = self.plant.time_s % ROW_PERIOD_S
        if min(into_row_s, ROW_PERIOD_S - into_row_s) < _TIME_TOLERANCE_S:
            self._record()

    def _next_row_s(self) -> float:
        rows = floor((self.plant.time_s + _TIME_TOLERANCE_S) / ROW_PERIOD_S)
        return (rows + 1) * ROW_PERIOD_S

    def _command(self) -> LoopCommand:
        modes, outputs = [], []
        for index, loop in enumerate(self.loops):
            remote = loop.mode is LoopMode.RCAS
            output = loop.output
            mode = loop.mode
            if remote and self.shed_to_safe:
                mode, output = LoopMode.MAN, SAFE_OUTPUT[index]
            elif remote and not self.hand.active:
                mode = LoopMode.AUTO
            modes.append(mode)
            outputs.append(output)
        return LoopCommand(
            mode=(modes[0], modes[1]),
            setpoint=self.setpoint,
            target=[loop.target for loop in self.loops],
            output=outputs,
        )

    def _conditions(self) -> Conditions:
        return Conditions(
            tripped=self.plant.tripped,
            override=self.plant.override_active,
            cv_good=all(self.readings[name].good for name in CVS),
            plant_time_s=self.plant.time_s,
        )

    def _read_instruments(self) -> None:
        measured = self.plant.measure()
        values = {
            "MonomerConc": measured.A,
            "PolymerConc": measured.P,
            "Temperature": measured.T,
            "JacketTemperature": float(self.plant.actual[1]),
        }
        for name, value in values.items():
            self.instruments[name], reading = faults.sample(
                self.instruments[name], value, self.plant.time_s
            )
            if self.failure:
                reading = Reading(value=None, quality=faults.Quality.SENSOR_FAILURE)
            self.readings[name] = reading

    def _record(self) -> None:
        if self._trend is not None:
            self._trend.record(self._row())
        self._row_peak_T = float(self.plant.state[4])

    def _row(self) -> TrendRow:
        plant = self.plant
        measured = plant.measure()
        return TrendRow(
            episode=self.episode,
            plant_time_s=plant.time_s,
            scenario=plant.scenario.name,
            state=tuple(plant.state.tolist()),
            peak_T=self._row_peak_T,
            measured=(measured.P, measured.T),
            setpoint=(self.setpoint[0], self.setpoint[1]),
            actual=tuple(plant.actual.tolist()),
            active=self.hand.active,
            override=plant.override_active,
            tripped=plant.tripped,
        )

    def _default_loops(self) -> list[RemoteLoop]:
        actual = self.plant.actual
        return [
            remote_loop.make_loop(
                INPUT_LOW[index], INPUT_HIGH[index], MAX_MOVE[name], float(actual[index])
            )
            for index, name in enumerate(MVS)
        ]

    def replace_loop(self, index: int, **changes: object) -> None:
        """Change settings of MV `index`."""
        self.loops[index] = replace(self.loops[index], **changes)  # type: ignore[arg-type]


def _healthy_instruments() -> dict[str, Instrument]:
    return {
        tag.path.removeprefix(PV_PREFIX): Instrument(low=tag.range[0], high=tag.range[1])
        for tag in TAGS
        if tag.path.startswith(PV_PREFIX) and tag.range is not None
    }


def _instruments_named(tag: str) -> list[str]:
    names = list(_healthy_instruments())
    if tag == "*":
        return names
    return [name for name in names if tag in (name, PV_PREFIX + name)]
