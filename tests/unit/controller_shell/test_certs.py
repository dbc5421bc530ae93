"""`trimtab certs`: what it makes, shows, renews and trusts, and what it refuses."""

import datetime as dt
import os
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from typer.testing import CliRunner

from controller.cli import main
from controller.opcua.certificates import fault, hosts, thumbprint, uris
from controller.opcua.pki import Folder, wish


def run(*argv, stdin=None):
    result = CliRunner().invoke(main, ["certs", *map(str, argv)], input=stdin)
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("made") / "pki")
    folder.init(wish(uri="urn:test:ours", given=("plant.example", "10.0.0.5"), days=30), 2048)
    return folder


@pytest.fixture
def pki(made, tmp_path):
    """A copy of a folder with key and certificate."""
    folder = Folder(tmp_path / "pki")
    for part in (folder.certificate.parent, folder.trusted, folder.rejected):
        part.mkdir(parents=True)
    folder.certificate.write_bytes(made.certificate.read_bytes())
    folder.key.touch(mode=0o600)
    folder.key.write_bytes(made.key.read_bytes())
    return folder


def peer(folder):
    return Folder(folder / "peer").init(wish(uri="urn:test:peer", given=(), days=5), 2048)


def files(folder):
    return sorted(path.name for path in folder.path.rglob("*") if path.is_file())


def test_init_makes_a_key_of_its_owner_and_a_certificate_that_names_the_application(tmp_path):
    result = run("init", "--pki", tmp_path / "pki", "--uri", "urn:a:b", "--host", "a.example",
                 "--days", 10)  # fmt: skip
    assert result.exit_code == 0, result.output
    folder = Folder(tmp_path / "pki")
    certificate = folder.own()
    assert stat.S_IMODE(folder.key.stat().st_mode) == 0o600
    assert uris(certificate) == ["urn:a:b"]
    assert hosts(certificate) == ["a.example"]
    assert fault(certificate) is None
    key = load_pem_private_key(folder.key.read_bytes(), None)
    assert key.key_size == 2048
    assert key.public_key() == certificate.public_key()
    assert thumbprint(certificate) in result.output
    assert "PRIVATE" not in result.output
    left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    assert dt.timedelta(days=9) < left <= dt.timedelta(days=10)
    assert files(folder) == ["certificate.der", "private_key.pem"]


def test_init_never_overwrites(pki):
    before = pki.certificate.read_bytes(), pki.key.read_bytes()
    result = run("init", "--pki", pki.path)
    assert result.exit_code == 2
    assert "trimtab certs renew" in result.output
    assert (pki.certificate.read_bytes(), pki.key.read_bytes()) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--uri", "no uri"), "--uri"),
        (("--bits", "1024"), "2048"),
        (("--days", "0"), "days"),
        (("--host", "grüße"), "--host"),
    ],
)
def test_init_names_what_is_wrong_and_leaves_nothing(tmp_path, options, said):
    result = run("init", "--pki", tmp_path / "pki", *options)
    assert result.exit_code == 2
    assert said in result.output
    assert list(tmp_path.rglob("*.*")) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "pki").write_text("a file")
    result = run("init", "--pki", tmp_path / "pki")
    assert result.exit_code == 2
    assert str(tmp_path / "pki") in result.output


@pytest.mark.parametrize("new_key", [False, True])
def test_renew_says_the_same_and_keeps_the_old(pki, new_key):
    old, old_key = pki.own(), pki.key.read_bytes()
    result = run("renew", "--pki", pki.path, "--days", 100, *(["--new-key"] if new_key else []))
    assert result.exit_code == 0, result.output
    new = pki.own()
    assert new != old
    assert (uris(new), hosts(new), new.subject) == (uris(old), hosts(old), old.subject)
    assert new.not_valid_after_utc > old.not_valid_after_utc
    assert (pki.key.read_bytes() != old_key) is new_key
    assert load_pem_private_key(pki.key.read_bytes(), None).public_key() == new.public_key()
    assert stat.S_IMODE(pki.key.stat().st_mode) == 0o600
    own = pki.certificate.parent
    kept_certificates = list(own.glob("certificate-until-*.der"))
    assert [path.read_bytes() for path in kept_certificates] == [old.public_bytes(Encoding.DER)]
    kept_keys = [path.read_bytes() for path in own.glob("private_key-until-*.pem")]
    assert kept_keys == ([old_key] if new_key else [])


