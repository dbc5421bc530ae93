"""The HMI outlives plant and controller, and says meanwhile what is the matter."""

import signal

import pytest

from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


def active(view) -> bool:
    return next(lamp["on"] for lamp in view["handshake"] if lamp["name"] == "active") is True


async def alarms(browser):
    return {alarm["name"]: alarm for alarm in (await browser.json("/api/alarms"))["alarms"]}


async def test_a_controller_that_dies_and_comes_back(world, operator):
    await world.shown(operator, lambda view: view["mode"] == "MANUAL")
    await operator.act(action="mode", value="AUTO")
    await world.shown(operator, active, what="the DCS follows")
    world.controller.process.popen.send_signal(signal.SIGKILL)
    world.controller.process.popen.wait()

    view = await world.shown(operator, lambda view: view["controller"] == "silent")
    assert view["mode_stale"] is True
    assert "silent" in view["mode_text"]
    assert view["connected"] is True

    async def raised():
        return (await alarms(operator)).get("ShedEvent")

    alarm = await until(raised, 30.0, "the alarm of a shed")
    assert (alarm["state"], alarm["priority"]) == ("unacknowledged", "medium")
    shed = next(item for item in (await operator.unit())["handshake"] if item["name"] == "shed")
    assert shed["on"] is True
    assert alarm["message"] == "APC shed: " + shed["text"]
    text = await operator.act(action="acknowledge", alarm=alarm["id"], comment="<b>seen</b>")
    assert text == "Reactor <R101>: ShedEvent is acknowledged"

    async def acknowledged():
        found = (await alarms(operator))["ShedEvent"]
        return found["state"] == "acknowledged" and found["comment"] == "<b>seen</b>"

    await until(acknowledged, 15.0, "the acknowledgement is told")
    refused = await operator.ask(action="acknowledge", alarm=alarm["id"])
    assert refused.status_code == 409
    await operator.act(action="acknowledge_shed")

    async def over():
        return "ShedEvent" not in await alarms(operator)

    await until(over, 15.0, "the shed is acknowledged")
    run = view["scan"]["run"]
    await world.controller.start()
    view = await world.shown(operator, lambda view: view["controller"] == "running")
    assert view["scan"]["run"] == run + 1
    runs = (await operator.json("/api/units/R101/runs"))["runs"]
    assert [item["id"] for item in runs] == [run + 1, run]
    assert runs[1]["reason"] == "ended without a word"


async def test_an_orderly_end_is_told(world, browser):
    assert await world.controller.process.end(signal.SIGINT) == 0
    view = await world.shown(browser, lambda view: view["controller"] == "stopped")
    assert "controller stopped" in view["mode_text"]
    await world.controller.start()
    await world.shown(browser, lambda view: view["controller"] == "running")


async def test_a_plant_that_goes_and_comes_back(world, operator):
    async with operator.stream(unit="R101") as stream:
        await world.plant.stop()
        async for name, document in stream:
            if name == "unit" and not document["connected"]:
                break
        assert "No connection" in document["link_text"]
        assert all(cv["stale"] for cv in document["cvs"])
        assert document["cvs"][0]["pv"] is not None
        assert all(lamp["on"] is None for lamp in document["handshake"])

        answer = await operator.ask(action="mode", value="AUTO")
        assert answer.status_code == 401
        history = await operator.client.get(
            "/api/units/R101/history",
            params={"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"},
        )
        assert history.status_code == 502
        assert "no connection" in history.json()["error"]
        login = await operator.login("operator", "whatever it is")
        assert login.status_code == 502

        await world.start_plant()
        async for name, document in stream:
            if name == "unit" and document["connected"]:
                break
        assert not any(cv["stale"] for cv in document["cvs"])
    again = await operator.login("operator", world.plant.password("operator"))
    assert again.status_code == 200
    await world.shown(operator, lambda view: view["controller"] == "running")
    await operator.act(action="mode", value="SHADOW")
    await operator.act(action="mode", value="MANUAL")


async def test_an_hmi_that_ends_leaves_nothing(world, operator):
    """The plant has one session less for each login, and the controller never noticed."""
    await operator.load()
    assert await world.hmi.stop() == 0
    text = world.hmi.log.read_text()
    assert "Traceback" not in text
    assert '"reason": "the HMI ends"' in text
    await world.hmi.start()
    async with world.hmi.browser() as browser:
        await world.shown(browser, lambda view: view["controller"] == "running")
        trend = await browser.json("/api/units/R101/trend", seconds=3600)
        assert len(trend["time"]) > 10  # of the journal: this HMI is seconds old
    answer = await _gone(world, operator)
    assert answer == 401


async def _gone(world, operator) -> int:
    """A cookie of the HMI before counts for nothing in the one after."""
    async with world.hmi.browser() as browser:
        browser.client.cookies = operator.client.cookies
        await browser.load()
        return (await browser.ask(action="mode", value="AUTO")).status_code
