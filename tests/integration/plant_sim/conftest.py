"""A real `trimtab-plant serve` process on a free loopback port, and clients to talk to it."""

import asyncio
import contextlib
import datetime as dt
import json
import subprocess
import sys
import time
import tomllib

import pytest
from asyncua import Client, ua
from asyncua.crypto import security_policies, uacrypto
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from plant_sim.opcua.methods import METHODS
from plant_sim.unit.tag_table import FOLDERS, TAGS
from plant_sim.unit.tags import NAMESPACE, Kind

COMMAND = [sys.executable, "-m", "plant_sim.cli"]
START_LIMIT_S = 60.0
TYPES = {tag.path: ua.VariantType[tag.kind.value] for tag in TAGS}


class Peer:
    """One logged-in session; tags by browse path."""

    def __init__(self, client, index):
        self.client = client
        self.ids = {tag.path: ua.NodeId(tag.number, index) for tag in TAGS}
        self.methods = {method.path: method for method in METHODS}
        self.index = index

    async def data(self, *paths):
        """Data values, status and time stamps included."""
        nodes = [self.client.get_node(self.ids[path]) for path in paths]
        return await self.client.read_attributes(nodes)

    async def read(self, *paths):
        values = [data.Value.Value for data in await self.data(*paths)]
        return values[0] if len(paths) == 1 else values

    async def write(self, items):
        """One Write request; the status names in order. Values may be variants or data values."""
        params = ua.WriteParameters()
        for path, value in items:
            item = ua.WriteValue(NodeId=self.ids[path], AttributeId=ua.AttributeIds.Value)
            if isinstance(value, ua.DataValue):
                item.Value = value
            elif isinstance(value, ua.Variant):
                item.Value = ua.DataValue(value)
            else:
                item.Value = ua.DataValue(ua.Variant(value, TYPES[path]))
            params.NodesToWrite.append(item)
        return [status.name for status in await self.client.uaclient.write(params)]

    async def put(self, path, value):
        assert await self.write([(path, value)]) == ["Good"], path

    async def call(self, path, *values):
        """Status name and output values of one method call."""
        method = self.methods[path]
        kinds = [Kind(argument.kind) for argument in method.inputs]
        request = ua.CallMethodRequest(
            ObjectId=ua.NodeId(FOLDERS[path.rpartition("/")[0]], self.index),
            MethodId=ua.NodeId(method.number, self.index),
            InputArguments=[
                value
                if isinstance(value, ua.Variant)
                else ua.Variant(value, ua.VariantType[kind.value])
                for kind, value in zip(kinds, values, strict=False)
            ],
        )
        (result,) = await self.client.uaclient.call([request])
        return result.StatusCode.name, [variant.Value for variant in result.OutputArguments]

    async def do(self, path, *values):
        status, outputs = await self.call(path, *values)
        assert status == "Good", path
        return outputs

    async def until(self, path, wanted, limit_s=5.0):
        """Poll until the tag shows what is wanted (a value or a test of it)."""
        right = wanted if callable(wanted) else lambda value: value == wanted
        end_s = time.monotonic() + limit_s
        while not right(value := await self.read(path)):
            assert time.monotonic() < end_s, f"{path} still {value!r}"
            await asyncio.sleep(0.01)
        return value


POLICIES = {
    "Aes256Sha256RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
}


