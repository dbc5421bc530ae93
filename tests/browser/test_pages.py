"""Every page: shows what it is for, fits a phone, can be read by everybody, asks nobody else."""

import pytest
import pytest_asyncio

from tests.browser.hmi import EVIL, VARIANTS

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = {
    "overview": ("/", "article[data-unit=R101] .value"),
    "unit": ("/units/R101", "section[data-tag=Temperature] canvas"),
    "unit-lost": ("/units/R102", ".side .problem"),
    "alarms": ("/alarms", "#alarms table"),
    "model": ("/units/R101/model", "#model .card-text"),
    "history": ("/units/R101/history", "#history canvas"),
    "runs": ("/units/R101/runs", "#runs td a"),
    "run": ("/units/R101/runs/1", "#scans td a"),
    "scan": ("/units/R101/runs/1/scans/3", "#scan table"),
    "login": ("/login", "#user"),
}
FIRST_LOAD_BYTES = 150_000


@pytest.fixture(params=VARIANTS)
def variant(request):
    return request.param, VARIANTS[request.param]


@pytest_asyncio.fixture(loop_scope="session", params=PAGES)
async def whole(request, variant, view, picture, in_auto):  # noqa: ARG001 - a unit at work
    """Each page in each variant, shown."""
    path, content = PAGES[request.param]
    shade, context = variant
    viewer = await view(path, **context)
    await viewer.shown(content)
    await viewer.says("#link", "^live$")
    await picture(viewer, f"{request.param}-{shade}")
    return viewer


async def test_page_fits_and_is_accessible(whole, variant, axe):
    viewer, (shade, _) = whole, variant
    assert await viewer.page.locator("h1").count() == 1
    theme = "dark" if "dark" in shade else "light"
    assert await viewer.page.evaluate("document.documentElement.dataset.theme") == theme
    wide, room = await viewer.page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= room
    await viewer.page.evaluate(axe)
    found = await viewer.page.evaluate("axe.run()")
    assert len(found["passes"]) > 10
    grave = [
        (item["id"], [node["html"] for node in item["nodes"]])
        for item in found["violations"]
        if item["impact"] in {"serious", "critical"}
    ]
    assert grave == []


async def test_first_load_of_overview_and_unit_page_is_small(view):
    viewer = await view("/login")
    line = await viewer.page.context.new_cdp_session(viewer.page)
    received = []
    line.on("Network.dataReceived", lambda event: received.append(event["encodedDataLength"]))
    line.on("Network.responseReceived", lambda event: received.append(headers(event)))
    await line.send("Network.enable")
    await line.send("Network.setCacheDisabled", {"cacheDisabled": True})
    await viewer.go("/")
    await viewer.shown("article[data-unit=R101] .value")
    await viewer.go("/units/R101")
    await viewer.shown("section[data-tag=Temperature] canvas")
    print(f"first load of overview and unit page: {sum(received)} bytes")  # noqa: T201
    assert 20_000 < sum(received) < FIRST_LOAD_BYTES


def headers(event) -> int:
    return int(event["response"].get("encodedDataLength", 0))


@pytest.mark.usefixtures("in_auto")
async def test_overview_shows_what_the_plant_says(view, operator):
    viewer = await view("/")
    await viewer.says("article[data-unit=R101] .mode", "^AUTO$")
    await viewer.says("#totals", r"^2 units: .*1 without connection")
    card = "article[data-unit=R101] [data-tag=Temperature]"
    setpoint = await operator.get("R101/SP/Temperature")
    await viewer.says(f"{card} .sp-value", f"SP {setpoint:.2f}")
    shown = float(await viewer.text(f"{card} .value"))
    assert shown == pytest.approx(await operator.get("R101/PV/Temperature"), abs=10.0)
    await viewer.says(f"{card} .limits", "320 to 365 K; ceiling 362 K, H 361 K, HH 365 K")
    await viewer.says("article[data-unit=R102] .problem", "No connection to opc.tcp://127.0.0.1:9")


