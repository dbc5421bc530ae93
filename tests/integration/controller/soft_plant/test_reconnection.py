"""The line to the soft plant is lost in many ways: each time the image is seen to be stale, the
line heals by itself, and AUTO does not.
"""

import asyncio
import json
import signal

import pytest
import pytest_asyncio

from controller.configuration.settings import load_settings
from controller.opcua.pki import Folder, wish
from controller.opcua.security import load_security
from plant_sim.history import HistoryStore
from plant_sim.opcua.area import PlantArea
from plant_sim.opcua.history_recorder import HistoryRecorder
from plant_sim.opcua.server import PlantServer
from plant_sim.opcua.users import load_users
from plant_sim.plant import PlantOptions
from plant_sim.unit.handshake import Handshake
from plant_sim.unit.reactor_unit import ReactorUnit
from tests.support.processes import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD, TICK_S = 2.0, 0.05
SPEED = 3000.0
CONNECTED = ("trimtab_opcua_connected", ())
RECONNECTS = ("trimtab_opcua_reconnects_total", ())


def sample(controller, name, value):
    """A condition: this metric of the controller has this value."""

    async def reached():
        return (await controller.metrics())[name] == value

    return reached


async def qualities(controller):
    samples = await controller.metrics()
    return {value for (name, _), value in samples.items() if name == "trimtab_tag_quality"}


async def assert_healed_without_auto(controller, operator, *, reconnects=1.0):
    """Connected again, every tag good again, and nobody drives until the operator says so."""
    await until(sample(controller, RECONNECTS, reconnects))
    await until(sample(controller, CONNECTED, 1.0))

    async def good():
        return await qualities(controller) == {GOOD}

    await until(good)
    await asyncio.sleep(1.0)
    assert await controller.mode() in {"SHED", "MANUAL"}
    assert await operator.get("APC/Active") is False
    await operator.select(1)
    await asyncio.sleep(0.5)
    await operator.auto()
    await controller.reaches("AUTO")


async def test_a_plant_that_is_stopped_in_order_and_started_again(soft_plant, controller):
    async with soft_plant.login("operator") as operator:
        await operator.auto()
    await asyncio.sleep(0.3)
    await soft_plant.stop()

    async def stale():
        return await qualities(controller) == {0.0}

    await until(stale)
    await controller.reaches("SHED")
    assert (await controller.metrics())[CONNECTED] == 0.0
    await soft_plant.start()
    async with soft_plant.login("operator") as operator:
        await assert_healed_without_auto(controller, operator)


async def test_a_plant_that_stands_still_is_seen_to_be_stale(soft_plant, controller):
    async with soft_plant.login("operator") as operator:
        await operator.auto()
    await asyncio.sleep(0.3)
    soft_plant.process.popen.send_signal(signal.SIGSTOP)
    try:

        async def stale():
            return await qualities(controller) == {0.0}

        await until(stale)
        await controller.reaches("SHED")
    finally:
        soft_plant.process.popen.send_signal(signal.SIGCONT)
    async with soft_plant.login("operator") as operator:
        await until(sample(controller, CONNECTED, 1.0))

        async def good():
            return await qualities(controller) == {GOOD}

        await until(good)
        await asyncio.sleep(1.0)
        assert await controller.mode() in {"SHED", "MANUAL"}
        assert await operator.get("APC/Active") is False


async def test_a_plant_that_moved_is_found_where_the_configuration_says(
    plant_class, make_controller, tmp_path
):
    plant, controller = plant_class(tmp_path), make_controller()
    await plant.start()
    try:
        password = plant.password("apc")
        controller.configure(plant.url, password)
        await controller.start()
        async with plant.login("operator") as operator:
            await operator.auto()
        await plant.stop()
        plant.port = free_port()
        await plant.start()
        await until(sample(controller, CONNECTED, 0.0))
        await asyncio.sleep(2.0)
        assert (await controller.metrics())[CONNECTED] == 0.0
        await controller.reaches("SHED")
        assert await controller.process.end() == 0
        controller.configure(plant.url, password)
        await controller.start()
        async with plant.login("operator") as operator:
            await until(sample(controller, CONNECTED, 1.0))
            await asyncio.sleep(0.5)
            assert await controller.mode() == "MANUAL"
            assert await operator.get("APC/Active") is False
            await operator.auto()
        assert await controller.process.end() == 0
    finally:
        await plant.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def trusting(plant_class, make_controller, tmp_path):
    """A plant and a controller that trust each other: (plant, its folder, ours, controller)."""
    plant, controller = plant_class(tmp_path, secure=True), make_controller()
    await plant.start()
    theirs, ours = Folder(plant.pki), Folder(tmp_path / "ours")
    theirs.trust(ours.init(wish(uri="urn:test:controller", given=(), days=5), 2048))
    ours.trust(theirs.own())
    security = f"pki = {json.dumps(str(ours.path))}"
    controller.configure(plant.url, plant.password("apc"), security)
    await controller.start()
    yield plant, theirs, ours, controller
    await plant.stop()


