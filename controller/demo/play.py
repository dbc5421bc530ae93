"""The scripted operator: plays the scenarios, one after the other, and notes what happened."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from asyncua import ua

from controller.demo.processes import DemoError
from controller.demo.room import ApcMode, ControlRoom, PlantImage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from controller.demo.display import Lines, Screen
    from controller.demo.monitor import Monitor
    from controller.demo.plan import ScenarioPlan
    from controller.demo.records import Records
    from controller.demo.stage import Stage

Answer = TypeVar("Answer")

LOOK_S = 0.05
DRAW_S = 0.25
ALIVE_S = 30.0
ENTRY_SCANS = 40
"""How many scan periods the operator waits for Active before giving up."""
RELEASE_S = 3.0
RESTING = frozenset({"MANUAL", "SHADOW"})
"""Modes from which the operator may select Auto."""


@dataclass(slots=True, kw_only=True)
class Played:
    """One scenario as far as it came.

    episode: the plant's count of resets.  first_scan, last_scan: scans (first, last] of it.
    setpoint_s, end_s: plant time.  stopped: why it ended early.
    """

    plan: ScenarioPlan
    episode: int
    first_scan: int
    last_scan: int
    setpoint_s: float | None = None
    end_s: float = 0.0
    stopped: str = ""


class Stop(Exception):  # noqa: N818 - an outcome of a scenario, not an error
    """The scenario cannot go on; the text says why."""


class Play:
    """Plays plans on a plant that runs; `played` grows as it goes."""

    def __init__(
        self,
        *,
        room: ControlRoom,
        stage: Stage,
        records: Records,
        monitor: Monitor,
        display: Screen | Lines,
        seed: int,
        period_s: float,
    ) -> None:
        self.played: list[Played] = []
        self._room = room
        self._stage = stage
        self._records = records
        self._monitor = monitor
        self._display = display
        self._seed = seed
        self._period_s = period_s
        self._last_scan = -1

    async def run(self, scenarios: list[ScenarioPlan]) -> None:
        """Play all scenarios; raises DemoError when a process fails."""
        drawing = asyncio.create_task(self._draw(), name="view")
        try:
            if not await self._controller_in(RESTING, within_s=ALIVE_S):
                raise DemoError(f"the controller stays in {self._mode() or 'its start'}")
            self._say("the controller watches the plant")
            for number, plan in enumerate(scenarios, start=1):
                self._monitor.begin(plan.name, number)
                await self._play(plan, episode=number)
        finally:
            drawing.cancel()
            (failure,) = await asyncio.gather(drawing, return_exceptions=True)
        if isinstance(failure, Exception):
            raise failure

    async def _play(self, plan: ScenarioPlan, episode: int) -> None:
        self._take_scans()
        played = Played(
            plan=plan, episode=episode, first_scan=self._last_scan, last_scan=self._last_scan
        )
        self.played.append(played)
        await self._ask(self._room.reset(plan.name, self._seed))
        await self._look()
        self._say(f"engineer resets: {plan.name}, seed {self._seed}")
        try:
            await self._enter_auto(plan)
            await self._change_setpoints(plan, played)
            await self._hold_auto(plan)
        except Stop as stop:
            played.stopped = str(stop)
            self._say(played.stopped)
        except (asyncio.CancelledError, DemoError):
            played.stopped = "was cut short"
            raise
        finally:
            self._take_scans()
            played.end_s, played.last_scan = self._monitor.image.plant_time_s, self._last_scan
        await self._ask(self._room.select(ApcMode.MANUAL))
        self._say("operator selects Manual")
        await self._controller_in(RESTING, within_s=RELEASE_S)

    async def _enter_auto(self, plan: ScenarioPlan) -> None:
        await self._until(lambda image: image.plant_time_s >= plan.auto_at_s)
        await self._ask(self._room.select(ApcMode.AUTO))
        self._say("operator selects Auto")
        within_s = ENTRY_SCANS * self._period_s
        if not await self._until(lambda image: image.active, within_s=within_s):
            raise Stop(f"the controller did not go active within {ENTRY_SCANS} scans{self._why()}")
        self._say("the controller is active")

    async def _change_setpoints(self, plan: ScenarioPlan, played: Played) -> None:
        await self._ask(self._room.enter_setpoints(plan.setpoint))
        played.setpoint_s = (await self._look()).plant_time_s
        P, T = plan.setpoint
        self._say(f"operator enters {P:g} kg/m3, {T:g} K")

    async def _hold_auto(self, plan: ScenarioPlan) -> None:
        await self._until(
            lambda image: image.plant_time_s >= plan.end_s or not image.active or image.tripped
        )
        image = self._monitor.image
        if image.tripped:
            raise Stop(f"the plant tripped at {image.plant_time_s / 3600:.1f} h")
        if not image.active:
            at = f"at {image.plant_time_s / 3600:.1f} h"
            raise Stop(f"the controller lost control {at}{self._why()}")

    async def _until(
        self, condition: Callable[[PlantImage], bool], within_s: float | None = None
    ) -> bool:
        """Look until `condition` holds; False when it did not `within_s` of wall time."""
        loop = asyncio.get_running_loop()
        end = None if within_s is None else loop.time() + within_s
        while not condition(await self._look()):
            if end is not None and loop.time() >= end:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    async def _look(self) -> PlantImage:
        self._stage.check()
        image = await self._ask(self._room.read())
        self._monitor.image = image
        return image

    async def _ask(self, request: Awaitable[Answer]) -> Answer:
        """Await a request to the plant; a plant that does not answer ends the demo."""
        try:
            return await request
        except (ua.UaError, OSError, TimeoutError) as error:
            self._stage.check()
            raise DemoError(f"the plant did not answer: {error!r}") from error

    async def _controller_in(self, modes: frozenset[str], within_s: float) -> bool:
        """Look until the journal's last scan ended in one of `modes`; False when none did."""

        def reached(_: PlantImage) -> bool:
            self._take_scans()
            return self._mode() in modes

        return await self._until(reached, within_s)

    async def _draw(self) -> None:
        while True:
            self._take_scans()
            self._display.show(self._monitor.frame())
            await asyncio.sleep(DRAW_S)

    def _take_scans(self) -> None:
        rows = self._records.after(self._last_scan)
        if rows:
            self._last_scan = int(rows[-1]["scan_id"])
            self._monitor.record(rows)

    def _mode(self) -> str:
        return str(self._monitor.rows[-1]["mode_after"]) if self._monitor.rows else ""

    def _why(self) -> str:
        """What plant and controller say about it."""
        self._take_scans()
        plant = self._monitor.image.shed_reason
        row = self._monitor.rows[-1] if self._monitor.rows else {"mode_after": "", "reason": ""}
        said = [f"the plant says: {plant}"] if plant else []
        said.append(f"the controller is in {row['mode_after']}: {row['reason']}")
        return f" ({'; '.join(said)})"

    def _say(self, text: str) -> None:
        self._display.say(self._monitor.note(text))
