"""What an operator does on the pages, and what others cannot."""

import pytest
import pytest_asyncio
from asyncua import ua

from tests.browser.hmi import EVIL, PHONE, Hmi

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def confirm(viewer, question: str) -> None:
    """The second step of an action; the dialog says what would be done."""
    await viewer.says("dialog .question", question)
    await viewer.page.get_by_role("button", name="Confirm").click()
    await viewer.gone("dialog")


async def inject(plant, kind: str, magnitude: float = 0.0) -> None:
    """Give the thermometer a fault for a day of plant time, or take it away."""
    async with plant.login("engineer") as engineer:
        await engineer.call(
            "Sim/InjectFault",
            ua.Variant("R101/PV/Temperature", ua.VariantType.String),
            ua.Variant(kind, ua.VariantType.String),
            ua.Variant(magnitude, ua.VariantType.Double),
            ua.Variant(86400.0, ua.VariantType.Double),
        )


@pytest_asyncio.fixture(loop_scope="session")
async def brief(plant, controller, tmp_path):
    """An HMI whose logins end after three idle seconds."""
    running = Hmi(tmp_path, plant.password("observer"), idle_s=3.0)
    running.configure([("R101", "R101", controller.config)])
    await running.start()
    yield running
    await running.end()


@pytest_asyncio.fixture(loop_scope="session")
async def others(plant, controller, tmp_path):
    """An HMI of one plant twice, as if the second knew other users."""
    running = Hmi(tmp_path, plant.password("observer"))
    running.configure([("R101", "R101", controller.config), ("R103", EVIL, controller.config)])
    with running.settings.open("a", encoding="utf-8") as file:
        file.write('users = "theirs"\n')  # in the table of the last unit
    await running.start()
    yield running
    await running.end()


async def test_without_login_everything_is_shown_and_nothing_can_be_done(view):
    viewer = await view("/units/R101")
    await viewer.says("#controls-why", "Read-only: log in")
    await viewer.shown(".modes button")
    controls = viewer.page.locator(".modes button, .setpoint input, .setpoint button")
    assert await controls.count() >= 7
    for place in range(await controls.count()):
        assert await controls.nth(place).is_disabled()
        assert await controls.nth(place).get_attribute("aria-describedby") == "controls-why"


async def test_wrong_login_is_refused_and_the_right_one_leads_back(view, as_operator):
    viewer = await view("/units/R101", forgiving=True)
    await viewer.page.get_by_role("link", name="Log in").click()
    await viewer.page.fill("#user", "operator")
    await viewer.page.fill("#password", "wrong")
    await viewer.page.click("#login button")
    await viewer.says("#problem", "wrong name or password")
    assert await viewer.page.input_value("#password") == ""
    await viewer.page.fill("#password", as_operator[1])
    await viewer.page.click("#login button")
    await viewer.page.wait_for_url("**/units/R101")
    await viewer.says("#session", "operator")
    await viewer.page.get_by_role("button", name="Log out").click()
    await viewer.says("#session", "Log in")
    await viewer.says("#controls-why", "Read-only: log in")


async def test_the_login_asks_which_plant_where_their_users_are_others(others, view, as_operator):
    viewer = await view("/login?next=/units/R103", at=others)
    page = viewer.page
    options = await page.locator("#unit option").all_inner_texts()
    assert options == ["Choose the plant", "R101", EVIL]
    assert await page.input_value("#unit") == "R103"
    await page.fill("#user", as_operator[0])
    await page.fill("#password", as_operator[1])
    await page.click("#login button")
    await page.wait_for_url("**/units/R103")
    await viewer.says("#session", "operator")
    await viewer.shown(".modes button:enabled")
    await viewer.go("/units/R101")
    await viewer.says("#controls-why", "operator is not logged in on R101")


async def test_no_password_goes_to_a_plant_that_nobody_chose(others, view, as_operator):
    viewer = await view("/login", at=others)
    page = viewer.page
    assert await page.input_value("#unit") == ""
    assert await page.evaluate("document.activeElement.id") == "unit"
    fields = (
        "[...document.querySelectorAll('#login select, #login input')].map((field) => field.id)"
    )
    assert await page.evaluate(fields) == ["unit", "user", "password"]
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    await page.fill("#user", as_operator[0])
    await page.fill("#password", as_operator[1])
    await page.click("#login button")
    assert await page.evaluate("document.getElementById('unit').matches(':invalid')")
    await page.get_by_label("Plant").select_option("R101")
    assert [url for url in asked if "/api/login" in url] == []
    await page.click("#login button")
    await page.wait_for_url(f"{viewer.url}/")
    await viewer.says("#session", "operator")


