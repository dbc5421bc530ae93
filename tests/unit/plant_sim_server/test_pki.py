"""The server's folder of certificates."""

import stat
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from plant_sim.errors import ConfigurationError
from plant_sim.opcua.pki import application_uris, open_pki

URI = "urn:test:server"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "pki"
    open_pki(folder, URI)
    return folder


def copied(made, tmp_path):
    folder = tmp_path / "pki"
    (folder / "own").mkdir(parents=True)
    for name in ("certificate.der", "private_key.pem"):
        (folder / "own" / name).touch(mode=0o600)
        (folder / "own" / name).write_bytes((made / "own" / name).read_bytes())
    return folder


def test_the_first_start_makes_a_pair_and_the_next_reads_it(tmp_path):
    first = open_pki(tmp_path / "pki", URI)
    key_file = tmp_path / "pki" / "own" / "private_key.pem"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert application_uris(first.certificate) == [URI]
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert key.public_key() == first.certificate.public_key()
    assert first.trusted.is_dir()
    assert first.rejected.is_dir()
    assert open_pki(tmp_path / "pki", URI).certificate == first.certificate
    assert "key=" not in repr(first)


def spoil_mode(folder):
    (folder / "own" / "private_key.pem").chmod(0o640)


def spoil_certificate(folder):
    (folder / "own" / "certificate.der").write_bytes(b"junk")


def spoil_key(folder):
    (folder / "own" / "private_key.pem").write_text("junk")


def lose_key(folder):
    (folder / "own" / "private_key.pem").unlink()


def swap_key(folder):
    open_pki(folder.parent / "other", URI)
    other = folder.parent / "other" / "own" / "private_key.pem"
    (folder / "own" / "private_key.pem").write_bytes(other.read_bytes())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_mode, "chmod 600"),
        (spoil_certificate, "DER certificate"),
        (spoil_key, "PEM key"),
        (lose_key, "private_key.pem"),
        (swap_key, "does not belong"),
    ],
)
def test_a_folder_that_is_not_in_order_is_refused(made, tmp_path, spoil, said):
    folder = copied(made, tmp_path)
    spoil(folder)
    with pytest.raises(ConfigurationError, match=said) as caught:
        open_pki(folder, URI)
    assert str(folder) in str(caught.value)


def test_the_certificate_of_another_application_is_refused(made, tmp_path):
    with pytest.raises(ConfigurationError, match="urn:test:another"):
        open_pki(copied(made, tmp_path), "urn:test:another")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "pki").write_text("a file")
    with pytest.raises(ConfigurationError, match=r"security\.pki"):
        open_pki(tmp_path / "pki", URI)


BOUNDED = """
import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from plant_sim.opcua.decoding import MAX_RESHAPED, bound_decoder

bound_decoder()
bound_decoder()
with pytest.raises(ua.UaError, match="array of nothing"):
    ua_binary.variant_from_binary(Buffer(b"\\x80\\xff\\xff\\xff\\x7f"))
many = (MAX_RESHAPED + 1).to_bytes(4, "little")
with pytest.raises(ua.UaError, match="Dimensions"):
    ua_binary.variant_from_binary(Buffer(b"\\xc6" + bytes(4) + b"\\x01\\x00\\x00\\x00" + many))
numbers = ua_binary.variant_to_binary(ua.Variant([1, 2], ua.VariantType.UInt32))
assert ua_binary.variant_from_binary(Buffer(numbers)).Value == [1, 2]
"""


def test_the_decoder_is_bounded():
    """In a process of its own: asyncua's decoder is one for all that a process has of it."""
    done = subprocess.run([sys.executable, "-c", BOUNDED], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
