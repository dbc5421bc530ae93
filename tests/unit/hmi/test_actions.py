"""Two steps: what a token stands for, once, for 30 s."""

import asyncio
from collections import OrderedDict
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from controller.hmi import actions
from controller.hmi.actions import MOST_PENDING, confirm, propose
from controller.hmi.alarms import AlarmList
from controller.hmi.attempts import who
from controller.hmi.errors import RefusedError
from controller.hmi.logins import Login
from controller.hmi.operator_line import PlantSaysNoError
from tests.unit.hmi.test_alarms import ALARM

TEMPERATURE = "cv.Temperature.sp"


class Line:
    """What an operator's session does, written down."""

    def __init__(self, *grants: str) -> None:
        self.grants = frozenset(grants)
        self.lost = False
        self.done: list = []
        self.refuses = ""

    def may_set(self, key: str) -> bool:
        return f"setpoint/{key}" in self.grants

    async def write(self, key, value) -> None:
        if self.refuses:
            raise PlantSaysNoError(self.refuses, f"refused ({self.refuses})")
        self.done.append((key, value))

    async def call(self, request) -> None:
        self.done.append(request)


@pytest.fixture
def line():
    return Line("mode", f"setpoint/{TEMPERATURE}", "acknowledge")


@pytest.fixture
def login(line):
    return Login(
        cookie="c",
        user="anna",
        who=who("anna", "127.0.0.1"),
        address="127.0.0.1",
        opened_s=0.0,
        used_s=0.0,
        lines={"R101": line},
        refused={"R102": "the plant did not answer in time (timeout)"},
        pending=OrderedDict(),
    )


@pytest.fixture
def watch(unit, seen):
    alarms = AlarmList()
    alarms.take(ALARM)
    shown = seen({TEMPERATURE: 350.0, "cv.PolymerConc.sp": 100.0, "handshake.mode": 0})
    return SimpleNamespace(unit=unit, seen=lambda: shown, line=SimpleNamespace(alarms=alarms))


def run(work):
    return asyncio.run(work)


def test_nothing_happens_before_the_second_step(watch, login, line):
    token, pending = propose(watch, login, {"action": "mode", "value": "AUTO"})
    assert pending.text == f"Mode of {watch.unit.title} from MANUAL to AUTO?"
    assert line.done == []
    assert run(confirm(login, token)) == f"{watch.unit.title}: AUTO is selected"
    assert line.done == [("handshake.mode", 2)]
    with capture_logs() as lines, pytest.raises(RefusedError, match="nothing to confirm"):
        run(confirm(login, token))
    (line,) = lines
    assert (line["part"], line["event"], line["user"]) == ("hmi.audit", "action", "anna")
    assert (line["outcome"], line["address"]) == ("nothing to confirm", "127.0.0.1")


def test_a_token_grows_old(watch, login, line, monkeypatch):
    monkeypatch.setattr(actions, "TOKEN_S", -1.0)
    token, _ = propose(watch, login, {"action": "mode", "value": "AUTO"})
    with capture_logs() as lines, pytest.raises(RefusedError) as caught:
        run(confirm(login, token))
    assert caught.value.status == 410
    assert line.done == []
    (told,) = lines
    assert (told["part"], told["outcome"], told["user"]) == ("hmi.audit", "expired", "anna")
    assert (told["unit"], told["what"], told["value"]) == (watch.unit.name, "mode", "AUTO")


def test_first_steps_do_not_pile_up(watch, login):
    tokens = [propose(watch, login, {"action": "mode", "value": "AUTO"})[0] for _ in range(20)]
    assert len(login.pending) == MOST_PENDING
    assert list(login.pending) == tokens[-MOST_PENDING:]


def test_a_setpoint_is_written_in_the_servers_unit(watch, login, line):
    body = {"action": "setpoint", "tag": "Temperature", "value": 352.12345}
    token, pending = propose(watch, login, body)
    assert "from 350.00 K to 352.12345 K" in pending.text  # what is written, not what is rounded
    run(confirm(login, token))
    assert line.done == [(TEMPERATURE, 352.12345)]


def test_the_plants_refusal_is_told(watch, login, line):
    line.refuses = "BadOutOfRange"
    token, _ = propose(watch, login, {"action": "mode", "value": "SHADOW"})
    with pytest.raises(RefusedError) as caught:
        run(confirm(login, token))
    assert (caught.value.status, "BadOutOfRange" in str(caught.value)) == (502, True)
    line.lost = True
    with pytest.raises(RefusedError, match="log in again"):
        propose(watch, login, {"action": "mode", "value": "SHADOW"})


def test_an_alarm_is_acknowledged_as_it_was_shown(watch, login, line):
    token, pending = propose(watch, login, {"action": "acknowledge", "alarm": ALARM.key})
    assert ALARM.message in pending.text
    run(confirm(login, token))
    (request,) = line.done
    assert request.ObjectId == ALARM.condition
    assert request.InputArguments[0].Value == ALARM.event_id


def test_what_is_not_permitted_is_refused_at_the_first_step(watch, login, line):
    line.grants = frozenset()
    for body in (
        {"action": "mode", "value": "AUTO"},
        {"action": "setpoint", "tag": "Temperature", "value": 350.0},
        {"action": "acknowledge", "alarm": ALARM.key},
        {"action": "acknowledge_shed"},
    ):
        with pytest.raises(RefusedError) as caught:
            propose(watch, login, body)
        assert caught.value.status == 403


def test_a_unit_that_did_not_take_the_login(watch, login, line):
    del login.lines["R101"]
    login.refused["R101"] = "the plant did not answer in time (timeout)"
    with pytest.raises(RefusedError, match="did not answer"):
        propose(watch, login, {"action": "mode", "value": "AUTO"})
    del login.refused["R101"]
    with pytest.raises(RefusedError, match="users are others: log in there"):
        propose(watch, login, {"action": "mode", "value": "AUTO"})
    assert line.done == []
