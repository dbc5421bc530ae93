"""Application certificates (X.509): reading them, judging them, and the folder of trusted ones.

Trust is by certificate, not by issuer: a peer is trusted when its very certificate lies in the
folder, so that trust ends when the file is removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from controller.configuration.file_mode import refuse_open
from controller.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY_BITS = range(2048, 4097)
"""RSA key lengths of both policies (OPC 10000-7: Basic256Sha256, Aes256_Sha256_RsaPss)."""

LARGEST_FILE = 64 * 1024
"""A longer file is no certificate."""

ENDINGS = frozenset({".der", ".pem", ".crt", ".cer"})
SECONDS_A_DAY = 86400.0
MALFORMED = (ValueError, IndexError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm)
"""What `cryptography` raises on reading something that is not quite a certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A certificate in a folder; None where the file holds none."""

    file: Path
    certificate: x509.Certificate | None


def thumbprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate, 64 hexadecimal digits."""
    return certificate.fingerprint(SHA256()).hex()


def short_thumbprint(certificate: x509.Certificate) -> str:
    """Return the SHA-1, which other OPC UA tools show as "the" thumbprint."""
    return certificate.fingerprint(SHA1()).hex()  # noqa: S303 - a name, not a proof


def subject(certificate: x509.Certificate) -> str:
    """Return whose certificate it is, in one printable line."""
    try:
        text = certificate.subject.rfc4514_string()
    except ValueError:
        return "unreadable"
    return "".join(c if c.isprintable() else "?" for c in text)[:200] or "no name"


def uris(certificate: x509.Certificate) -> list[str]:
    """Return the URIs that it names; the application's own is among them."""
    names = _alternative_names(certificate)
    return names.get_values_for_type(x509.UniformResourceIdentifier) if names else []


def hosts(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names and IP addresses that it names."""
    names = _alternative_names(certificate)
    if names is None:
        return []
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return names.get_values_for_type(x509.DNSName) + addresses


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None


def days_left(certificate: x509.Certificate, now: datetime | None = None) -> float:
    """Days until it expires; negative when it has."""
    end = certificate.not_valid_after_utc
    return (end - (now or datetime.now(UTC))).total_seconds() / SECONDS_A_DAY


def fault(certificate: x509.Certificate, now: datetime | None = None) -> str | None:
    """Why nobody should accept this certificate now, whoever shows it; None where nothing is."""
    now = now or datetime.now(UTC)
    if certificate.not_valid_after_utc < now:
        return f"it expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if certificate.not_valid_before_utc > now:
        return f"it is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    try:
        key = certificate.public_key()
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    except MALFORMED:
        return "its key cannot be read"
    if not isinstance(key, RSAPublicKey) or key.key_size not in KEY_BITS:
        return "its key is not RSA of 2048 to 4096 bits"
    encrypts = usage is None or usage.key_encipherment or usage.data_encipherment
    if not encrypts or not (usage is None or usage.digital_signature):
        return "its key is not meant for signing and encrypting"
    return None


def parse(content: bytes) -> x509.Certificate | None:
    """Return the certificate in DER or PEM; None where it holds none."""
    try:
        if content.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except MALFORMED:
        return None


def load_certificate(file: Path, *, key: str, action: str) -> x509.Certificate:
    """Read a certificate.  key, action: for the ConfigError that is raised where there is none."""
    try:
        content = file.read_bytes()[:LARGEST_FILE]
    except OSError as error:
        raise ConfigError(
            file=file, key=key, received=error.strerror or str(error),
            allowed="a certificate file, DER or PEM", action=action,
        ) from None  # fmt: skip
    certificate = parse(content)
    if certificate is None:
        raise ConfigError(
            file=file, key=key, received="no certificate",
            allowed="an X.509 certificate, DER or PEM", action=action,
        )  # fmt: skip
    return certificate


def load_key(file: Path, *, key: str, action: str) -> RSAPrivateKey:
    """Read a private key that only its owner can read.  Raises ConfigError, which shows none."""
    try:
        mode, content = file.stat().st_mode & 0o777, file.read_bytes()
    except OSError as error:
        raise ConfigError(
            file=file, key=key, received=error.strerror or str(error),
            allowed="a private key, PEM, without password", action=action,
        ) from None  # fmt: skip
    refuse_open(file, mode, key=key)
    try:
        loaded = load_pem_private_key(content, password=None)
    except MALFORMED:
        loaded = None
    if not isinstance(loaded, RSAPrivateKey):
        raise ConfigError(
            file=file, key=key, received="no such key", allowed="an RSA key, PEM, without password",
            action=action,
        )  # fmt: skip
    return loaded


def kept(folder: Path) -> Iterator[Kept]:
    """Every certificate file in a folder, by name; none where there is no folder."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    except OSError:
        return
    for file in files:
        try:
            small = file.stat().st_size <= LARGEST_FILE
            yield Kept(file=file, certificate=parse(file.read_bytes()) if small else None)
        except OSError:
            yield Kept(file=file, certificate=None)


def is_kept(certificate: x509.Certificate, folder: Path) -> bool:
    """Whether this very certificate lies in the folder."""
    return any(item.certificate == certificate for item in kept(folder))
