"""The encrypted line to a server of another make: trust both ways, AUTO, a new certificate."""

import asyncio
import contextlib
import signal

import pytest
from typer.testing import CliRunner

from controller.cli import main
from controller.configuration.security import SecuritySettings
from controller.opcua.endpoint import Endpoint
from controller.opcua.security import load_security
from tests.interop.conftest import TAGS, URI, Controller, ForeignPlant, Operator, checked
from tests.support.waiting import until

USERS = {"apc": "quarry-lantern-62", "operator": "thistle-anvil-17"}
POLICIES = ("Aes256Sha256RsaPss", "Basic256Sha256")


class SecuredPlant(ForeignPlant):
    """Encrypted only, users only; our certificate and whom we trust are in the folder `ours`."""

    def __init__(self, folder):
        users = ",".join(f"{name}:{password}" for name, password in USERS.items())
        super().__init__(folder, speed=600.0, options=("--users", users))
        self.ours = folder / "ours"

    @contextlib.asynccontextmanager
    async def operator(self):
        endpoint = Endpoint(
            url=self.url,
            user="operator",
            password=USERS["operator"],
            connect_timeout_s=10.0,
            security=load_security(SecuritySettings(pki=self.ours)),
        )
        client = endpoint.client()
        await endpoint.connect(client)
        try:
            yield Operator(client, await client.get_namespace_index(URI))
        finally:
            await client.disconnect()

    def controller(self, folder, *, policy=POLICIES[0], password=USERS["apc"]):
        secret = folder / "password"
        secret.touch(0o600)
        secret.write_text(password, encoding="utf-8")
        return Controller(
            folder,
            self,
            TAGS,
            account=f'user = "apc"\npassword_file = "{secret}"\nconnect_timeout_s = 10.0',
            security=f'policy = "{policy}"\npki = "{self.ours}"',
        )

    def certs(self, *argv):
        found = CliRunner().invoke(main, ["certs", *argv, "--pki", str(self.ours)])
        assert found.exit_code == 0, found.output

    def trust(self):
        self.certs("trust", "--from-url", self.url, "--yes")

    def admit(self):
        """The DCS's administrator trusts what knocked."""
        rejected = list((self.folder / "pki" / "rejected").glob("*.pem"))
        assert len(rejected) == 1
        for file in rejected:
            file.rename(self.folder / "pki" / "trusted" / "certs" / file.name)

    def new_certificate(self):
        (self.folder / "pki" / "own" / "certs" / "certificate.pem").unlink()


@pytest.fixture
def plant(node_opcua, tmp_path):  # noqa: ARG001
    plant = SecuredPlant(tmp_path)
    plant.start()
    yield plant
    plant.end()


async def asked(controller):
    return await asyncio.to_thread(checked, controller)


async def test_trust_both_ways_then_auto_and_a_new_certificate_must_be_trusted_anew(
    plant, tmp_path
):
    controller = plant.controller(tmp_path)
    plant.certs("init")
    code, text = await asked(controller)
    assert (code, "is not trusted" in text) == (4, True), text
    await asyncio.to_thread(plant.trust)
    code, text = await asked(controller)
    assert (code, "refuses our certificate" in text) == (4, True), text
    plant.admit()

    async def admitted() -> bool:  # it watches its folder
        code, _ = await asked(controller)
        return code == 0

    await until(admitted, 20.0, "the DCS trusts us")
    for policy in reversed(POLICIES):
        code, text = await asked(plant.controller(tmp_path, policy=policy))
        assert code == 0, text
        assert f"{policy}, signed and encrypted" in text
    code, text = await asked(plant.controller(tmp_path, password="of-nobody"))  # noqa: S106
    assert (code, 'refuses the user "apc"' in text) == (4, True), text

    controller = plant.controller(tmp_path)
    await asyncio.to_thread(controller.start)
    try:
        await auto_then_a_new_certificate(plant, controller)
    finally:
        controller.process.stop()


async def auto_then_a_new_certificate(plant, controller):
    async with plant.operator() as operator:
        await operator.select("REMOTE")
        await controller.reaches("AUTO")
    plant.end(signal.SIGKILL)
    await controller.reaches("SHED")
    plant.new_certificate()
    await asyncio.to_thread(plant.start, selector="REMOTE")
    await asyncio.to_thread(controller.process.says, "server not trusted")
    assert not controller.rows(1)[0]["connected"]
    await asyncio.to_thread(plant.trust)
    await controller.until(lambda row: row["connected"], "the DCS is trusted again", seconds=30.0)
    async with plant.operator() as operator:
        await operator.shows("LOCAL")  # what the dead session had left is let go
        assert controller.rows(1)[0]["mode_after"] == "SHED"
        await operator.select("REMOTE")
        await controller.reaches("AUTO")
