"""python-opcua 0.98, the predecessor of asyncua, as client of the soft plant."""

import asyncio
import json
import os
from itertools import pairwise
from pathlib import Path

import pytest

from plant_sim.opcua.node_items import unit_id
from plant_sim.unit.tag_table import TAGS

pytestmark = pytest.mark.asyncio(loop_scope="session")

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".python-opcua" / "bin" / "python"
URI = "urn:test:interop:python-opcua"
SETPOINT = "R101/SP/Temperature"
SUBSCRIBED_S = 1.5


@pytest.fixture
def ask():
    """Run one job of client.py; what it answers."""
    if not PYTHON.exists():
        pytest.skip("python-opcua is not installed; run: make interop-deps")

    async def answer(job):
        process = await asyncio.create_subprocess_exec(
            str(PYTHON),
            str(HERE / "client.py"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        )
        out, err = await asyncio.wait_for(process.communicate(json.dumps(job).encode()), 60.0)
        assert process.returncode == 0, err.decode()
        return json.loads(out)

    return answer


@pytest.fixture
def job(nodes):
    """A session's work; where and as whom is still to be said."""
    return {
        "uri": URI,
        "user": "operator",
        "browse": nodes["R101/SP"],
        "read": nodes[SETPOINT],
        "writes": [
            {"node": nodes[SETPOINT], "type": "Double", "value": 352.5},
            {"node": nodes[SETPOINT], "type": "Double", "value": 9999.0},
            {"node": nodes["R101/MV/InitiatorFeed/Target"], "type": "Double", "value": 1.0},
        ],
        "calls": [
            {
                "object": nodes["APC"],
                "method": nodes["APC/Shed"],
                "inputs": [["String", "interop"]],
            },
            {"object": nodes["Sim"], "method": nodes["Sim/Snapshot"], "inputs": []},
        ],
        "subscribe": nodes["APC/HeartbeatOut"],
        "seconds": SUBSCRIBED_S,
    }


@pytest.fixture(params=["None", "Basic256Sha256"])
def line(request):
    """(policy, plant that speaks it, security string of python-opcua)."""
    if request.param == "None":
        return request.param, request.getfixturevalue("plant"), ""
    plant = request.getfixturevalue("encrypting")
    own = request.getfixturevalue("make_identity")(URI).folder
    server = plant.pki / "own" / "certificate.der"
    security = f"{request.param},SignAndEncrypt,{own.certificate},{own.key},{server}"
    return request.param, plant, security


async def test_a_session(ask, job, captured, services_in, line):
    policy, plant, job["security"] = line
    async with captured(plant.url, f"python-opcua-{policy}") as relay:
        job["url"], job["password"] = relay.url, plant.password("operator")
        found = await ask(job)
    tag = next(tag for tag in TAGS if tag.path == SETPOINT)
    assert set(found["browse"]) == {"PolymerConc", "Temperature"}
    assert (found["type"], found["status"]) == ("Double", "Good")
    assert tag.range[0] <= found["value"] <= tag.range[1]
    assert found["unit"] == [unit_id("KEL"), "K"]
    assert found["range"] == list(tag.range)
    assert found["writes"] == ["Good", "BadOutOfRange", "BadUserAccessDenied"]
    assert found["after"] == 352.5
    assert found["calls"] == ["Good", "BadUserAccessDenied"]
    assert len(found["notified"]) > 5
    assert all(before < after for before, after in pairwise(found["notified"]))
    if policy == "None":
        assert {"CreateSessionRequest", "CallResponse", "PublishResponse"} <= services_in(
            relay.file
        )


async def test_a_wrong_password_is_refused(ask, job, plant):
    job["url"], job["password"] = plant.url, "wrong"
    assert await ask(job) == {"refused": "BadUserAccessDenied"}
