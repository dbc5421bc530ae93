"""The server's own certificate, and which clients' certificates it trusts: one folder.

    pki/own/certificate.der, pki/own/private_key.pem   made at the first start
    pki/trusted/*.der, *.pem                           clients that may connect
    pki/rejected/*.der                                 clients that tried; move one to trust it

Trust is by certificate, not by issuer: a client is admitted when its very certificate lies in
`trusted`. The folder is read at every new channel, so that trust begins and ends with a file.
"""

import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import structlog
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import cert_gen, uacrypto
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from plant_sim.errors import ConfigurationError

VALID_DAYS = 730
MAX_REJECTED = 100
"""Files kept in `rejected`; strangers fill it, so the oldest make room."""
KEY_BITS = range(2048, 4097)
"""RSA key lengths of both policies (OPC 10000-7: Basic256Sha256, Aes256_Sha256_RsaPss)."""
CERTIFICATE_BYTES = 16 * 1024
"""A longer file in `trusted` is none."""

_log = structlog.get_logger("plant_sim.opcua.pki")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pki:
    """The server's certificate and key, and the folder of the clients' certificates."""

    folder: Path
    certificate: x509.Certificate
    key: RSAPrivateKey = field(repr=False)

    @property
    def trusted(self) -> Path:
        """Where the certificates of admitted clients lie."""
        return self.folder / "trusted"

    @property
    def rejected(self) -> Path:
        """Where the certificates of refused clients are left for an engineer to see."""
        return self.folder / "rejected"

    def admit(self, sent: bytes | None) -> None:
        """Raise ServiceError unless the certificate (DER, first of a chain) is trusted and sound.

        Whoever is not trusted learns no more than that (BadSecurityChecksFailed: OPC 10000-4,
        6.1.3).
        """
        certificate = _parsed(sent)
        if certificate is None:
            raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
        encoded = certificate.public_bytes(Encoding.DER)
        if encoded not in set(_encoded(self.trusted)):
            self._reject(certificate, encoded)
            raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
        code = _fault(certificate)
        if code is not None:
            _log.warning("trusted certificate refused", **_names(certificate), code=hex(code))
            raise ServiceError(code)

    def _reject(self, certificate: x509.Certificate, encoded: bytes) -> None:
        names = _names(certificate)
        file = self.rejected / f"{names['sha256'][:32]}.der"
        _log.warning("certificate not trusted", **names, file=str(file))
        try:
            if not file.exists():
                held = sorted(self.rejected.iterdir(), key=lambda path: path.stat().st_mtime)
                for old in held[: max(0, len(held) - MAX_REJECTED + 1)]:
                    old.unlink(missing_ok=True)
                file.write_bytes(encoded)
        except OSError as error:
            _log.warning("rejected certificate not kept", file=str(file), error=error.strerror)


def open_pki(folder: Path, application_uri: str) -> Pki:
    """Read the folder, or make it with a new key and certificate; raises ConfigurationError."""
    own = folder / "own"
    certificate_file, key_file = own / "certificate.der", own / "private_key.pem"
    try:
        for part in (own, folder / "trusted", folder / "rejected"):
            part.mkdir(parents=True, exist_ok=True)
        if not key_file.exists() and not certificate_file.exists():
            _make(certificate_file, key_file, application_uri)
        mode = key_file.stat().st_mode & 0o777
        key = load_pem_private_key(key_file.read_bytes(), password=None)
        certificate = x509.load_der_x509_certificate(certificate_file.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"security.pki = {str(folder)!r}: {error.filename or folder}: {error.strerror}; give a "
            "folder that can be written, or restore the missing file of the pair"
        ) from None
    except (ValueError, TypeError):
        raise ConfigurationError(
            f"security.pki = {str(folder)!r}: own/certificate.der must be a DER certificate and "
            "own/private_key.pem a PEM key without password; remove both to have new ones made"
        ) from None
    if mode & 0o077:
        raise ConfigurationError(
            f"{key_file}: mode {mode:04o} lets others read the key; allowed: 0600; "
            f"run: chmod 600 {key_file}"
        )
    _refuse_unfit(certificate_file, certificate, key, application_uri)
    return Pki(folder=folder, certificate=certificate, key=key)  # type: ignore[arg-type]


