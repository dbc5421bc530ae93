"""The command-line tools that asyncua brings, as an operator would use them on the soft plant."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from pathlib import Path

import pytest
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOOLS = Path(sys.executable).parent
URI = "urn:example.org:FreeOpcUa:opcua-asyncio"
"""The application URI of these tools cannot be changed."""
LIMIT_S = 60.0
TEMPERATURE = "0:Objects,2:R101,2:PV,2:Temperature"
SETPOINT = "0:Objects,2:R101,2:SP,2:Temperature"
BEAT = "0:Objects,2:APC,2:HeartbeatOut"


@contextlib.asynccontextmanager
async def started(tool, url, password, *arguments):
    argv = ["-u", url, "--user", "operator", "--password", password, "--timeout", "10"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(TOOLS / tool),
        *argv,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(tool, url, password, *arguments):
    """Exit code and output."""
    async with started(tool, url, password, *arguments) as process:
        out, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)
    return process.returncode, out.decode()


@pytest.fixture(params=["None", "Basic256Sha256", "Aes256Sha256RsaPss"])
def where(request):
    """(plant, --security and what it takes) of each line."""
    if request.param == "None":
        return request.getfixturevalue("plant"), []
    own = request.getfixturevalue("tools_identity").folder
    security = f"{request.param},SignAndEncrypt,{own.certificate},{own.key}"
    return request.getfixturevalue("encrypting"), ["--security", security]


@pytest_asyncio.fixture(loop_scope="session")
async def line(request, where, captured):
    """Arguments that reach the plant on each line: url, password, --security."""
    plant, more = where
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    async with captured(plant.url, f"asyncua-{name}") as relay:
        yield relay.url, plant.password("operator"), more


@pytest.fixture(scope="session")
def tools_identity(make_identity):
    return make_identity(URI)


async def test_uals_lists_and_uaread_reads(line):
    url, password, more = line
    code, text = await run("uals", url, password, "-p", "0:Objects,2:R101", "-d", "1", *more)
    assert code == 0, text
    assert all(name in text for name in ("PV", "SP", "MV")), text
    code, text = await run("uaread", url, password, "-p", TEMPERATURE, *more)
    assert code == 0, text
    assert 300.0 < float(text.split()[-1]) < 400.0


async def test_uawrite_writes_what_the_role_may(line):
    url, password, more = line
    for value in ("353.25", "350.0"):
        code, text = await run(
            "uawrite", url, password, "-p", SETPOINT, "-t", "double", value, *more
        )
        assert code == 0, text
        _, text = await run("uaread", url, password, "-p", SETPOINT, *more)
        assert float(text.split()[-1]) == float(value)
    target = "0:Objects,2:R101,2:MV,2:InitiatorFeed,2:Target"
    _, text = await run("uawrite", url, password, "-p", target, "-t", "double", "1.0", *more)
    assert "BadUserAccessDenied" in text


async def test_uasubscribe_follows_the_heartbeat(line):
    url, password, more = line
    async with started("uasubscribe", url, password, "-p", BEAT, *more) as process:
        beats = []
        async with asyncio.timeout(LIMIT_S):
            while len(beats) < 3:
                text = (await process.stdout.readline()).decode()
                assert text, beats
                beats += [int(number) for number in re.findall(r"\bvalue=(\d+), data", text)]
        assert beats == sorted(beats)
        process.send_signal(signal.SIGINT)
