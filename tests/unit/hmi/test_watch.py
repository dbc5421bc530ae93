"""Units watched side by side: what is wrong with one is told of that one."""

import asyncio
import contextlib
import json
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from controller.hmi import watch as module
from controller.hmi.hub import Hub
from controller.hmi.plant_line import LONGEST_PROBLEM, PlantLine, shown
from controller.hmi.watch import FAULTED, Station

NOWHERE = "opc.tcp://127.0.0.1:1"


@pytest.fixture
def lonely(unit):
    """Makes units whose plant cannot be reached."""
    server = unit.settings.server.model_copy(update={"url": NOWHERE})
    settings = unit.settings.model_copy(update={"server": server})
    return lambda name: replace(unit, name=name, settings=settings, security=None)


async def told(hub, name, words):
    async with asyncio.timeout(20.0):
        while words not in (hub.text(f"unit/{name}") or ""):  # noqa: ASYNC110 - a hub has no event
            await asyncio.sleep(0.02)


async def test_a_fault_of_one_unit_is_its_own_and_passes(lonely, monkeypatch):
    monkeypatch.setattr(module, "FAULT_PAUSE_S", 0.5)
    hub = Hub(1)
    station = Station({"good": lonely("good"), "bad": lonely("bad")}, hub)
    work = asyncio.create_task(station.run())
    try:
        await told(hub, "bad", f"No connection to {NOWHERE}: ")
        station.watches["bad"].line.has_alarms = object()  # JSON knows none
        await told(hub, "bad", FAULTED)
        assert FAULTED not in hub.text("unit/good")
        before = hub._topics["unit/good"][0]
        station.watches["good"].line.fail("another reason")
        await told(hub, "good", "another reason")
        assert hub._topics["unit/good"][0] > before
        await told(hub, "bad", "Connect call failed")
        assert not work.done()
        assert len(json.loads(hub.text("units"))) == 2
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def test_a_unit_that_cannot_be_shown_at_first_ends_no_other(lonely, monkeypatch):
    """What fails before anything runs, and fails again when the fault is to be shown."""

    def broken(unit, seen):
        if unit.name == "bad":
            raise ZeroDivisionError
        return original(unit, seen)

    original = module.summary
    monkeypatch.setattr(module, "summary", broken)
    monkeypatch.setattr(module, "FAULT_PAUSE_S", 0.5)
    hub = Hub(1)
    station = Station({"bad": lonely("bad"), "good": lonely("good")}, hub)
    work = asyncio.create_task(station.run())
    try:
        await told(hub, "good", f"No connection to {NOWHERE}: ")
        assert not work.done()
        station.tell()
        assert [unit["unit"] for unit in json.loads(hub.text("units"))] == ["good"]
        monkeypatch.setattr(module, "summary", original)
        await told(hub, "bad", f"No connection to {NOWHERE}: ")
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def test_an_end_in_the_midst_of_a_fault_is_an_end(lonely, monkeypatch):
    """Else the HMI does not stop."""
    hanging = asyncio.Event()

    async def slow_to_end(_):
        try:
            await asyncio.Event().wait()
        finally:
            hanging.set()
            await asyncio.sleep(0.2)

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(module, "FAULT_PAUSE_S", 0.0)
    monkeypatch.setattr(PlantLine, "run", slow_to_end)
    monkeypatch.setattr(module, "summary", broken)
    station = Station({"bad": lonely("bad")}, Hub(1))
    work = asyncio.create_task(station.run())
    async with asyncio.timeout(10.0):
        await hanging.wait()
    work.cancel()
    done, _ = await asyncio.wait([work], timeout=3.0)
    try:
        assert done
    finally:
        monkeypatch.undo()
        while not work.done():  # a group that is ending cancels nothing again
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(1.0)


def test_a_servers_words_are_printable_and_short():
    words = shown("\x1b[2J\udce4" + "x" * 10_000)
    assert words.startswith("\\x1b[2J\\udce4x")
    assert len(words) == LONGEST_PROBLEM
    assert words.isprintable()


async def test_the_reason_of_a_lost_line_is_cleaned(lonely, monkeypatch):
    """Its folders are for the log alone."""

    async def session(_):
        return "not in /etc/trimtab/pki/trusted \udce4\x1b"

    monkeypatch.setattr(PlantLine, "_session", session)
    line = PlantLine(lonely("U1"), lambda: None, lambda: None)
    with capture_logs() as lines:
        work = asyncio.create_task(line.run())
        await asyncio.sleep(0)
        work.cancel()
    assert line.problem == "not in trusted \\udce4\\x1b"
    assert lines[0]["reason"] == "not in /etc/trimtab/pki/trusted \\udce4\\x1b"
