"""A DCS with habits that a controller must live with; one server has them all.

Few operations in a request, few references in an answer, slow subscriptions, a clock of its own,
times left out or refused.
"""

import asyncio
import re

import pytest
from typer.testing import CliRunner

from controller.cli import main
from tests.interop.conftest import AHEAD_S, BULK, LIMIT, Controller, checked

SCANS = 5


@pytest.fixture
def plant(habits_plant):
    return habits_plant


def browse(plant, out, *more):
    argv = ["tags", "browse", "--url", plant.url, "--insecure", "--out", str(out), *more]
    found = CliRunner().invoke(main, argv)
    assert found.exit_code == 0, found.output
    return out.read_text(encoding="utf-8")


def bulk(text):
    return {int(number) for number in re.findall(r"^## rk1\S*B(\d+)\s", text, re.MULTILINE)} or {
        int(number) for number in re.findall(r"s=RK1/B(\d+) ", text)
    }


def test_every_page_is_asked_for(plant, tmp_path):
    text = browse(plant, tmp_path / "tags.toml")
    assert bulk(text) == set(range(BULK))
    assert "not complete" not in text
    assert len(plant.events("browse_next")) >= BULK / LIMIT - 1
    assert "RK1/AIC4711" in text


def test_thousands_of_variables_are_walked_and_bounded(fast_plant, tmp_path):
    text = browse(fast_plant, tmp_path / "all.toml")
    assert bulk(text) == set(range(3000))
    assert "not complete" not in text
    text = browse(fast_plant, tmp_path / "some.toml", "--limit", "1000")
    assert len(bulk(text)) < 1000
    assert "not complete" in text


async def test_check_says_which_habits_there_are(plant, tmp_path):
    controller = Controller(tmp_path, plant)
    code, text = await asyncio.to_thread(checked, controller)
    assert code == 0, text
    for words in (
        f"{AHEAD_S} s ahead of this machine's",
        f"MaxNodesPerRead {LIMIT}: the image is read in 4 requests",
        "MaxNodesPerWrite 1: at most, a write goes out in 3 requests",
        f"MaxMonitoredItemsPerCall {LIMIT}",
        "published every 2 s, asked for",
    ):
        assert words in text, text
    assert "SourceTimestamp" not in text


async def test_auto_on_a_server_with_all_of_them(plant, make_controller):
    async with plant.operator() as operator:
        controller = make_controller(plant)
        await operator.select("REMOTE")
        await controller.reaches("AUTO")
        await stays_in_auto(controller)
        for times in ("server", "none"):
            await operator.put("OTS/Times", times)
            await stays_in_auto(controller)
        await operator.put("OTS/Times", "both")
        await operator.put("OTS/AnalyserAhead", 240.0)
        await stays_in_auto(controller)
        await operator.put("OTS/AnalyserAhead", -240.0)
        await controller.reaches("SHED")
        assert "dv.MonomerConc.pv stale" in controller.rows(1)[0]["reason"]
        await operator.put("OTS/AnalyserAhead", 0.0)
    assert {write["answer"] for write in plant.writes()} == {"Good"}
    assert all(len(entry["writes"]) == 1 for entry in plant.events("write"))


async def test_a_server_that_grants_no_subscription_is_polled(plant, make_controller):
    async with plant.operator() as operator:
        await operator.put("OTS/MostSubscriptions", 0.0)
        controller = make_controller(plant)
        await operator.select("REMOTE")
        await controller.reaches("AUTO")
        await stays_in_auto(controller)
        await operator.put("OTS/MostSubscriptions", 10.0)


async def stays_in_auto(controller):
    before = len(controller.rows())
    await asyncio.sleep((SCANS + 1) * controller.period_s)
    rows = controller.rows()[before:]
    assert len(rows) >= SCANS - 1
    assert {row["mode_after"] for row in rows} == {"AUTO"}, rows[-1]["reason"]


@pytest.mark.parametrize(
    ("tag", "value", "words"),
    [
        ("OTS/Times", "none", "no SourceTimestamp"),
        ("OTS/MostSubscriptions", 0.0, "none: BadTooManySubscriptions"),
        ("OTS/AnalyserAhead", 240.0, "SourceTimestamp 240 s ahead of the server's clock"),
        ("OTS/AnalyserAhead", -240.0, "240 s behind the newest of this server: stale for"),
    ],
)
async def test_check_says_what_it_finds(plant, tmp_path, tag, value, words):
    async with plant.operator() as operator:
        rest = await operator.get(tag)
        await operator.put(tag, value)
        await asyncio.sleep(0.2)
        code, text = await asyncio.to_thread(checked, Controller(tmp_path, plant))
        await operator.put(tag, rest)
    assert code == 0, text
    assert words in text, text
