"""Without a mouse, in the dark, and by ear."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_first_tab_skips_to_the_content_and_the_focus_is_visible(view):
    viewer = await view("/alarms")
    await viewer.says("#link", "^live$")
    await viewer.page.keyboard.press("Tab")
    assert await viewer.page.evaluate("document.activeElement.className") == "skip"
    assert (await viewer.page.locator(".skip").bounding_box())["y"] >= 0
    await viewer.page.keyboard.press("Enter")
    assert await viewer.page.evaluate("document.activeElement.id") == "main"
    await viewer.page.keyboard.press("Tab")
    width = await viewer.page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert width == "3px"


async def test_keys_lead_through_the_pages_and_can_be_switched_off(view, picture):
    viewer = await view("/")
    await viewer.says("#link", "^live$")
    await viewer.page.keyboard.press("?")
    await viewer.says("dialog", "Keyboard")
    await picture(viewer, "keyboard-light")
    await viewer.page.keyboard.press("Escape")
    await viewer.gone("dialog")
    await viewer.page.keyboard.press("a")
    await viewer.page.wait_for_url("**/alarms")
    await viewer.page.keyboard.press("o")
    await viewer.page.wait_for_url(f"{viewer.url}/")
    await viewer.go("/units/R101")
    for key, path in (("m", "/model"), ("h", "/history*"), ("r", "/runs"), ("u", "")):
        await viewer.says("#link", "^live$")
        await viewer.page.keyboard.press(key)
        await viewer.page.wait_for_url(f"**/units/R101{path}")
    await viewer.says("#link", "^live$")
    await viewer.page.keyboard.press("n")
    await viewer.page.wait_for_url("**/units/R102")
    await viewer.says("#link", "^live$")
    await viewer.page.keyboard.press("?")
    await viewer.page.locator("dialog input").uncheck()
    await viewer.page.keyboard.press("Escape")
    await viewer.gone("dialog")
    await viewer.page.keyboard.press("a")
    await viewer.page.wait_for_timeout(300)
    assert viewer.page.url.endswith("/units/R102")


async def test_keys_in_a_field_are_letters(view):
    viewer = await view("/alarms")
    await viewer.page.locator("#filter-text").press_sequentially("aoh")
    assert await viewer.page.input_value("#filter-text") == "aoh"
    assert viewer.page.url.endswith("/alarms")


async def test_a_trend_is_read_with_arrows_and_as_a_table(view):
    viewer = await view("/units/R101")
    trend = viewer.page.locator("section[data-tag=Temperature]")
    await trend.locator("canvas").first.wait_for()
    await viewer.says("section[data-tag=Temperature] .limits", "K")
    await trend.locator(".chart").focus()
    await viewer.page.keyboard.press("ArrowLeft")
    await viewer.page.keyboard.press("ArrowLeft")
    await viewer.says("section[data-tag=Temperature] .readout", r"\d\d:\d\d:\d\d\s+PV \d+")
    await viewer.says("#announce", r"PV \d+")
    label = await trend.locator(".chart").get_attribute("aria-label")
    assert label.startswith("Trend of Temperature, K: PV 3")
    await trend.locator("summary").focus()
    await viewer.page.keyboard.press("Enter")
    await viewer.says("section[data-tag=Temperature] table", r"PV \[K\]")
    assert await trend.locator("tbody tr").count() >= 2


async def test_the_dark_room_is_kept(view):
    viewer = await view("/")
    theme = "document.documentElement.dataset.theme"
    assert await viewer.page.evaluate(theme) == "light"
    await viewer.page.get_by_role("button", name="Dark room").click()
    assert await viewer.page.evaluate(theme) == "dark"
    await viewer.go("/units/R101")
    assert await viewer.page.evaluate(theme) == "dark"
    assert await viewer.page.get_attribute("#theme", "aria-pressed") == "true"


async def test_the_trend_window_is_kept(view):
    viewer = await view("/units/R101")
    await viewer.shown("section[data-tag=Temperature] canvas")
    await viewer.page.select_option("#window", "120")
    await viewer.page.locator("#full").check()
    await viewer.go("/units/R101")
    assert await viewer.page.input_value("#window") == "120"
    assert await viewer.page.locator("#full").is_checked()
