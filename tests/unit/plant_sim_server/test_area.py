"""The clock that moves all units says when it last went round."""

import asyncio

from plant_sim.opcua.area import PlantArea

TICK_S = 0.01


async def test_a_clock_that_goes_round_is_young_and_one_that_hangs_grows_old(monkeypatch):
    area = PlantArea([], tick_s=TICK_S)
    await area.start()
    await asyncio.sleep(20 * TICK_S)
    assert area.ticked_ago_s < 20 * TICK_S + 1.0
    hung = asyncio.Event()

    async def hang(_area, _clock, _ticks):
        hung.set()
        await asyncio.sleep(3600.0)

    monkeypatch.setattr(PlantArea, "_tick", hang)
    await hung.wait()
    first = area.ticked_ago_s
    await asyncio.sleep(0.2)
    assert area.ticked_ago_s >= first + 0.19
    await area.stop()
