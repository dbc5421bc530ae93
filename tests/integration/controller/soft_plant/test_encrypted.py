"""The encrypted line from both ends: the walk to trust, AUTO on it, impostors."""

import asyncio
import contextlib
import json
import shutil
from dataclasses import replace

import pytest
import pytest_asyncio
from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.server import binary_server_asyncio
from asyncua.server.uaprocessor import UaProcessor
from asyncua.server.user_managers import UserManager
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from controller.cli import main
from controller.configuration.security import SecuritySettings
from controller.opcua.certificates import thumbprint
from controller.opcua.endpoint import FAULTS, Endpoint
from controller.opcua.pki import Folder, wish
from controller.opcua.security import NOT_OFFERED, NOT_TRUSTED, ServerRefusedError, load_security
from tests.support.processes import free_port

SECRET = "never-to-be-sent"  # noqa: S105 - a test's
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def encrypting(tmp_path_factory, plant_class):
    """A soft plant that encrypts."""
    plant = plant_class(tmp_path_factory.mktemp("encrypting"), secure=True)
    await plant.start()
    yield plant
    await plant.stop()


@pytest.fixture
def ours(tmp_path):
    """A new folder of certificates."""
    folder = Folder(tmp_path / "pki")
    folder.init(wish(uri="urn:test:controller", given=(), days=5), 2048)
    return folder


def security_of(folder, **changes):
    return load_security(SecuritySettings(pki=folder.path, **changes))


def endpoint(url, folder, **changes):
    return Endpoint(
        url=url, user="apc", password=SECRET, connect_timeout_s=5.0,
        security=security_of(folder, **changes),
    )  # fmt: skip


async def ended(controller, command, *more):
    controller.launch(command, *more)
    code = await asyncio.to_thread(controller.process.popen.wait, 60.0)
    text = controller.process.text()
    assert "Traceback" not in text
    return code, " ".join(text.split())


async def test_the_walk_to_trust_and_auto_on_the_encrypted_line(
    encrypting, make_controller, tmp_path
):
    pki = tmp_path / "pki"
    controller = make_controller()
    password = encrypting.password("apc")
    controller.configure(encrypting.url, password, f"pki = {json.dumps(str(pki))}")
    code, text = await ended(controller, "check")
    assert code == 2
    assert "trimtab certs init" in text

    def certs(*argv):
        return CliRunner().invoke(main, ["certs", *argv, "--pki", str(pki)])

    assert certs("init").exit_code == 0
    code, text = await ended(controller, "check")
    assert code == 4
    assert "no password was sent" in text
    assert "trimtab certs trust --from-url" in text
    assert "login" not in encrypting.process.text()

    shown = await asyncio.to_thread(certs, "trust", "--from-url", encrypting.url, "--yes")
    assert shown.exit_code == 0, shown.output
    assert thumbprint(Folder(encrypting.pki).own()) in shown.output
    code, text = await ended(controller, "check")
    assert code == 4
    assert "refuses our certificate (BadSecurityChecksFailed)" in text
    assert thumbprint(Folder(pki).own()) in text

    (rejected,) = (encrypting.pki / "rejected").iterdir()
    shutil.move(rejected, encrypting.pki / "trusted")
    code, text = await ended(controller, "check")
    assert code == 0, text
    assert "Aes256Sha256RsaPss, signed and encrypted" in text
    out = tmp_path / "proposed.toml"
    browse = ["tags", "browse", "--url", encrypting.url, "--user", "apc", "--password-file"]
    browse += [str(tmp_path / "apc.password"), "--config", str(controller.config), "--out"]
    browsed = await asyncio.to_thread(CliRunner().invoke, main, [*browse, str(out)])
    assert browsed.exit_code == 0, browsed.output

    await controller.start()
    async with encrypting.login("operator", security_of(Folder(pki))) as operator:
        await operator.auto()
        await asyncio.sleep(1.0)
        assert await controller.mode() == "AUTO"
        samples = await controller.metrics()
        name = "trimtab_opcua_certificate_expiry_timestamp_seconds"
        for role, certificate in (
            ("own", Folder(pki).own()),
            ("server", Folder(encrypting.pki).own()),
        ):
            expected = certificate.not_valid_after_utc.timestamp()
            assert samples[name, (("role", role),)] == expected
    assert await controller.process.end() == 0
    rows = controller.rows()
    assert sum(row["written"] for row in rows) >= 3
    assert all(row["certified"] for row in rows if row["written"])
    for text in (controller.process.text(), encrypting.process.text()):
        assert password not in text
        assert "PRIVATE KEY" not in text


async def test_a_restarted_plant_is_found_again_encrypted(encrypting, make_controller, ours):
    plants = Folder(encrypting.pki)
    ours.trust(plants.own())
    plants.trust(ours.own())
    controller = make_controller()
    pki = f"pki = {json.dumps(str(ours.path))}"
    controller.configure(encrypting.url, encrypting.password("apc"), pki)
    await controller.start()
    await encrypting.stop()
    await encrypting.start()
    async with asyncio.timeout(15.0):
        while (await controller.metrics())["trimtab_opcua_reconnects_total", ()] < 1.0:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await controller.process.end() == 0


