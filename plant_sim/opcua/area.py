"""The units of one process: one server each, all moved by one clock.

Every unit has an endpoint, an address space and a hand-shake of its own, exactly as if it were
alone; what they share is the process, the event loop and the clock. The units of a tick take turns
with the clients: no request waits for more than one unit's tick.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence

import structlog

from plant_sim.opcua.server import PlantServer
from plant_sim.unit import clock as grid
from plant_sim.unit.clock import SimulationClock

_log = structlog.get_logger("plant_sim.opcua.area")


class PlantArea:
    """Servers that start, tick and stop together."""

    def __init__(self, servers: Sequence[PlantServer], *, tick_s: float) -> None:
        """tick_s: wall time between two ticks."""
        self.servers = tuple(servers)
        self._tick_s = tick_s
        self._clock: asyncio.Task[None] | None = None
        self._round_s = time.monotonic()

    @property
    def ticked_ago_s(self) -> float:
        """Wall time since the clock last went round, also while plant time is paused [s]."""
        return time.monotonic() - self._round_s

    @property
    def endpoints(self) -> list[str]:
        """URL of every unit, in their order."""
        return [server.endpoint for server in self.servers]

    async def start(self) -> None:
        """Start every server, then the clock; raises PlantRefusedError, and then none listens."""
        started: list[PlantServer] = []
        try:
            for server in self.servers:
                await server.start()
                started.append(server)
        except BaseException:
            for server in started:
                await server.stop()
            raise
        self._round_s = time.monotonic()
        self._clock = asyncio.create_task(self._run_clock(), name="simulation clock")

    async def wait(self) -> None:
        """Return when the clock has stopped; it only does for a reason, which is raised."""
        if self._clock is not None:
            await self._clock

    async def stop(self) -> None:
        """Stop the clock, then every server."""
        if self._clock is not None:
            self._clock.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._clock
        for server in self.servers:
            await server.stop()

    async def _run_clock(self) -> None:
        clock = SimulationClock(origin_s=time.monotonic(), tick_s=self._tick_s)
        while True:
            await asyncio.sleep(max(0.0, grid.wake_s(clock) - time.monotonic()))
            before = clock.slipped
            clock, ticks = grid.due(clock, time.monotonic())
            if clock.slipped > before:
                _log.warning("plant time fell behind", lost_ticks=clock.slipped - before)
            if ticks:
                await self._tick(clock, ticks)
            self._round_s = time.monotonic()

    async def _tick(self, clock: SimulationClock, ticks: int) -> None:
        for server in self.servers:
            await server.tick(grid.plant_seconds(clock, ticks, server.unit.speed))
            await asyncio.sleep(0)