@pytest.mark.parametrize("wanted", ["//example.org/", "/.//example.org/login"])
async def test_login_leads_to_no_other_site(view, as_operator, wanted):
    viewer = await view(f"/login?next={wanted}", login=None)
    await viewer.page.fill("#user", as_operator[0])
    await viewer.page.fill("#password", as_operator[1])
    await viewer.page.click("#login button")
    await viewer.page.wait_for_url(f"{viewer.url}/")


async def test_an_observer_sees_why_controls_are_off(view, plant):
    viewer = await view("/units/R101", login=("observer", plant.password("observer")))
    await viewer.says("#controls-why", "The plant does not permit observer to select the mode")
    assert await viewer.page.locator(".modes button").first.is_disabled()


@pytest.mark.usefixtures("in_auto")
async def test_mode_changes_in_two_steps(view, as_operator, operator, axe, picture):
    viewer = await view("/units/R101", login=as_operator)
    shadow = viewer.page.get_by_role("button", name="SHADOW")
    await shadow.click()
    await viewer.says("dialog .question", "Mode of R101 from AUTO to SHADOW")
    await viewer.says("dialog", "ends in \\d+ s")
    await picture(viewer, "confirm-light")
    await viewer.page.evaluate(axe)
    found = await viewer.page.evaluate("axe.run('dialog')")
    assert [item["id"] for item in found["violations"]] == []
    assert await viewer.page.evaluate("document.activeElement.textContent") == "Cancel"
    await viewer.page.keyboard.press("Escape")
    await viewer.gone("dialog")
    assert await operator.get("APC/Mode") == 2
    await shadow.click()
    await confirm(viewer, "from AUTO to SHADOW")
    await viewer.says(".done", "SHADOW is selected")
    await operator.wait("APC/Mode", 1)
    await viewer.says(".side .mode", "^SHADOW$")
    await viewer.says("#announce", "mode SHADOW")
    await viewer.page.get_by_role("button", name="AUTO").click()
    await confirm(viewer, "from SHADOW to AUTO")
    await viewer.says(".side .mode", "^AUTO$")


async def test_setpoint_changes_in_two_steps_and_the_model_warns(view, as_operator, operator):
    viewer = await view("/units/R101", login=as_operator)
    before = await operator.get("R101/SP/Temperature")
    form = viewer.page.locator(".setpoint", has=viewer.page.locator("#setpoint-Temperature"))
    await form.locator("input").fill("999")
    await form.locator("button").click()
    assert await viewer.page.locator("dialog").count() == 0, "the browser refuses it"
    await form.locator("input").fill("305")
    await form.locator("button").click()
    await viewer.says("dialog .question", "The model will not track it")
    await viewer.page.get_by_role("button", name="Cancel").click()
    await viewer.gone("dialog")
    assert await operator.get("R101/SP/Temperature") == before
    await form.locator("input").fill("351.5")
    await form.locator("input").press("Enter")
    await confirm(viewer, "Set Temperature of R101 from .* to 351.5")
    await operator.wait("R101/SP/Temperature", 351.5)
    await viewer.says("section[data-tag=Temperature] .sp-value", "SP 351.50")
    await operator.put("R101/SP/Temperature", before, ua.VariantType.Double)


