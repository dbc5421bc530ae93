"""Alarm limits are a decoration: a server that does not tell them keeps no unit disconnected."""

import asyncio
import contextlib
from dataclasses import replace

import pytest
from asyncua import Client
from asyncua.server import binary_server_asyncio
from structlog.testing import capture_logs

from controller.hmi import limit_watch as module
from controller.hmi import plant_line
from controller.hmi.limit_watch import LimitWatch
from controller.hmi.plant_line import PlantLine
from controller.logs import logger
from controller.opcua.operation_limits import OperationLimits
from tests.support.dcs import Dcs, Odd
from tests.support.waiting import until

PV = "cv.Temperature.pv"
SEARCH = ("BrowseResponse", "TranslateBrowsePathsToNodeIdsResponse")


@pytest.fixture
async def dcs(monkeypatch):
    monkeypatch.setattr(binary_server_asyncio, "UaProcessor", Odd)
    monkeypatch.setattr(Odd, "unanswered", frozenset())
    monkeypatch.setattr(Odd, "short", frozenset())
    monkeypatch.setattr(module, "ANSWER_S", 1.0)
    made = Dcs()
    await made.start()
    await made.condition(made.pv, "T", HighLimit=361.0)
    yield made
    await made.server.stop()


@pytest.fixture
async def watch(dcs):
    async with Client(dcs.url, timeout=60, watchdog_intervall=600.0) as client:  # it reads, too
        yield LimitWatch(client, {PV: dcs.pv.nodeid}, OperationLimits(), logger("hmi"))


def values(found):
    return {key: [limit.value for limit in limits] for key, limits in found.items()}


@pytest.mark.parametrize("how", ["unanswered", "short"])
@pytest.mark.parametrize("what", [*SEARCH, "ReadResponse"])
async def test_a_search_that_fails_finds_none_and_is_made_again(watch, monkeypatch, how, what):
    monkeypatch.setattr(Odd, how, frozenset({what}))
    with capture_logs() as lines:
        async with asyncio.timeout(20.0):  # far less than the client itself would wait
            assert await watch.read() == {}
            assert await watch.read() == {}
    assert [line["event"] for line in lines] == ["no_alarm_limits"]
    assert lines[0]["log_level"] == "info"
    monkeypatch.setattr(Odd, how, frozenset())
    assert values(await watch.read()) == {PV: [361.0]}


@pytest.mark.parametrize("how", ["unanswered", "short"])
async def test_a_reading_that_fails_tells_none(watch, monkeypatch, how):
    assert values(await watch.read()) == {PV: [361.0]}
    monkeypatch.setattr(Odd, how, frozenset({"ReadResponse"}))
    assert await watch.read() == {}
    monkeypatch.setattr(Odd, how, frozenset())
    assert values(await watch.read()) == {PV: [361.0]}


@pytest.fixture
async def line(dcs, unit):
    """To a plant that has the temperature alone."""
    server = unit.settings.server.model_copy(update={"url": dcs.url})
    settings = unit.settings.model_copy(update={"server": server})
    lonely = replace(unit, settings=settings, security=None, user=None, password=None)
    made = PlantLine(lonely, lambda: None, lambda: None)
    work = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


@pytest.mark.parametrize("how", ["unanswered", "short"])
async def test_a_unit_is_connected_whatever_becomes_of_its_limits(dcs, line, monkeypatch, how):
    monkeypatch.setattr(plant_line, "LIMITS_S", 0.5)
    monkeypatch.setattr(Odd, how, frozenset({"BrowseResponse"}))
    await until(lambda: line.connected, 20.0, "connected")
    since = line.since_s
    await asyncio.sleep(1.5)
    await dcs.pv.write_value(355.0)
    await until(lambda: line.image.value(PV) == 355.0, 20.0, "the value")
    assert line.limits == {}
    monkeypatch.setattr(Odd, how, frozenset())
    await until(lambda: values(line.limits) == {PV: [361.0]}, 20.0, "the limits")
    assert (line.connected, line.since_s) == (True, since)
    assert line.sources == {PV: dcs.pv.nodeid.to_string()}
    await dcs.server.stop()
    await until(lambda: not line.connected, 20.0, "the loss")