class Identity:
    """A client application: its URI, key and certificate."""

    def __init__(self, uri="urn:test:client", *, days=(-1, 10), bits=2048, usage=True, key=None):
        self.uri = uri
        self.key = key or rsa.generate_private_key(public_exponent=65537, key_size=bits)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        now = dt.datetime.now(dt.UTC)
        first, last = (now + dt.timedelta(days=day) for day in days)
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        purposes = {
            **dict.fromkeys(("digital_signature", "key_encipherment", "data_encipherment"), usage),
            **dict.fromkeys(("content_commitment", "key_cert_sign"), True),
            **dict.fromkeys(("key_agreement", "crl_sign", "encipher_only", "decipher_only"), False),
        }
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(first)
            .not_valid_after(last)
            .add_extension(names, critical=False)
            .add_extension(x509.KeyUsage(**purposes), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.der = uacrypto.der_from_x509(self.certificate)

    def client(self, plant, policy="Aes256Sha256RsaPss"):
        """A client that will sign and encrypt, not connected, nobody logged in."""
        client = Client(plant.endpoint, timeout=5)
        client.application_uri = self.uri
        client.security_policy = POLICIES[policy](
            plant.certificate, self.certificate, self.key, ua.MessageSecurityMode.SignAndEncrypt
        )
        client.uaclient.set_security(client.security_policy)
        return client


class RunningPlant:
    """A server process."""

    def __init__(self, directory, *options):
        self.directory = directory
        self.credentials = directory / "users.toml"
        self.trend = directory / "trend.csv"
        self.pki = directory / "pki"
        ready = directory / "ready.json"
        self.log = directory / "log.txt"
        files = ("--credentials", self.credentials, "--trend", self.trend, "--ready-file", ready)
        files += ("--pki", self.pki)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--insecure", "--port", "0", *map(str, files), *options],
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        end_s = time.monotonic() + START_LIMIT_S
        while not ready.exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end_s, self.log.read_text()
            time.sleep(0.02)
        self.ready = json.loads(ready.read_text())
        self.endpoint = self.ready["endpoint"]
        self.passwords = {
            name: entry["password"]
            for name, entry in tomllib.loads(self.credentials.read_text())["users"].items()
        }

    @property
    def certificate(self):
        """The server's certificate."""
        file = self.pki / "own" / "certificate.der"
        return x509.load_der_x509_certificate(file.read_bytes())

    def trust(self, identity):
        (self.pki / "trusted" / f"{identity.certificate.serial_number}.der").write_bytes(
            identity.der
        )

    @contextlib.asynccontextmanager
    async def peer(self, user, identity=None, *, endpoint=None):
        """A session of `user`, at the only or first unit unless told which.

        identity: of the client, None: in clear.
        """
        at = endpoint or self.endpoint
        client = Client(at, timeout=10) if identity is None else identity.client(self)
        client.set_user(user)
        client.set_password(self.passwords[user])
        async with client:
            yield Peer(client, await client.get_namespace_index(NAMESPACE))

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(20)
        assert "Traceback" not in self.log.read_text()
        return code


@pytest.fixture(scope="session")
def plant(tmp_path_factory):
    """One plant for the whole session; every test resets it to what it needs."""
    running = RunningPlant(tmp_path_factory.mktemp("plant"), "--speed", "3000", "--noise")
    yield running
    assert running.stop() == 0


@pytest.fixture
def start_plant(tmp_path):
    """Start a plant of one's own: start_plant(*options)."""
    running = []

    def start(*options):
        running.append(RunningPlant(tmp_path, *options))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
async def fresh(plant):
    """The shared plant after a reset to grade_up, running at speed 3000."""
    async with plant.peer("engineer") as engineer:
        await engineer.put("APC/HeartbeatTimeout", 3.0)
        await engineer.put("APC/ShedOption", 0)
        await engineer.put("Sim/Speed", 3000.0)
        await engineer.put("Sim/Paused", False)  # noqa: FBT003
        await engineer.do("Sim/Reset", "grade_up", 5)
    return plant


@pytest.fixture(scope="session")
def secure_plant(tmp_path_factory):
    """One encrypting plant for the whole session."""
    folder = tmp_path_factory.mktemp("secure")
    running = RunningPlant(folder, "--secure", "--speed", "3000", "--noise")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def identity(secure_plant):
    """A client that the encrypting plant trusts."""
    trusted = Identity()
    secure_plant.trust(trusted)
    return trusted


@pytest.fixture
def make_identity():
    """Other clients, trusted by nobody yet: make_identity(uri, days=..., bits=..., usage=...)."""
    return Identity