async def test_clear_text_to_an_encrypting_plant_is_told_what_to_do(encrypting, make_controller):
    controller = make_controller()
    controller.configure(encrypting.url, encrypting.password("apc"))
    code, text = await ended(controller, "run")
    assert code == 4
    assert "BadSecurityModeInsufficient" in text
    assert "trimtab certs init" in text


@pytest.mark.parametrize("how", ["sha256", "file", "colons"])
async def test_a_pinned_server(encrypting, ours, tmp_path, how):
    certificate = Folder(encrypting.pki).own()
    Folder(encrypting.pki).trust(ours.own())
    file = tmp_path / "server.pem"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    digest = thumbprint(certificate)
    colons = ":".join(digest[i : i + 2].upper() for i in range(0, 64, 2))
    pin = {"sha256": digest, "file": str(file), "colons": colons}[how]
    async with encrypting.login("apc", security_of(ours, server_certificate=pin)):
        pass
    wrong = endpoint(encrypting.url, ours, server_certificate="00" * 32)
    with pytest.raises(ServerRefusedError, match="not the pinned one") as caught:
        await wrong.connect(wrong.client())
    assert caught.value.status == NOT_TRUSTED


async def test_a_policy_that_is_not_offered(soft_plant, ours):
    secured = endpoint(soft_plant.url, ours)
    with pytest.raises(ServerRefusedError, match="the server offers None None_") as caught:
        await secured.connect(secured.client())
    assert caught.value.status == NOT_OFFERED


class Listening(UserManager):
    """A server that hears whatever it is told."""

    def __init__(self) -> None:
        self.heard = []

    def get_user(self, iserver, username=None, password=None, certificate=None):  # noqa: ARG002
        self.heard.append((username, password))


class Forger(UaProcessor):
    """A server that signs the new session with something else than its key."""

    def send_response(self, requesthandle, seqhdr, response, *more):
        if isinstance(response, ua.CreateSessionResponse):
            response.Parameters.ServerSignature.Signature = bytes(256)
        super().send_response(requesthandle, seqhdr, response, *more)


class Silent(UaProcessor):
    """A server that opens no channel in clear, not even to be asked for its certificate."""

    def open_secure_channel(self, algohdr, seqhdr, body):
        if algohdr.SecurityPolicyURI == SecurityPolicyNone.URI:
            raise ServiceError(ua.StatusCodes.BadSecurityPolicyRejected)
        super().open_secure_channel(algohdr, seqhdr, body)


@contextlib.asynccontextmanager
async def impostor(folder, application, *, port=0, twist=None):
    """An encrypting server with the key and certificate of this folder.

    twist: changes each endpoint that it tells of.
    """
    users = Listening()
    server = Server(user_manager=users)
    await server.init()
    if twist is not None:
        told = server.iserver.get_endpoints

        async def twisted(*arguments, **keywords):
            return [twist(one) for one in await told(*arguments, **keywords)]

        server.iserver.get_endpoints = twisted
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt])
    await server.set_application_uri(application)
    await server.load_certificate(folder.certificate)
    await server.load_private_key(folder.key)
    async with server:
        yield f"opc.tcp://127.0.0.1:{server.bserver.port}", users
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("trusted", "application", "said"),
    [
        (False, "urn:test:server", "is not in"),
        (True, "urn:test:another", "the server says it is 'urn:test:another'"),
        (True, "urn:test:server", None),
    ],
    ids=["untrusted", "another application", "positive control"],
)
async def test_an_impostor_hears_no_password(ours, tmp_path, trusted, application, said):
    theirs = Folder(tmp_path / "theirs")
    theirs.init(wish(uri="urn:test:server", given=(), days=5), 2048)
    if trusted:
        ours.trust(theirs.own())
    async with impostor(theirs, application) as (url, users):
        secured = endpoint(url, ours)
        client = secured.client()
        if said is None:
            with pytest.raises(ua.UaStatusCodeError):
                await secured.connect(client)
            assert users.heard == [("apc", SECRET)]
        else:
            with pytest.raises(ServerRefusedError, match=said):
                await secured.connect(client)
            assert users.heard == []


async def test_a_server_that_is_silent_in_clear_is_reached_by_its_certificate(
    ours, tmp_path, monkeypatch
):
    """asyncua asks for the certificate in clear, unless it is given."""
    theirs = Folder(tmp_path / "theirs")
    theirs.init(wish(uri="urn:test:server", given=(), days=5), 2048)
    ours.trust(theirs.own())
    monkeypatch.setattr(binary_server_asyncio, "UaProcessor", Silent)
    async with impostor(theirs, "urn:test:server") as (url, users):
        asking = replace(endpoint(url, ours), connect_timeout_s=1.0)
        client = asking.client()
        with pytest.raises(FAULTS):
            await asking.connect(client)
        client.disconnect_socket()
        assert users.heard == []
        secured = endpoint(url, ours, server_certificate=str(theirs.certificate))
        with pytest.raises(ua.UaStatusCodeError):  # it hears everybody and admits nobody
            await secured.connect(secured.client())
        assert users.heard == [("apc", SECRET)]


