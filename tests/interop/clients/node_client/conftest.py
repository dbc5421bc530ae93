"""A node-opcua client in a process of its own."""

import asyncio
import json
import os
import shutil
import time
from pathlib import Path

import pytest
import pytest_asyncio

HERE = Path(__file__).parent
MODULES = Path(os.environ.get("TRIMTAB_NODE_MODULES", HERE.parents[1] / "node_modules"))
ANSWER_S = 60.0
LINES = ("None", "Basic256Sha256", "Aes256_Sha256_RsaPss")
URI = "urn:test:interop:node"


class RefusedError(Exception):
    """What node-opcua raised."""


class NodeClient:
    """One process of client.js."""

    def __init__(self, log):
        self._log = log
        self._process = None

    async def start(self):
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "node",
                str(HERE / "client.js"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, "NODE_PATH": str(MODULES)},
                limit=2**20,
            )

    async def do(self, act, **given):
        """Ask for one act of client.js; raises RefusedError with what node-opcua said."""
        request = json.dumps({"do": act, **given})
        self._process.stdin.write(request.encode() + b"\n")
        async with asyncio.timeout(ANSWER_S):
            line = await self._process.stdout.readline()
        assert line, self._log.read_text()
        answer = json.loads(line)
        if "error" in answer:
            raise RefusedError(answer["error"])
        return answer["ok"]

    async def login(
        self, plant, user, *, line="None", identity=None, url=None, password=None, retries=0
    ):
        """retries: of a connection that fails or is lost; -1: for ever."""
        given = {"url": url or plant.url, "user": user, "policy": line, "uri": URI}
        given["retries"] = retries
        given["password"] = plant.password(user) if password is None else password
        if identity is not None:
            own = identity.folder
            given["own"] = {"certificate": str(own.certificate), "key": str(own.key)}
            given["server"] = str(plant.pki / "own" / "certificate.der")
            given["pki"] = str(own.path.parent / "node-pki")
        return await self.do("connect", **given)

    async def read(self, *nodes, attribute="Value"):
        return await self.do("read", nodes=list(nodes), attribute=attribute)

    async def until(self, node, wanted, limit_s=10.0):
        """Changes of a subscribed node until one is wanted; all that came."""
        seen, end_s = [], time.monotonic() + limit_s
        while not any(map(wanted, seen)):
            assert time.monotonic() < end_s, seen
            await asyncio.sleep(0.05)
            seen += await self.do("changes", node=node)
        return seen

    async def stop(self):
        if self._process.returncode is None:
            await self.do("disconnect")
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 10.0)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@pytest.fixture(scope="session")
def node_opcua():
    """Skips where node-opcua is not installed."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed; on Debian: apt-get install nodejs npm")
    if not (MODULES / "node-opcua").is_dir():
        pytest.skip(f"no node-opcua in {MODULES}; run: make interop-deps")


@pytest_asyncio.fixture(loop_scope="session")
async def start_node(node_opcua, tmp_path):  # noqa: ARG001
    """Start clients: await start_node()."""
    running = []

    async def start():
        client = NodeClient(tmp_path / "node.log")
        await client.start()
        running.append(client)
        return client

    yield start
    for client in running:
        await client.stop()


@pytest.fixture(scope="session")
def node_identity(make_identity):
    return make_identity(URI)


@pytest.fixture(scope="session", params=LINES)
def line(request, node_opcua):  # noqa: ARG001
    """(policy, plant that speaks it, who we are there or None)."""
    if request.param == "None":
        return request.param, request.getfixturevalue("plant"), None
    identity = request.getfixturevalue("node_identity")
    return request.param, request.getfixturevalue("encrypting"), identity


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def operator(line, tmp_path_factory, captured):
    """An operator on each line, logged in: (client, plant)."""
    policy, target, identity = line
    client = NodeClient(tmp_path_factory.mktemp("node") / "node.log")
    await client.start()
    try:
        async with captured(target.url, f"node-opcua-{policy}") as relay:
            await client.login(target, "operator", line=policy, identity=identity, url=relay.url)
            client.line, client.exchange = policy, relay.file
            yield client, target
            await client.do("disconnect")
    finally:
        await client.stop()


@pytest.fixture(scope="session")
def refused():
    return RefusedError