@pytest.mark.usefixtures("in_auto")
async def test_unit_page_shows_moves_certificate_lamps_and_scan(view):
    viewer = await view("/units/R101")
    await viewer.says(".side .mode", "^AUTO$")
    await viewer.says(".side .reason", "certified move is written")
    for figure in ("policy", "corrected", "applied", "actual"):
        await viewer.says(f"section[data-tag=InitiatorFeed] [data-figure={figure}]", r"^\d\.\d+$")
    await viewer.says(".verdict", "^certified$")
    await viewer.says(".lamps", "Permit")
    await viewer.says(".scan-words", r"[\d.]+ ms of \d+ ms")
    for lamp in ("Permit", "Request", "Active"):
        await viewer.says(f".lamps li:has-text('{lamp}')", f"{lamp}on")


@pytest.mark.usefixtures("in_auto")
async def test_limits_are_in_the_legend_the_table_and_what_is_read_out(view):
    viewer = await view("/units/R101")
    loop = "section[data-tag=Temperature]"
    await viewer.says(f"{loop} .legend", "PVSPceilingalarm limitrange")
    await viewer.page.locator(f"{loop} summary").click()
    await viewer.says(f"{loop} caption", "^Limits: ceiling 362 K, H 361 K, HH 365 K, ")
    label = await viewer.page.get_attribute(f"{loop} .chart", "aria-label")
    assert "H 361, HH 365" in label


async def test_history_picks_ranges_and_says_what_is_wrong(view):
    viewer = await view("/units/R101/history")
    await viewer.shown("#history canvas")
    await viewer.page.get_by_role("button", name="15 min").click()
    await viewer.says("#state", r"\d+ points")
    before = await viewer.page.input_value("#from")
    await viewer.page.click("#earlier")
    await viewer.page.wait_for_function(f"document.getElementById('from').value !== '{before}'")
    assert "from=" in viewer.page.url
    await viewer.page.fill("#to", "2020-01-01T00:00:00")
    await viewer.page.get_by_role("button", name="Show").click()
    await viewer.says("#state", "end must be later")


async def test_a_range_drawn_in_a_chart_is_looked_at(view):
    viewer = await view("/units/R101/history")
    await viewer.shown("#history canvas")
    before = await viewer.page.input_value("#from")
    box = await viewer.page.locator("#history .u-over").first.bounding_box()
    await viewer.page.mouse.move(box["x"] + 60, box["y"] + 50)
    await viewer.page.mouse.down()
    await viewer.page.mouse.move(box["x"] + 260, box["y"] + 60, steps=5)
    await viewer.page.mouse.up()
    await viewer.page.wait_for_function(f"document.getElementById('from').value !== '{before}'")
    assert await viewer.page.input_value("#from") > before


async def test_journal_leads_from_runs_to_a_scan(view):
    viewer = await view("/units/R101/runs")
    await viewer.page.locator("#runs td a").last.click()
    await viewer.says("h1", "Journal of run 1")
    await viewer.says("#events", "start|mode|operator")
    await viewer.says("#clock", r"^\d\d:\d\d:\d\d UTC([+-]\d\d:\d\d)?$")
    await viewer.page.fill("#goto-scan", "2")
    await viewer.page.get_by_role("button", name="Open").click()
    await viewer.says("h1", "Scan 2 of run 1")
    await viewer.says("#scan", "Corrected")
    await viewer.page.get_by_role("link", name="Next").click()
    await viewer.says("h1", "Scan 3 of run 1")
    await viewer.page.get_by_text("as JSON").click()
    await viewer.says(".record", '"scan_id": 3')


async def test_model_page_shows_card_envelope_and_novelty(view):
    viewer = await view("/units/R101/model")
    await viewer.says("#model .card-text h3", "polymer-cstr")
    await viewer.shown("#model .card-text table")
    await viewer.shown("#model .card-text li")
    await viewer.says("#model", r"novelty\s*[\d.]+")
    await viewer.says("#model [data-tag=Temperature]", r"^3\d\d\.\d+")


async def test_what_is_not_there_is_said_on_a_page(view):
    viewer = await view("/units/R999", forgiving=True)
    await viewer.says("main", "there is no unit 'R999'")
    await viewer.go("/units/R101/runs/99")
    await viewer.says("#state", "there is no run 99")


async def test_a_title_of_markup_is_text(view):
    viewer = await view("/")
    await viewer.says("article[data-unit=R102] h2", "^<img src=x onerror=")
    await viewer.go("/units/R102")
    assert await viewer.text("h1") == EVIL
    assert await viewer.page.get_attribute("body", "data-hurt") is None