def test_renew_keeps_what_the_certificate_is_for(pki):
    usage = x509.ExtendedKeyUsage
    before = pki.own().extensions.get_extension_for_class(usage).value
    run("renew", "--pki", pki.path)
    assert pki.own().extensions.get_extension_for_class(usage).value == before


@pytest.mark.parametrize("written", [0, 1])
def test_a_renewal_that_cannot_be_written_leaves_the_old_ones(pki, monkeypatch, written):
    before = pki.certificate.read_bytes(), pki.key.read_bytes()
    room = iter([None] * written)

    def full(_descriptor):
        if next(room, "full") == "full":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = run("renew", "--pki", pki.path, "--new-key")
    assert result.exit_code == 2
    assert "No space left" in result.output
    assert (pki.certificate.read_bytes(), pki.key.read_bytes()) == before
    assert not [name for name in files(pki) if name.startswith(".")]


def test_renew_without_anything_to_renew(tmp_path):
    result = run("renew", "--pki", tmp_path)
    assert result.exit_code == 2
    assert "trimtab certs init" in result.output


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_trust_shows_the_thumbprint_and_copies(pki, tmp_path, encoding):
    certificate = peer(tmp_path)
    file = tmp_path / "peer.cert"
    file.write_bytes(certificate.public_bytes(encoding))
    (pki.rejected / "x.der").write_bytes(certificate.public_bytes(Encoding.DER))
    asked = run("trust", file, "--pki", pki.path)
    assert asked.exit_code == 2
    assert thumbprint(certificate) in asked.output
    assert "--yes" in asked.output
    assert list(pki.trusted.iterdir()) == []
    result = run("trust", file, "--pki", pki.path, "--yes")
    assert result.exit_code == 0, result.output
    (held,) = pki.trusted.iterdir()
    assert held.read_bytes() == certificate.public_bytes(Encoding.DER)
    assert list(pki.rejected.iterdir()) == []


def test_trust_refuses_what_is_no_certificate_or_not_sound(pki, tmp_path):
    junk = tmp_path / "junk.der"
    junk.write_bytes(b"junk")
    for given in ((junk,), (tmp_path / "none.der",), (), (junk, "--from-url", "opc.tcp://x")):
        result = run("trust", *given, "--pki", pki.path, "--yes")
        assert result.exit_code == 2, given
    elliptic = tmp_path / "ec.der"
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    elliptic.write_bytes(
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    result = run("trust", elliptic, "--pki", pki.path, "--yes")
    assert result.exit_code == 2
    assert "RSA" in result.output
    assert list(pki.trusted.iterdir()) == []


def test_trust_from_a_server_that_is_not_there(pki):
    result = run("trust", "--from-url", "opc.tcp://127.0.0.1:9", "--pki", pki.path, "--yes")
    assert result.exit_code == 4
    assert "opc.tcp://127.0.0.1:9" in result.output


def test_show_is_plain_when_piped(pki, tmp_path):
    certificate = peer(tmp_path)
    pki.trust(certificate)
    (pki.rejected / "junk.der").write_bytes(b"junk")
    result = run("show", "--pki", pki.path)
    assert result.exit_code == 0
    heading, own, trusted, rejected = result.output.splitlines()
    assert heading.split("\t")[1] == "subject"
    assert own.split("\t")[2:4] == ["urn:test:ours", thumbprint(pki.own())]
    assert trusted.split("\t")[3] == thumbprint(certificate)
    assert "not a certificate" in rejected


def test_show_without_a_folder(tmp_path):
    result = run("show", "--pki", tmp_path / "none")
    assert result.exit_code == 2
    assert "trimtab certs init" in result.output


def test_a_certificate_is_judged_by_the_clock(pki):
    certificate = pki.own()
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    assert "not valid before" in fault(certificate, begin - dt.timedelta(seconds=1))
    assert fault(certificate, begin) is None
    assert fault(certificate, end) is None
    assert "expired" in fault(certificate, end + dt.timedelta(seconds=1))