@pytest.mark.usefixtures("in_auto")
async def test_a_shed_and_its_alarm_are_acknowledged_and_their_words_are_text(
    view, as_operator, operator
):
    viewer = await view("/units/R101", login=as_operator)
    await viewer.says(".side .mode", "^AUTO$")
    await operator.call("APC/Shed", EVIL)
    await viewer.says(".side .mode", "^SHED$")
    await viewer.says(".lamps li:has-text('Shed')", "<img src=x onerror=")
    await viewer.go("/alarms")
    await viewer.says("#alarms tr:has-text('ShedEvent')", "APC shed.*<img src=x onerror=")
    await viewer.go("/units/R101")
    await viewer.page.get_by_role("button", name="Acknowledge shed").click()
    await confirm(viewer, "Acknowledge the shed of R101.*<img src=x")
    await operator.wait("APC/ShedReason", "")
    await viewer.go("/alarms")
    row = viewer.page.locator("#alarms tr", has_text="ShedEvent")
    await row.get_by_role("button", name="Acknowledge").click()
    await viewer.page.fill("#comment", EVIL)
    await viewer.page.get_by_role("button", name="Continue").click()
    await confirm(viewer, "Acknowledge ShedEvent of R101")
    await row.wait_for(state="hidden")
    await operator.wait("R101/Alarms/ShedEvent/Acked", value=True)
    await viewer.go("/units/R101/runs/1")
    await viewer.shown("#scans td a")
    for page in ("/", "/units/R101", "/units/R101/runs/1", "/alarms"):
        await viewer.go(page)
        await viewer.says("#link", "^live$")
        assert await viewer.page.get_attribute("body", "data-hurt") is None
        assert await viewer.page.locator("main img").count() == 0


@pytest.mark.usefixtures("in_auto")
async def test_alarms_are_sorted_filtered_and_a_comment_of_markup_is_text(
    view, as_operator, operator, plant, picture
):
    await inject(plant, "bad_quality")
    viewer = await view("/alarms", login=as_operator)
    row = viewer.page.locator("#alarms tr", has_text="BadPV")
    await row.wait_for()
    await picture(viewer, "alarms-standing-light")
    await viewer.page.select_option("#filter-priority", "high")
    await row.wait_for(state="hidden")
    await viewer.page.select_option("#filter-priority", "")
    await viewer.page.fill("#filter-text", "no such words")
    await viewer.says("#alarms", "No alarm")
    await viewer.page.fill("#filter-text", "badpv")
    await viewer.page.get_by_role("button", name="Priority").click()
    order = viewer.page.locator("#alarms th", has_text="Priority")
    assert await order.get_attribute("aria-sort") == "ascending"
    await row.get_by_role("button", name="Acknowledge").click()
    await viewer.page.fill("#comment", EVIL)
    await viewer.page.get_by_role("button", name="Continue").click()
    await confirm(viewer, "Acknowledge BadPV of R101")
    await operator.wait("R101/Alarms/BadPV/Acked", value=True)
    await viewer.says("#alarms tr:has-text('BadPV')", "active, acknowledged")
    await viewer.says("#alarms tr:has-text('BadPV')", "<img src=x onerror=")
    assert await viewer.page.get_attribute("body", "data-hurt") is None
    await viewer.go("/units/R101")
    await viewer.says("section[data-tag=Temperature] .stale-note", "bad|stale")
    await inject(plant, "clear")
    await viewer.says("section[data-tag=Temperature] .stale-note", "^$")


@pytest.mark.usefixtures("in_auto")
async def test_an_alarm_of_a_limit_stands_beside_its_value(view, operator, plant):
    viewer = await view("/units/R101")
    beside = "section[data-tag=Temperature] .value-alarm"
    await inject(plant, "spike", 361.8 - await operator.get("Sim/Truth/Temperature"))
    await viewer.says(beside, "T_H, medium, (unacknowledged|returned)$")
    await viewer.shown(f"{beside} .mark.medium")
    await inject(plant, "clear")
    await operator.wait("R101/Alarms/T_H/Active", value=False, seconds=30.0)
    await viewer.says(beside, "T_H, medium, returned$")


async def test_a_session_that_ended_is_told_and_controls_go_off(view, brief, as_operator):
    viewer = await view("/units/R101", at=brief, login=as_operator, forgiving=True)
    await viewer.says("#session", "operator")
    await viewer.says("#notice", "session ends in \\d s")
    await viewer.says("#notice", "Your session is over")
    await viewer.says("#controls-why", "Your session is over")
    assert await viewer.page.locator(".modes button").first.is_disabled()


async def test_a_phone_can_act(view, as_operator, operator):
    viewer = await view("/units/R101", login=as_operator, **PHONE)
    selected = await operator.get("APC/Mode")
    await viewer.page.get_by_role("button", name="MANUAL").tap()
    await confirm(viewer, "to MANUAL")
    await operator.wait("APC/Mode", 0)
    await operator.select(selected)