async def test_a_server_that_signs_wrongly_is_a_fault_of_the_line(ours, tmp_path, monkeypatch):
    theirs = Folder(tmp_path / "theirs")
    theirs.init(wish(uri="urn:test:server", given=(), days=5), 2048)
    ours.trust(theirs.own())
    monkeypatch.setattr(binary_server_asyncio, "UaProcessor", Forger)
    async with impostor(theirs, "urn:test:server") as (url, users):
        secured = endpoint(url, ours)
        with pytest.raises(FAULTS) as caught:
            await secured.connect(secured.client())
        assert "InvalidSignature" in type(caught.value).__name__
        assert users.heard == []


async def test_a_server_with_somebody_elses_certificate_hears_no_password(ours, tmp_path):
    """It shows a certificate that we trust, and has not its key."""
    real, fake = Folder(tmp_path / "real"), Folder(tmp_path / "fake")
    for folder in (real, fake):
        folder.init(wish(uri="urn:test:server", given=(), days=5), 2048)
    ours.trust(real.own())
    fake.certificate.write_bytes(real.certificate.read_bytes())
    async with impostor(fake, "urn:test:server") as (url, users):
        secured = endpoint(url, ours)
        client = secured.client()
        client.uaclient._timeout = 1.0
        with pytest.raises((ua.UaError, OSError, TimeoutError)):
            async with asyncio.timeout(3.0):
                await secured.connect(client)
        client.disconnect_socket()
        assert users.heard == []


@contextlib.asynccontextmanager
async def visited():
    """An address that counts who connects."""
    count = []

    async def serve(_reader, writer):
        count.append(1)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", count
    finally:
        server.close()


async def test_an_endpoint_that_lies_elsewhere_is_not_gone_to(ours, tmp_path):
    """The url of the configuration counts; what a server tells of others does not."""
    theirs = Folder(tmp_path / "theirs")
    theirs.init(wish(uri="urn:test:server", given=(), days=5), 2048)
    ours.trust(theirs.own())
    async with visited() as (elsewhere, count):

        def redirect(told):
            told.EndpointUrl = elsewhere
            told.Server.DiscoveryUrls = [elsewhere]
            return told

        async with impostor(theirs, "urn:test:server", twist=redirect) as (url, users):
            secured = endpoint(url, ours)
            with pytest.raises(ua.UaStatusCodeError):
                await secured.connect(secured.client())
            assert users.heard == [("apc", SECRET)]
        assert count == []


def unsigned(told):
    told.SecurityMode = ua.MessageSecurityMode.Sign
    return told


def in_clear(told):
    told.SecurityMode = ua.MessageSecurityMode.None_
    told.SecurityPolicyUri = "http://opcfoundation.org/UA/SecurityPolicy#None"
    return told


def older(told):
    told.SecurityPolicyUri = "http://opcfoundation.org/UA/SecurityPolicy#Basic128Rsa15"
    return told


@pytest.mark.parametrize("twist", [unsigned, in_clear, older])
@pytest.mark.parametrize("pinned", [False, True], ids=["asked first", "certificate at hand"])
async def test_a_server_that_offers_less_hears_no_password(ours, tmp_path, twist, pinned):
    """Neither before the channel nor, where nothing is asked in clear, after it."""
    theirs = Folder(tmp_path / "theirs")
    theirs.init(wish(uri="urn:test:server", given=(), days=5), 2048)
    ours.trust(theirs.own())
    changes = {"server_certificate": str(theirs.certificate)} if pinned else {}
    async with impostor(theirs, "urn:test:server", twist=twist) as (url, users):
        secured = endpoint(url, ours, **changes)
        client = secured.client()
        with pytest.raises((ServerRefusedError, ua.UaError)) as caught:
            await secured.connect(client)
        client.disconnect_socket()
        if not pinned:
            assert caught.value.status == NOT_OFFERED
        assert users.heard == []


@pytest.mark.parametrize("pinned", ["sha256", "file"])
async def test_a_certificate_that_changes_between_two_connects(ours, tmp_path, pinned):
    """A pin holds at every connect: another certificate, trusted or not, hears no password."""
    first, second = Folder(tmp_path / "first"), Folder(tmp_path / "second")
    port = free_port()
    for folder in (first, second):
        folder.init(wish(uri="urn:test:server", given=(), days=5), 2048)
        ours.trust(folder.own())
    pin = thumbprint(first.own()) if pinned == "sha256" else str(first.certificate)
    secured = endpoint(f"opc.tcp://127.0.0.1:{port}", ours, server_certificate=pin)
    async with impostor(first, "urn:test:server", port=port) as (_, users):
        with pytest.raises(ua.UaStatusCodeError):
            await secured.connect(secured.client())
        assert users.heard == [("apc", SECRET)]
    async with impostor(second, "urn:test:server", port=port) as (_, users):
        client = secured.client()
        client.uaclient._timeout = 1.0
        with pytest.raises((ServerRefusedError, *FAULTS)):
            async with asyncio.timeout(3.0):
                await secured.connect(client)
        client.disconnect_socket()
        assert users.heard == []
