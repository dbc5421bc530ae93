"""[security]: what is accepted, where the files are, and which server is the right one."""

import datetime as dt
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from controller.configuration.security import on_loopback
from controller.configuration.settings import load_settings
from controller.errors import ConfigError
from controller.metrics import Labelling, Metrics
from controller.opcua.certificates import thumbprint
from controller.opcua.endpoint import Endpoint
from controller.opcua.pki import Folder, wish
from controller.opcua.security import ServerRefusedError, load_security
from controller.refusals import CERTIFICATE_REFUSED

SCAN = "[scan]\nperiod_s = 300.0\n"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("TRIMTAB_") or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("made") / "pki")
    folder.init(wish(uri="urn:test:ours", given=(), days=30), 2048)
    return folder


def loaded(tmp_path, text):
    path = tmp_path / "controller.toml"
    path.write_text(SCAN + text)
    return load_settings(path).security


def server_certificate(key, first_days=-1, last_days=1):
    now = dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=first_days))
        .not_valid_after(now + dt.timedelta(days=last_days))
        .sign(key, hashes.SHA256())
    )


def test_nothing_said_is_encrypted_with_the_folder_pki_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    security = loaded(tmp_path, "")
    assert (security.policy, security.insecure) == ("Aes256Sha256RsaPss", False)
    assert security.certificate_file == tmp_path / "pki" / "own" / "certificate.der"
    assert security.key_file == tmp_path / "pki" / "own" / "private_key.pem"
    assert security.trusted_folder == tmp_path / "pki" / "trusted"


def test_paths_are_relative_to_the_file_and_each_may_stand_alone(tmp_path):
    security = loaded(
        tmp_path,
        '[security]\npki = "certs"\nkey = "/run/key.pem"\nserver_certificate = "server.der"\n',
    )
    assert security.certificate_file == tmp_path / "certs" / "own" / "certificate.der"
    assert security.key_file == Path("/run/key.pem")
    assert security.trusted_folder == tmp_path / "certs" / "trusted"
    assert security.pinned_file == tmp_path / "server.der"
    assert security.pinned_digest is None


@pytest.mark.parametrize("text", ["AB" * 32, ":".join(["ab"] * 32), "ab " * 32])
def test_a_pin_in_any_spelling(tmp_path, text):
    security = loaded(tmp_path, f'[security]\nserver_certificate = "{text}"\n')
    assert security.pinned_digest == "ab" * 32
    assert security.pinned_file is None


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ('policy = "None"', "security.policy", "insecure = true"),
        ("insecure = true", "security.policy", '"None" together with insecure = true'),
        ('policy = "Basic128"', "security.policy", "Basic256Sha256"),
        ('polcy = "None"', "security.polcy", 'rename it to "policy"'),
        ('server_certificate = ""', "security.server_certificate", "sha256"),
        (
            'policy = "None"\ninsecure = true\n[server]\nurl = "opc.tcp://10.0.0.5:4840"',
            "server.url",
            "an address on this machine",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, key, said):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"[security]\n{text}\n")
    assert caught.value.key == key
    assert said in str(caught.value)
    assert "controller.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("[::1]", True), ("localhost", True),
        ("10.0.0.1", False), ("plant.example", False), ("127.0.0.1.example", False),
        ("localhost.example", False), ("0.0.0.0", False),  # noqa: S104
    ],
)  # fmt: skip
def test_what_never_leaves_this_machine(host, expected):
    assert on_loopback(f"opc.tcp://{host}:4840") is expected


def folder_settings(tmp_path, made, *, mode=0o600):
    folder = Folder(tmp_path / "pki")
    folder.certificate.parent.mkdir(parents=True)
    folder.certificate.write_bytes(made.certificate.read_bytes())
    folder.key.write_bytes(made.key.read_bytes())
    folder.key.chmod(mode)
    return folder, loaded(tmp_path, '[security]\npki = "pki"\n')


def test_certificate_and_key_are_loaded_and_the_key_is_never_shown(tmp_path, made):
    _, settings = folder_settings(tmp_path, made)
    security = load_security(settings)
    assert security.application_uri == "urn:test:ours"
    endpoint = Endpoint(
        url="opc.tcp://x", user=None, password=None, connect_timeout_s=1.0, security=security
    )
    assert "key=" not in repr(endpoint)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path, made, mode):
    _, settings = folder_settings(tmp_path, made, mode=mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_security(settings)


def test_a_key_that_systemd_guards_shows_a_group_bit(tmp_path, made, monkeypatch):
    _, settings = folder_settings(tmp_path, made, mode=0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(settings.key_file.parent))
    assert load_security(settings) is not None
    settings.key_file.chmod(0o444)
    with pytest.raises(ConfigError, match="mode 0444"):
        load_security(settings)


def test_a_certificate_of_another_key_an_old_one_and_none(tmp_path, made, key):
    folder, settings = folder_settings(tmp_path, made)
    for content, said in (
        (server_certificate(key).public_bytes(Encoding.DER), "another key"),
        (b"junk", "no certificate"),
    ):
        folder.certificate.write_bytes(content)
        with pytest.raises(ConfigError, match=said):
            load_security(settings)
    folder.certificate.unlink()
    with pytest.raises(ConfigError, match="trimtab certs init"):
        load_security(settings)


def test_an_own_certificate_that_expired_is_found_before_the_server_does(tmp_path, made):
    folder, settings = folder_settings(tmp_path, made)
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    own_key = load_pem_private_key(folder.key.read_bytes(), None)
    old = server_certificate(own_key, -10, -1)
    folder.certificate.write_bytes(old.public_bytes(Encoding.DER))
    with pytest.raises(ConfigError, match="trimtab certs renew"):
        load_security(settings)


@pytest.mark.parametrize(
    ("days", "said"), [((-10, -1), "expired"), ((1, 2), "not valid before"), ((-1, 1), None)]
)
def test_a_trusted_servers_certificate_must_be_valid_now(tmp_path, made, key, days, said):
    folder, settings = folder_settings(tmp_path, made)
    security = load_security(settings)
    server = server_certificate(key, *days)
    with pytest.raises(ServerRefusedError, match="is not in"):
        security.check(server)
    folder.trust(server)
    if said is None:
        security.check(server)
        return
    with pytest.raises(ServerRefusedError, match=said):
        security.check(server)


def test_a_pin_counts_alone(tmp_path, made, key):
    _, settings = folder_settings(tmp_path, made)
    server, other = server_certificate(key), server_certificate(key)
    pinned = settings.model_copy(update={"server_certificate": thumbprint(server)})
    security = load_security(pinned)
    security.check(server)
    with pytest.raises(ServerRefusedError, match="not the pinned one"):
        security.check(other)


def test_expiry_is_a_series_before_it_is_known():
    labels = Labelling(
        cvs=[], mvs=[], tags=[], modes=["INIT"], outcomes=[], refusals=[], period_s=1.0,
        deadline_s=0.5, version="0", model_name="m", model_version="1", model_sha256="0",
    )  # fmt: skip
    metrics = Metrics(labels)
    name = "trimtab_opcua_certificate_expiry_timestamp_seconds"
    for role in ("own", "server"):
        value = metrics.registry.get_sample_value(name, {"role": role})
        assert value != value  # noqa: PLR0124 - NaN


def test_what_a_server_says_of_certificates_has_names_in_opc_ua():
    from asyncua import ua

    for status in CERTIFICATE_REFUSED:
        assert hasattr(ua.StatusCodes, status)
