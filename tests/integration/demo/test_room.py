"""The control room against the real soft plant."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.demo.processes import DemoError, command, start, stop, wait_for_file
from controller.demo.room import ApcMode, ControlRoom, read_passwords
from controller.demo.trend import read_trend


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """(endpoint, folder) of a plant at speed 3000."""
    ready = tmp_path / "ready.json"
    arguments = ["serve", "--insecure", "--port", "0", "--speed", "3000", "--noise"]
    arguments += ["--credentials", str(tmp_path / "users.toml"), "--ready-file", str(ready)]
    arguments += ["--trend", str(tmp_path / "trend.csv")]
    child = start("plant", [*command("trimtab-plant"), *arguments], log=tmp_path / "log")
    try:
        yield json.loads(await wait_for_file(ready, child, 60))["endpoint"], tmp_path
    finally:
        assert await stop(child, signal.SIGTERM) == 0, child.last_words(30)


async def test_the_operator_acts_and_the_observer_sees_it(plant: tuple[str, Path]):
    endpoint, folder = plant
    async with ControlRoom(endpoint, read_passwords(folder / "users.toml")) as room:
        await room.reset("grade_up", 7)
        image = await room.read()
        assert image.plant_time_s < 3000.0
        assert image.selector is ApcMode.MANUAL
        assert image.permit
        assert (image.active, image.tripped, image.shed_reason) == (False, False, "")
        assert image.pv == pytest.approx(image.sp, abs=12.0)
        await room.select(ApcMode.AUTO)
        await room.enter_setpoints((140.0, 355.0))
        changed = await room.read()
        assert changed.selector is ApcMode.AUTO
        assert changed.sp == (140.0, 355.0)
        await asyncio.sleep(0.5)
        later = await room.read()
        assert later.plant_time_s > changed.plant_time_s + 600.0
    await asyncio.sleep(1.2)  # the plant flushes its trend once a second
    trend = read_trend(folder / "trend.csv", 1)
    assert trend.P_sp[0] != 140.0
    assert trend.P_sp[-1] == 140.0
    assert not trend.active.any()


async def test_a_wrong_password_is_an_error_in_words(plant: tuple[str, Path]):
    endpoint, _ = plant
    room = ControlRoom(endpoint, dict.fromkeys(("operator", "engineer", "observer"), "wrong"))
    with pytest.raises(DemoError, match="the plant did not let the demo in"):
        async with room:
            pass


async def test_a_plant_that_is_not_there_is_an_error_in_words():
    room = ControlRoom(
        "opc.tcp://127.0.0.1:9", dict.fromkeys(("operator", "engineer", "observer"), "x")
    )
    with pytest.raises(DemoError, match="the plant did not let the demo in"):
        await room.__aenter__()
