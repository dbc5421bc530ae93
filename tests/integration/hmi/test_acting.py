"""What operators do: logins, two steps, and everything that is refused."""

import asyncio
import ssl
from contextlib import AsyncExitStack

import pytest
from asyncua import ua

from controller.hmi.logins import MOST_OF_ONE
from tests.integration.hmi.conftest import Hmi
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


def cookies(answer) -> str:
    return answer.headers.get("set-cookie", "")


async def test_a_visitor_only_reads(browser):
    session = await browser.load()
    assert (session["user"], session["roles"], session["units"]) == (None, [], {})
    answer = await browser.ask(action="mode", value="AUTO")
    assert answer.status_code == 401
    assert "log in" in answer.json()["error"]


async def test_a_post_needs_the_token_of_a_page_of_ours(world, browser):
    body = {"user": "operator", "password": "x"}
    answer = await browser.client.post("/api/login", json=body)
    assert answer.status_code == 403
    await browser.load()
    for headers in (
        {"X-CSRF-Token": "0" * 64},
        {"X-CSRF-Token": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        answer = await browser.post("/api/login", body, **headers)
        assert answer.status_code == 403, headers
        assert set(answer.json()) == {"error"}
    async with world.hmi.browser() as other:
        await other.load()
        answer = await other.post("/api/login", body, **{"X-CSRF-Token": browser.csrf})
        assert answer.status_code == 403


@pytest.mark.parametrize(("user", "password"), [("", "x"), ("  ", "x"), ("operator", ""), ("", "")])
async def test_nobody_logs_in_without_name_and_password(browser, user, password):
    answer = await browser.login(user, password)
    assert answer.status_code == 400
    assert "not empty" in answer.json()["error"]
    assert (await browser.json("/api/session"))["user"] is None


async def test_a_login_is_the_plants_and_its_cookie_is_safe(world, browser):
    before = await browser.load()
    early = dict(browser.client.cookies)
    answer = await browser.login("operator", world.plant.password("operator"))
    assert answer.status_code == 200
    told = answer.json()
    assert told["user"] == "operator"
    assert told["roles"] == ["acknowledge", "acknowledge_shed", "mode", "setpoint"]
    assert 0 < told["expires_s"] <= 600
    assert told["csrf"] != before["csrf"]
    assert dict(browser.client.cookies) != early  # nobody can have planted it
    for part in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert part in cookies(answer)
    assert (await browser.json("/api/session"))["user"] == "operator"
    answer = await browser.post("/api/logout")
    assert answer.json() == {"done": True}
    assert (await browser.json("/api/session"))["user"] is None
    assert world.plant.password("operator") not in world.hmi.log.read_text()


async def test_one_account_does_not_take_the_room_of_all_logins(world):
    async with AsyncExitStack() as stack:
        browsers = [
            await stack.enter_async_context(world.logged_in("observer"))
            for _ in range(MOST_OF_ONE + 1)
        ]
        users = [(await browser.json("/api/session"))["user"] for browser in browsers]
        assert users == [None, *["observer"] * MOST_OF_ONE]
        assert "too many logins of this user" in world.hmi.log.read_text()


@pytest.mark.parametrize(
    ("user", "may"), [("observer", []), ("apc", []), ("engineer", ["acknowledge"])]
)
async def test_roles_are_what_the_plant_permits(world, user, may):
    async with world.logged_in(user) as browser:
        assert (await browser.json("/api/session"))["units"] == {"R101": may}
        for action in (
            {"action": "mode", "value": "AUTO"},
            {"action": "setpoint", "tag": "Temperature", "value": 351.0},
        ):
            answer = await browser.ask(**action)
            assert answer.status_code == 403
            assert "does not permit" in answer.json()["error"]


async def test_a_setpoint_in_two_steps(world, operator):
    asked = await operator.ask(action="setpoint", tag="Temperature", value=351.5)
    assert asked.status_code == 200
    told = asked.json()
    assert told["text"].startswith("Set Temperature of Reactor <R101> from 350.00 K to 351.50 K?")
    assert told["expires_s"] == 30.0
    assert (await operator.unit())["cvs"][1]["sp"] == 350.0
    async with world.logged_in() as another:
        stolen = await another.post(f"/api/actions/{told['token']}")
        assert stolen.status_code == 404
    done = await operator.post(f"/api/actions/{told['token']}")
    assert done.json() == {
        "done": True,
        "text": "Reactor <R101>: the setpoint of Temperature is 351.50 K",
    }
    await world.shown(operator, lambda view: view["cvs"][1]["sp"] == 351.5)
    again = await operator.post(f"/api/actions/{told['token']}")
    assert again.status_code == 404
    await operator.act(action="setpoint", tag="Temperature", value=350.0)
    entry = next(
        e for e in world.hmi.audit() if (e.get("what"), e.get("outcome")) == ("setpoint", "done")
    )
    assert {"user": "operator", "unit": "R101", "tag": "Temperature", "value": 351.5}.items() <= (
        entry.items()
    )


async def test_a_setpoint_that_the_model_does_not_know_is_told(operator):
    asked = await operator.ask(action="setpoint", tag="PolymerConc", value=5.0)
    assert "The model will not track it" in asked.json()["text"]


async def test_auto_and_back(world, operator):
    await world.shown(operator, lambda view: view["mode"] == "MANUAL")
    text = await operator.act(action="mode", value="AUTO")
    assert text == "Reactor <R101>: AUTO is selected"
    view = await world.shown(operator, lambda view: view["mode"] == "AUTO" and _applied(view))
    assert view["certificate"]["certified"] is True
    assert view["moves"][0]["applied"] == view["moves"][0]["corrected"]
    assert next(lamp for lamp in view["handshake"] if lamp["name"] == "active")["on"] is True
    await operator.act(action="mode", value="SHADOW")
    view = await world.shown(operator, lambda view: view["mode"] == "SHADOW")
    assert "by the operator" in view["moves"][0]["reason"]
    await operator.act(action="mode", value="MANUAL")

    async def counted():
        runs = await operator.json("/api/units/R101/runs")
        return runs["runs"][0]["auto_scans"]

    assert await until(counted, 15.0, "scans in AUTO are counted")


def _applied(view) -> bool:
    return view["moves"][0]["applied"] is not None


async def test_no_shed_to_acknowledge(operator):
    answer = await operator.ask(action="acknowledge_shed")
    assert (answer.status_code, answer.json()) == (
        409,
        {"error": "there is no shed to acknowledge"},
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ([], 400),
        ({"action": "format"}, 400),
        ({"action": ["mode"]}, 400),
        ({"action": "mode"}, 400),
        ({"action": "mode", "value": "auto"}, 400),
        ({"action": "mode", "value": 2}, 400),
        ({"action": "mode", "value": "AUTO", "user": "x"}, 400),
        ({"action": "setpoint", "tag": "Temperature", "value": "350"}, 400),
        ({"action": "setpoint", "tag": "Temperature", "value": None}, 400),
        ({"action": "setpoint", "tag": "Temperature", "value": True}, 400),
        ({"action": "setpoint", "tag": "Pressure", "value": 350.0}, 400),
        ({"action": "setpoint", "tag": "Temperature", "value": 360.001}, 422),
        ({"action": "setpoint", "tag": "Temperature", "value": -1e308}, 422),
        ({"action": "acknowledge"}, 400),
        ({"action": "acknowledge", "alarm": "ns=2;i=9"}, 404),
        ({"action": "acknowledge", "alarm": "x" * 301}, 400),
        ({"action": "acknowledge", "alarm": "a", "comment": "x\ny"}, 400),
    ],
)
async def test_bad_actions_are_refused_in_words(operator, body, status):
    answer = await operator.post("/api/units/R101/actions", body)
    assert (answer.status_code, set(answer.json())) == (status, {"error"}), answer.text


async def test_bodies_are_small_json(operator):
    headers = {"X-CSRF-Token": operator.csrf}
    path = "/api/units/R101/actions"
    for content, kind, status in (
        (b"{", "application/json", 400),
        (b'{"action": NaN}', "application/json", 400),
        (b"action=mode", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
        (b" " * 16385, "application/json", 413),
    ):
        sent = {**headers, "Content-Type": kind}
        answer = await operator.client.post(path, content=content, headers=sent)
        assert (answer.status_code, set(answer.json())) == (status, {"error"}), answer.text

    async def endless():
        for _ in range(64):
            yield b" " * 1024

    sent = {**headers, "Content-Type": "application/json"}
    answer = await operator.client.post(path, content=endless(), headers=sent)
    assert answer.status_code == 413
    answer = await operator.post("/api/units/R999/actions", {"action": "mode", "value": "AUTO"})
    assert answer.status_code == 404


async def test_the_plant_has_the_last_word(world, operator):
    """It refuses what it permitted at the login: the condition is no longer what was shown."""
    async with world.plant.login("engineer") as engineer:
        await inject(engineer, "MonomerConc", "bad_quality", 86400.0)
        alarm = await alarm_named(operator, "BadPV")
        asked = await operator.ask(action="acknowledge", alarm=alarm["id"], comment="seen")
        assert asked.json()["text"].startswith("Acknowledge BadPV of Reactor <R101>: ")
        await operator.act(action="acknowledge", alarm=alarm["id"])
        token = asked.json()["token"]
        late = await operator.post(f"/api/actions/{token}")
        assert late.status_code == 502
        assert late.json()["error"].startswith("the alarm was acknowledged already")
        await inject(engineer, "*", "clear", 0.0)


async def test_an_expired_login_and_tls_and_the_login_limit(world, tls, tmp_path):
    """Another HMI of the same plant: over https, idle for a second, two attempts."""
    (tmp_path / "controller.toml").write_text(world.controller.config.read_text())
    (tmp_path / "apc.password").write_text("unused")
    (tmp_path / "apc.password").chmod(0o600)
    hmi = Hmi(tmp_path, world.plant)
    web = f"tls_certificate = '{tls[0]}'\ntls_key = '{tls[1]}'"
    await hmi.start(web=web, attempts=2, idle_s=1.0)
    try:
        assert hmi.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(tls[0]))
        async with hmi.browser(verify=context) as browser:
            await until_connected(browser)
            answer = await browser.login("operator", world.plant.password("operator"))
            assert answer.status_code == 200
            assert "Secure" in cookies(answer)
            assert cookies(answer).startswith("__Host-")
            await asyncio.sleep(1.5)
            answer = await browser.ask(action="mode", value="AUTO")
            assert (answer.status_code, "ended" in answer.json()["error"]) == (401, True)
            assert (await browser.load())["user"] is None

            for _ in range(2):
                answer = await browser.login("operator", "wrong password")
                assert (answer.status_code, answer.json()) == (
                    401,
                    {"error": "wrong name or password"},
                )
            answer = await browser.login("operator", world.plant.password("operator"))
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) <= 60
            kinds = [entry["event"] for entry in hmi.audit()]
            assert kinds.count("login_refused") == 2
            assert "login_limited" in kinds

            async def idle():
                return any(entry.get("reason") == "idle" for entry in hmi.audit())

            await until(idle, 15.0, "the idle login is ended")
        assert await hmi.stop() == 0
        assert not hmi.ready.exists()
    finally:
        hmi.process.kill()


async def inject(engineer, tag, kind, duration_s):
    texts = [ua.Variant(text, ua.VariantType.String) for text in (tag, kind)]
    numbers = [ua.Variant(number, ua.VariantType.Double) for number in (0.0, duration_s)]
    await engineer.call("Sim/InjectFault", *texts, *numbers)


async def alarm_named(browser, name):
    async def found():
        alarms = (await browser.json("/api/alarms"))["alarms"]
        return next((alarm for alarm in alarms if alarm["name"] == name), None)

    return await until(found, 30.0, name)


async def until_connected(browser):
    async def connected():
        return (await browser.unit())["connected"]

    await until(connected, 30.0, "connected to the plant")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user": "operator"},
        {"user": "operator", "password": 1},
        {"user": "x" * 65, "password": "x"},
        {"user": "operator", "password": "x" * 1025},
        {"user": "a\nb", "password": "x"},
        {"user": "operator", "password": "x", "role": "engineer"},
    ],
)
async def test_bad_logins_never_reach_the_plant(browser, body):
    await browser.load()
    answer = await browser.post("/api/login", body)
    assert (answer.status_code, set(answer.json())) == (400, {"error"})
