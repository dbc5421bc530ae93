"""The HMI in a headless Chromium: a real plant, a real controller, a real HMI, a process each."""

import shutil
from pathlib import Path

import pytest
import pytest_asyncio

from tests.browser.hmi import Hmi, Viewer, units_of
from tests.support.controllers import Controller
from tests.support.soft_plant import Plant
from tests.support.waiting import until

SPEED, PERIOD_S = 600.0, 0.5
"""Slow enough for a browser beside it on two cores."""
HEARTBEAT_TIMEOUT_S = 10.0
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="session")
def chromium():
    """Where Chromium is; skips where it, or Playwright, is not installed."""
    pytest.importorskip("playwright", reason="no playwright: run `make test`, which installs it")
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium; on Debian: apt-get install --no-install-recommends chromium")
    return found


@pytest.fixture(scope="session")
def axe():
    """The text of axe-core; skips where it is not installed."""
    if not AXE.is_file():
        pytest.skip(f"no axe-core in {AXE.parent}: run `make browser-deps`")
    return AXE.read_text(encoding="utf-8")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium):
    """One Chromium for all tests."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--force-color-profile=srgb"]
        )
        yield running
        await running.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def plant(chromium, tmp_path_factory):  # noqa: ARG001 - no plant where nobody can look
    """A soft plant, a 300 s sample in half a second."""
    running = Plant(
        tmp_path_factory.mktemp("plant"), speed=SPEED, heartbeat_timeout_s=HEARTBEAT_TIMEOUT_S
    )
    await running.start()
    yield running
    await running.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def controller(plant, tmp_path_factory):
    """A controller of the plant."""
    running = Controller(tmp_path_factory.mktemp("controller"), period_s=PERIOD_S)
    running.configure(plant.url, plant.password("apc"))
    await running.start()
    yield running
    if running.process.popen.poll() is None:
        await running.process.end()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hmi(plant, controller, tmp_path_factory):
    """An HMI of two units: R101, and R102, whose plant does not run."""
    running = Hmi(tmp_path_factory.mktemp("hmi"), plant.password("observer"))
    running.configure(units_of(controller.config, running.folder))
    await running.start()
    yield running
    await running.end()


@pytest_asyncio.fixture(loop_scope="session")
async def operator(plant):
    """The operator's own session on the plant, past the HMI."""
    async with plant.login("operator") as session:
        yield session


@pytest_asyncio.fixture(loop_scope="session")
async def in_auto(controller, operator):
    """The unit in AUTO; the controller must see another selection first."""

    async def seen() -> bool:
        return await controller.mode() == "SHADOW"

    if not await operator.get("APC/Active"):
        if await operator.get("APC/ShedReason"):
            await operator.call("APC/Acknowledge")
        await operator.select(1)
        await until(seen, 30.0, "the controller is in SHADOW")
        await operator.wait("APC/Permit", value=True, seconds=30.0)
        await operator.select(2)
        await operator.wait("APC/Active", value=True, seconds=30.0)


@pytest_asyncio.fixture(loop_scope="session")
async def view(browser, hmi):
    """Open pages: `await view("/units/R101")`; nothing may be wrong in any of them."""
    viewers = []

    async def look(path, *, at=None, login=None, **context):
        viewer = Viewer(browser, (at or hmi).url, **context)
        viewers.append(viewer)
        await viewer.open()
        if login is not None:
            await viewer.log_in(*login)
        await viewer.go(path)
        return viewer

    yield look
    for viewer in viewers:
        await viewer.close()
    assert [problem for viewer in viewers for problem in viewer.problems] == []


@pytest.fixture
def as_operator(plant):
    """Name and password of the operator."""
    return "operator", plant.password("operator")


@pytest.fixture
def picture(request):
    """Keep a picture of a page where --screenshots names a folder."""
    folder = request.config.getoption("--screenshots")
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)

    async def keep(viewer, name):
        if folder is not None:
            await viewer.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    return keep