def security_of(controller):
    return load_security(load_settings(controller.config, {}).security)


async def test_a_plant_with_a_new_certificate_is_used_once_it_is_trusted(trusting):
    plant, theirs, ours, controller = trusting
    async with plant.login("operator", security_of(controller)) as operator:
        await operator.auto()
    await plant.stop()
    renewed = theirs.renew(days=5, given=(), new_key=True)
    await plant.start()
    await controller.process.wait_for("not trusted|is not in", 15.0)
    assert (await controller.metrics())[CONNECTED] == 0.0
    await controller.reaches("SHED")
    ours.trust(renewed)
    async with plant.login("operator", security_of(controller)) as operator:
        await assert_healed_without_auto(controller, operator)


async def test_a_controller_with_a_new_certificate_is_used_once_it_is_trusted(trusting):
    plant, theirs, ours, controller = trusting
    assert await controller.process.end() == 0
    renewed = ours.renew(days=5, given=(), new_key=True)
    controller.launch("run")
    assert await asyncio.to_thread(controller.process.popen.wait, 60.0) == 4
    assert "refuses our certificate" in " ".join(controller.process.text().split())
    theirs.trust(renewed)
    await controller.start()
    async with plant.login("operator", security_of(controller)) as operator:
        await asyncio.sleep(0.5)
        assert await operator.get("APC/Active") is False
        await operator.auto()
    assert await controller.process.end() == 0


@pytest_asyncio.fixture(loop_scope="module")
async def inside(plant_class, make_controller, tmp_path):
    """A soft plant in this process, where sessions and subscriptions can be reached, and a
    controller: (plant to log in to, the server's core, controller).
    """
    plant, controller = plant_class(tmp_path), make_controller()
    users = load_users(tmp_path / "users.toml")
    unit = ReactorUnit(
        scenario="startup", seed=0, options=PlantOptions(), hand=Handshake(), speed=SPEED
    )
    store = HistoryStore(None, retention_s=3600.0, max_values=1000)
    history = HistoryRecorder(store, interval_s=1.0)
    server = PlantServer(unit, users, host="127.0.0.1", port=0, history=history)
    area = PlantArea([server], tick_s=TICK_S)
    await area.start()
    try:
        (plant.url,) = area.endpoints
        controller.configure(plant.url, plant.password("apc"))
        await controller.start()
        yield plant, server._core, controller
        if controller.process.popen.poll() is None:
            assert await controller.process.end() == 0
    finally:
        await area.stop()


def apc_session(core):
    (session,) = [one for one in core._external_sessions.values() if one.user.name == "apc"]
    return session


async def test_a_session_that_the_plant_ends_is_opened_anew(inside):
    """As its time-out does: the connection stays, and every request is refused."""
    plant, core, controller = inside
    async with plant.login("operator") as operator:
        await operator.auto()
        before = (await controller.metrics())[RECONNECTS]
        await apc_session(core).close_session()
        await operator.wait("APC/Active", value=False, seconds=5.0)
        await assert_healed_without_auto(controller, operator, reconnects=before + 1.0)


async def test_a_subscription_that_the_plant_drops_is_made_anew(inside):
    """Polls keep the image fresh meanwhile; the silence itself ends the session."""
    plant, core, controller = inside
    async with plant.login("operator") as operator:
        await operator.auto()
        session = apc_session(core)
        service = core.subscription_service
        held = service.subscriptions.items()
        own = [number for number, one in held if one.session_id == session.session_id]
        assert own
        await service.delete_subscriptions(own)
        await assert_healed_without_auto(controller, operator)
        anew = apc_session(core)
        assert anew is not session
        assert any(one.session_id == anew.session_id for one in service.subscriptions.values())
