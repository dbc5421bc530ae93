"""What anybody sees: pages, JSON, the stream, and what is refused."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import ua

from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = (
    "/",
    "/alarms",
    "/login",
    "/units/R101",
    "/units/R101/model",
    "/units/R101/history",
    "/units/R101/runs",
    "/units/R101/runs/1",
    "/units/R101/runs/1/scans/0",
)
SERIES = {
    "pv/PolymerConc",
    "sp/PolymerConc",
    "pv/Temperature",
    "sp/Temperature",
    "scan_s",
    "deadline_s",
    *(
        f"{kind}/{mv}"
        for kind in ("policy", "corrected", "applied", "actual")
        for mv in ("InitiatorFeed", "CoolantTemperature")
    ),
}


def span(seconds=600):
    now = datetime.now(UTC)
    return {
        "from": (now - timedelta(seconds=seconds)).isoformat(),
        "to": (now + timedelta(seconds=60)).isoformat(),
    }


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_there_with_strict_headers(browser, path):
    answer = await browser.client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "<R101>" not in answer.text  # a title from outside is text, never markup
    assert "//" not in answer.text.replace("http://www.w3.org", "").split("<body", 1)[0]


async def test_all_units_and_one(world, browser):
    shown = await browser.json("/api/units")
    (unit,) = shown["units"]
    assert datetime.fromisoformat(shown["time"]).tzinfo is not None
    assert (unit["unit"], unit["title"], unit["connected"]) == ("R101", "Reactor <R101>", True)
    # the hand-shake alone tells the mode before the journal has been read
    view = await world.shown(
        browser, lambda view: view["controller"] == "running" and view["cvs"][1]["limits"]
    )
    assert view["mode"] == "MANUAL"
    assert "selected by the operator" in view["mode_text"]
    assert [cv["tag"] for cv in view["cvs"]] == ["PolymerConc", "Temperature"]
    assert all(cv["pv"] is not None and not cv["stale"] for cv in view["cvs"])
    assert all(mv["actual"] is not None for mv in view["mvs"])
    assert view["moves"][0]["corrected"] is not None
    assert view["moves"][0]["applied"] is None
    assert view["certificate"]["certified"] is True
    assert 0.0 < view["scan"]["deadline_s"] <= 0.25
    assert view["scan"]["duration_s"] > 0.0
    limits = [(limit["name"], limit["value"]) for limit in view["cvs"][1]["limits"]]
    assert limits == [("H", 361.0), ("HH", 365.0)]  # the properties of the plant's conditions
    assert view["cvs"][0]["limits"] == []
    lamps = {lamp["name"]: lamp["on"] for lamp in view["handshake"]}
    assert (lamps["permit"], lamps["active"], lamps["heartbeat_out"]) == (True, False, True)
    limits = {item["tag"]: (item["low"], item["high"]) for item in view["actions"]["setpoints"]}
    assert limits["Temperature"] == (300.0, 360.0)  # EURange of the server
    assert view["missing"] == []


async def test_a_change_is_seen_by_every_viewer(world, browser):
    async with (
        world.hmi.browser() as other,
        world.plant.login("operator") as operator,
        browser.stream(unit="R101") as first,
        other.stream() as second,
    ):
        names = {(await anext(first))[0] for _ in range(3)}
        assert names == {"unit", "units", "alarms"}
        assert (await anext(second))[0] == "units"
        await operator.put("R101/SP/Temperature", 351.25, ua.VariantType.Double)

        async def sees(stream, pick):
            async for name, document in stream:
                unit = pick(name, document)
                if unit is not None and unit["cvs"][1]["sp"] == 351.25:
                    break

        async with asyncio.timeout(15):
            await asyncio.gather(
                sees(first, lambda name, found: found if name == "unit" else None),
                sees(second, lambda name, found: found[0] if name == "units" else None),
            )
        await operator.put("R101/SP/Temperature", 350.0, ua.VariantType.Double)


async def test_viewers_are_limited(browser):
    streams = []
    try:
        while len(streams) < 20:
            context = browser.client.stream("GET", "/api/stream")
            answer = await context.__aenter__()
            streams.append(context)
            if answer.status_code != 200:
                break
        assert answer.status_code == 503
        assert "viewers" in json.loads(await answer.aread())["error"]
        assert len(streams) == 7
    finally:
        for context in streams:
            await context.__aexit__(None, None, None)

    async def room():
        async with browser.client.stream("GET", "/api/stream") as answer:
            return answer.status_code == 200

    await until(room, 5.0, "room for a viewer again")


async def test_the_trend_has_every_series(browser):
    trend = await browser.json("/api/units/R101/trend", seconds=60, points=50)
    assert set(trend["series"]) == SERIES
    assert 1 < len(trend["time"]) <= 50
    assert all(len(values) == len(trend["time"]) for values in trend["series"].values())
    assert trend["series"]["pv/Temperature"][-1] == pytest.approx(350.0, abs=30.0)
    assert trend["series"]["applied/InitiatorFeed"][-1] is None


async def test_history_comes_from_the_plant(browser):
    async def told():
        history = await browser.json("/api/units/R101/history", **span(), points=100)
        values = [v for v in history["series"]["pv/Temperature"] if v is not None]
        return history if len(values) > 2 else None

    history = await until(told, 15.0, "history")
    assert set(history["series"]) == {
        name for name in SERIES if name.split("/")[0] in {"pv", "sp", "actual", "applied"}
    }
    assert (history["missing"], history["sampled"]) == ([], False)
    assert len(history["time"]) == 100
    known = {value for value in history["series"]["sp/Temperature"] if value is not None}
    assert known <= {350.0, 351.25}
    assert 350.0 in known
    assert history["series"]["sp/Temperature"][-1] is None  # not yet
    again = await browser.json("/api/units/R101/history", **span(), points=10)
    assert len(again["time"]) == 10


async def test_the_model(browser):
    model = await browser.json("/api/units/R101/model")
    assert (model["name"], model["sample_time_s"]) == ("polymer-cstr", 300.0)
    assert len(model["sha256"]) == 64
    assert model["card"][0][0] == "h3"
    assert model["card"][0][1].startswith("polymer-cstr")
    assert "table" in {part[0] for part in model["card"]}
    assert [row["tag"] for row in model["envelope"]] == ["PolymerConc", "Temperature"]
    assert len(model["envelope_sides"][0]["normal"]) == 2
    assert model["novelty"] is not None


async def test_runs_scans_and_one_scan(world, browser):
    runs = (await browser.json("/api/units/R101/runs"))["runs"]
    assert (runs[-1]["id"], runs[-1]["auto_scans"]) == (1, 0)
    assert isinstance(runs[-1]["overruns"], int)
    scans = f"/api/units/R101/runs/{runs[0]['id']}/scans"
    page = await browser.json(scans, limit=3)
    assert len(page["scans"]) == 3
    numbers = [row["scan"] for row in page["scans"]]
    assert numbers == sorted(numbers, reverse=True)
    following = await browser.json(scans, limit=3, before=page["next"])
    assert following["scans"][0]["scan"] == numbers[-1] - 1
    one = await browser.json(f"{scans}/{numbers[0]}")
    assert one["scan_id"] == numbers[0]
    assert {"state", "stage_s", "request"} <= set(one)
    journal = world.controller.journal.read_bytes()
    assert journal  # read only: the controller's file is not the HMI's to change
    assert isinstance((await browser.json("/api/alarms"))["alarms"], list)


async def test_long_answers_are_compressed_and_static_files_kept(browser):
    answer = await browser.client.get("/api/units/R101")
    assert answer.headers["content-encoding"] == "gzip"
    page = (await browser.client.get("/")).text
    icon = await browser.client.get("/favicon.ico")
    assert icon.headers["content-type"] == "image/svg+xml"
    plain = await browser.client.get("/static/favicon.svg")
    assert plain.headers["cache-control"] == "no-cache"
    same = await browser.client.get(
        "/static/favicon.svg", headers={"If-None-Match": plain.headers["etag"]}
    )
    assert same.status_code == 304
    from controller.hmi.pages import address

    named = await browser.client.get(address("favicon.svg"))
    assert "immutable" in named.headers["cache-control"]
    wrong = await browser.client.get("/static/favicon.svg?v=0")
    assert "immutable" not in wrong.headers["cache-control"]
    assert page


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/units/R102", 404),
        ("/api/units/%3Cscript%3E", 404),
        ("/api/nothing", 404),
        ("/api/units?x=1", 400),
        ("/api/units/R101/trend?seconds=x", 400),
        ("/api/units/R101/trend?seconds=0", 400),
        ("/api/units/R101/trend?seconds=1&seconds=2", 400),
        ("/api/units/R101/trend?seconds=99999999999999999999999", 400),
        ("/api/units/R101/history", 400),
        ("/api/units/R101/history?from=a&to=b", 400),
        ("/api/units/R101/history?from=2026-02-01&to=2026-01-01", 400),
        ("/api/units/R101/history?from=1026-02-01&to=2026-01-01", 400),
        ("/api/units/R101/history?from=2026-01-01&to=2026-01-02&points=1000000", 400),
        ("/api/units/R101/runs/x/scans", 400),
        ("/api/units/R101/runs/-1/scans", 400),
        ("/api/units/R101/runs/99/scans", 404),
        ("/api/units/R101/runs/1/scans/999999999", 404),
        ("/api/units/R101/runs/1/scans?limit=501", 400),
        ("/api/units/R101/runs/1/scans?before=1%20OR%201=1", 400),
        ("/api/stream?unit=nobody", 404),
        ("/static/%2e%2e/settings.py", 404),
        ("/static/..%2fsettings.py", 404),
        ("/static//etc/passwd", 404),
        ("/static/%00", 404),
        ("/static/" + "x" * 3000, 404),
        ("/api/actions/x", 405),
    ],
)
async def test_bad_questions_are_refused_in_words(browser, path, status):
    answer = await browser.client.get(f"{browser.client.base_url}".rstrip("/") + path)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    assert answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_raw_path_leads_nowhere_else(world):
    """As no client library would send it."""
    host, port = world.hmi.url.removeprefix("http://").split(":")
    for target in ("/static/../../../../etc/passwd", "/units/../../etc", "http://evil.example/"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        text = (await asyncio.wait_for(reader.read(), 5)).decode()
        writer.close()
        assert text.startswith("HTTP/1.1 404")
        assert "root:" not in text


@pytest.mark.parametrize("path", ["/nothing", "/units/R102", "/units/R101/runs/x"])
async def test_a_missing_page_is_a_page(browser, path):
    answer = await browser.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "there is no" in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
async def test_a_foreign_name_is_refused(browser, host):
    """A page elsewhere that lets its own name point here (DNS rebinding) gets nothing."""
    answer = await browser.client.get("/api/units", headers={"Host": host})
    assert answer.status_code == 421
    assert "error" in answer.json()
    own = await browser.client.get("/api/units", headers={"Host": "localhost:99"})
    assert own.status_code == 200


async def test_what_was_refused_is_in_the_log(world, browser):
    await browser.client.get("/api/units/missing-unit")
    text = world.hmi.log.read_text()
    assert '"path": "/api/units/missing-unit"' in text
    assert "Traceback" not in text