def application_uris(certificate: x509.Certificate) -> list[str]:
    """The URIs in a certificate's SubjectAltName; the application's own is among them."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return []
    return names.value.get_values_for_type(x509.UniformResourceIdentifier)


def _make(certificate_file: Path, key_file: Path, application_uri: str) -> None:
    host = socket.gethostname()
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(application_uri)]
    names += [x509.DNSName(name) for name in dict.fromkeys((host, "localhost"))]
    names.append(x509.IPAddress(ip_address("127.0.0.1")))
    key = cert_gen.generate_private_key()
    certificate = cert_gen.generate_self_signed_app_certificate(
        key,
        f"trimtab soft plant on {host}"[:64],
        {"organizationName": "trimtab"},
        names,
        [ExtendedKeyUsageOID.SERVER_AUTH],
        days=VALID_DAYS,
    )
    _write_whole(key_file, cert_gen.dump_private_key_as_pem(key))
    _write_whole(certificate_file, certificate.public_bytes(Encoding.DER))
    certificate_file.chmod(0o644)
    _log.info("certificate made", file=str(certificate_file), **_names(certificate))


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; `mkstemp` makes it mode 0600 from the start."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(name).replace(path)


def _refuse_unfit(file: Path, certificate: x509.Certificate, key: Any, uri: str) -> None:
    """Raise ConfigurationError for an own certificate that no client would accept."""
    renew = f"make a new one: trimtab certs renew --pki {file.parent.parent}"
    if not isinstance(key, RSAPrivateKey) or certificate.public_key() != key.public_key():
        raise ConfigurationError(
            f"{file}: does not belong to private_key.pem beside it; restore the pair, or remove "
            "both to have new ones made"
        )
    if uri not in application_uris(certificate):
        raise ConfigurationError(
            f"{file}: names {application_uris(certificate)} as application; must name {uri!r}; "
            "remove certificate and key to have new ones made"
        )
    if _fault(certificate) is not None:
        raise ConfigurationError(
            f"{file}: valid {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, key of {key.key_size} bits; must be "
            f"valid now, with 2048 to 4096 bits; {renew}"
        )


def _fault(certificate: x509.Certificate) -> int | None:
    """Status code of what is wrong with a certificate that is trusted; None where nothing is."""
    codes = ua.StatusCodes
    now = datetime.now(UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return int(codes.BadCertificateTimeInvalid)
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size not in KEY_BITS:
        return int(codes.BadCertificatePolicyCheckFailed)
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    signs, encrypts = usage.digital_signature, usage.key_encipherment or usage.data_encipherment
    return None if signs and encrypts else int(codes.BadCertificateUseNotAllowed)


def _parsed(sent: bytes | None) -> x509.Certificate | None:
    """The first certificate of what a stranger sent; None where that is none."""
    try:
        found: x509.Certificate | None = uacrypto.x509_from_der(sent)
    except (ValueError, IndexError, TypeError, x509.InvalidVersion):
        return None
    return found


def _encoded(folder: Path) -> Iterator[bytes]:
    """Every certificate in a folder, as DER; other files are passed over."""
    for path in folder.glob("*"):
        try:
            content = path.read_bytes() if path.stat().st_size <= CERTIFICATE_BYTES else b""
            if content.startswith(b"-----BEGIN"):
                content = x509.load_pem_x509_certificate(content).public_bytes(Encoding.DER)
        except (OSError, ValueError):
            continue
        yield content


def _names(certificate: x509.Certificate) -> dict[str, str]:
    """What a log says of a certificate."""
    try:
        subject = certificate.subject.rfc4514_string()[:200]
    except ValueError:
        subject = "unreadable"
    return {"subject": subject, "sha256": certificate.fingerprint(hashes.SHA256()).hex()}
