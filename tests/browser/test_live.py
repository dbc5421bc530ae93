"""Live values: how soon they are shown, and what is shown when something ends and comes back."""

import asyncio
import signal
import time

import pytest
from asyncua import ua

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIVE_S = 1.5
TRIES = 5


async def test_a_value_changed_in_the_plant_is_shown_within_a_second_and_a_half(view, operator):
    viewer = await view("/units/R101")
    selector = "section[data-tag=PolymerConc] .sp-value"
    before = await operator.get("R101/SP/PolymerConc")
    await viewer.says(selector, f"SP {before:.1f}")
    took = []
    for step in range(1, TRIES + 1):
        wanted = before + 0.1 * step
        shown = asyncio.create_task(
            viewer.page.wait_for_function(
                "([where, what]) => document.querySelector(where).textContent.includes(what)",
                arg=[selector, f"{wanted:.1f}"],
                polling=20,
            )
        )
        await asyncio.sleep(0.05)
        started = time.monotonic()
        await operator.put("R101/SP/PolymerConc", wanted, ua.VariantType.Double)
        await shown
        took.append(time.monotonic() - started)
    await operator.put("R101/SP/PolymerConc", before, ua.VariantType.Double)
    print("changed in the plant to shown:", *(f"{seconds:.2f} s" for seconds in took))  # noqa: T201
    assert min(took) <= LIVE_S, "the best of five: the machine may be busy otherwise"


async def test_a_hidden_page_gives_its_connection_back(view):
    viewer = await view("/")
    await viewer.says("#link", "^live$")
    closed = await viewer.page.evaluate(
        """() => {
          Object.defineProperty(document, "hidden", {value: true, configurable: true});
          document.dispatchEvent(new Event("visibilitychange"));
          return new Promise((resolve) => setTimeout(() => resolve(
            document.querySelector("#link").textContent), 1500));
        }"""
    )
    assert closed == "live", "hidden is not lost"
    await viewer.page.evaluate(
        """() => {
          Object.defineProperty(document, "hidden", {value: false, configurable: true});
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    await viewer.says("#link", "^live$")


async def test_a_page_that_was_hidden_for_long_is_old_until_it_hears_again(view):
    viewer = await view("/")
    await viewer.says("#link", "^live$")
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
      document.dispatchEvent(new Event("visibilitychange"));
      return document.body.dataset.link;
    }"""
    assert await viewer.page.evaluate(hide, arg=True) == "live"
    await asyncio.sleep(6.0)
    assert await viewer.page.evaluate(hide, arg=False) == "lost"
    await viewer.says("#link", "^live$")


async def test_a_clock_that_is_set_is_no_silence(view):
    viewer = await view("/")
    await viewer.says("#link", "^live$")
    links = await viewer.page.evaluate(
        """() => new Promise((resolve) => {
          const seen = [];
          const watch = () => seen.push(document.body.dataset.link);
          new MutationObserver(watch).observe(document.body, {attributeFilter: ["data-link"]});
          const now = Date.now;
          Date.now = () => now() + 3600e3;
          setTimeout(() => resolve(seen), 3500);
        })"""
    )
    assert links == []


@pytest.mark.usefixtures("in_auto")
async def test_the_page_survives_a_restart_of_the_hmi(view, hmi, picture):
    viewer = await view("/units/R101", forgiving=True)
    await viewer.says("#link", "^live$")
    await hmi.end()
    await viewer.says("#banner", r"Link lost since \d\d:\d\d:\d\d")
    assert await viewer.page.get_attribute("body", "data-link") == "lost"
    hatched = await viewer.page.evaluate(
        "getComputedStyle(document.querySelector('.loop')).backgroundImage"
    )
    assert "repeating-linear-gradient" in hatched
    await picture(viewer, "link-lost-light")
    await hmi.restart()
    await viewer.gone("#banner")
    await viewer.says("#link", "^live$")
    await viewer.says(".side .mode", "^AUTO$")


@pytest.mark.usefixtures("in_auto")
async def test_the_page_survives_a_restart_of_the_controller(view, controller):
    viewer = await view("/units/R101")
    await viewer.says(".side .mode", "^AUTO$")
    assert await controller.process.end(signal.SIGINT) == 0
    await viewer.says(".side .facts", "stopped|silent")
    await viewer.says(".side .mode[data-stale=yes]", ".")
    await viewer.says(".side section[data-stale=yes]:has(.verdict)", "Certificate")
    await viewer.says(".side", "Lease: Not known here")
    await viewer.shown("section[data-tag=InitiatorFeed] .steps [data-stale=yes]")
    await viewer.go("/units/R101/model")
    await viewer.says("#model .figure[data-stale=yes]", r"^[\d.]+, .*stale, [\d.]+ \w+ old$")
    await viewer.shown("#model .chart[aria-label*='novelty -']")
    await viewer.go("/units/R101")
    await controller.start()
    await viewer.says(".side .facts", "running")
    await viewer.says(".side .mode", "^(INIT|MANUAL|SHADOW|SHED)$")
    await viewer.go("/units/R101/runs")
    await viewer.says("#runs", "controller stopped")


async def test_the_page_survives_a_restart_of_the_plant(view, plant, picture):
    viewer = await view("/units/R101", forgiving=True)
    await viewer.shown("section[data-tag=Temperature] canvas")
    await viewer.gone("section[data-tag=Temperature][data-stale]")
    plant.process.kill()
    await viewer.says(".side .problem", "No connection to opc.tcp")
    await viewer.shown("section[data-tag=Temperature][data-stale=yes]")
    await viewer.says("section[data-tag=Temperature] .stale-note", "stale")
    await viewer.shown(".side section[data-stale=yes]:has(.alarm-words)")
    await viewer.says(".side", "selected\\s*[A-Z]+, stale")
    await picture(viewer, "plant-lost-light")
    await viewer.go("/units/R101/model")
    await viewer.says("#model [data-tag=Temperature][data-stale=yes]", "stale, .* old")
    await viewer.says("#model [data-tag=InitiatorFeed][data-stale=yes]", "stale, .* old")
    await viewer.says("#model dd:has-text('operating points') [data-stale=yes]", "stale, .* old")
    await viewer.go("/units/R101")
    await plant.start()
    await viewer.says("section[data-tag=Temperature] .stale-note", "^$", seconds=60.0)
    await viewer.gone(".side .problem")
