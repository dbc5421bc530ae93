"""Several units in one HMI, one of them without a plant; histories longer than may be read."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from controller.hmi import history as module
from controller.hmi.fleet import prepare
from controller.hmi.history import History, HistoryError
from controller.hmi.operator_line import OperatorLine
from controller.hmi.plant_line import PlantLine
from controller.hmi.settings import for_units
from tests.integration.hmi.conftest import Hmi
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

THIRD = """
users = "ours"
[[units]]
name = "R103"
config = "controller.toml"
users = "theirs"
"""
SECOND = """
[[units]]
name = "R102"
config = "other.toml"
journal = "none/journal.db"
"""


async def connected(browser):
    """All units, once the first has its plant."""
    units = (await browser.json("/api/units"))["units"]
    return units if units and units[0]["connected"] else None


async def test_one_plant_that_is_down_does_not_hide_the_other(world, tmp_path):
    text = world.controller.config.read_text()
    (tmp_path / "controller.toml").write_text(text)
    (tmp_path / "other.toml").write_text(text.replace(world.plant.url, "opc.tcp://127.0.0.1:9"))
    hmi = Hmi(tmp_path, world.plant)
    await hmi.start(more=SECOND)
    try:
        async with hmi.browser() as browser:
            first, second = await until(lambda: connected(browser), 30.0, "R101 is connected")
            assert (second["unit"], second["connected"]) == ("R102", False)
            assert (second["controller"], second["mode"]) == ("unknown", None)
            assert first["cvs"][0]["pv"] is not None
            view = await browser.json("/api/units/R102")
            assert view["journal_text"] == "no journal yet"
            assert (await browser.json("/api/units/R102/runs"))["runs"] == []
            for _ in range(3):  # one plant says so, and the other cannot take it back
                answer = await browser.login("nobody", "a wrong password")
                assert answer.status_code == 401
            answer = await browser.login("nobody", "a wrong password")
            assert answer.status_code == 429
        assert await hmi.stop() == 0
        await hmi.start(more=SECOND)
        async with hmi.browser() as browser:
            await until(lambda: connected(browser), 30.0, "R101 is connected again")
            answer = await browser.login("operator", world.plant.password("operator"))
            told = answer.json()
            assert set(told["units"]) == {"R101"}
            assert set(told["refused"]) == {"R102"}
            body = {"action": "mode", "value": "AUTO"}
            answer = await browser.post("/api/units/R102/actions", body)
            assert answer.status_code == 403
            assert "did not take the login" in answer.json()["error"]
        assert await hmi.stop() == 0
    finally:
        hmi.process.kill()


async def test_a_password_is_sent_to_the_plants_of_its_users_alone(world, tmp_path):
    """Two units of one plant, configured as if they knew different users."""
    (tmp_path / "controller.toml").write_text(world.controller.config.read_text())
    hmi = Hmi(tmp_path, world.plant)
    await hmi.start(more=THIRD)
    try:
        async with hmi.browser() as browser:
            page = await browser.client.get("/login")
            for value in ("R101", "R103"):
                assert f'<option value="{value}">' in page.text
            credentials = {"user": "operator", "password": world.plant.password("operator")}
            await browser.load()
            for more, status in (({}, 400), ({"unit": "R999"}, 404), ({"unit": 3}, 400)):
                answer = await browser.post("/api/login", {**credentials, **more})
                assert answer.status_code == status
            answer = await browser.post("/api/login", {**credentials, "unit": "R103"})
            assert (set(answer.json()["units"]), answer.json()["refused"]) == ({"R103"}, {})
            browser.csrf = answer.json()["csrf"]
            body = {"action": "mode", "value": "AUTO"}
            answer = await browser.post("/api/units/R101/actions", body)
            assert (answer.status_code, "log in there" in answer.json()["error"]) == (403, True)
            answer = await browser.post("/api/units/R103/actions", body)
            assert answer.status_code == 200
            answer = await browser.post("/api/actions/made-up")
            assert answer.status_code == 404
        assert [entry["outcome"] for entry in hmi.audit() if entry["event"] == "action"] == [
            "not possible",
            "nothing to confirm",
        ]
        assert await hmi.stop() == 0
    finally:
        hmi.process.kill()


async def test_a_session_keeps_no_password(world, monkeypatch):
    monkeypatch.setenv("TRIMTAB_HMI_PASSWORD", world.plant.password("observer"))
    (unit,) = prepare(for_units([world.controller.config], None)).values()
    line = await OperatorLine.open(unit, "operator", world.plant.password("operator"))
    try:
        assert "mode" in line.permits
        assert line._client._password == ""
    finally:
        await line.close()


async def test_a_long_history_is_sampled(world, monkeypatch):
    monkeypatch.setenv("TRIMTAB_HMI_PASSWORD", world.plant.password("observer"))
    (unit,) = prepare(for_units([world.controller.config], None)).values()
    line = PlantLine(unit, lambda: None, lambda: None)
    history = History(unit, line)
    now = datetime.now(UTC)
    with pytest.raises(HistoryError, match="no connection"):
        await history.read(now - timedelta(seconds=60), now, 20)
    task = asyncio.create_task(line.run())
    try:

        async def connected():
            return line.connected

        await until(connected, 30.0, "connected")
        await asyncio.sleep(1.0)
        end = datetime.now(UTC)
        start = end - timedelta(seconds=30)
        whole = await history.read(start, end, 40)
        assert whole["sampled"] is False
        monkeypatch.setattr(module, "PAGE", 2)
        monkeypatch.setattr(module, "MOST_VALUES", 4)
        history = History(unit, line)
        sampled = await history.read(start, end, 40)
        assert sampled["sampled"] is True
        for name in ("pv/Temperature", "sp/Temperature"):
            known = [value for value in sampled["series"][name] if value is not None]
            assert known
            assert all(300.0 < value < 400.0 for value in known)
        assert await history.read(start, end, 40) is sampled  # kept for the next who asks
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
