"""The folder of certificates: ours, made and renewed here, and those of the peers that we trust.

    pki/own/certificate.der, pki/own/private_key.pem   ours
    pki/trusted/    peers that we trust
    pki/rejected/   peers that were refused (the soft plant puts them there)

Every file is written whole or not at all.
"""

from __future__ import annotations

import os
import socket
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from asyncua.crypto import cert_gen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.errors import ConfigError
from controller.opcua.certificates import hosts, kept, load_certificate, load_key, thumbprint, uris

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMON_NAME_LENGTH = 64
"""Longest CommonName (RFC 5280, ub-common-name)."""
USAGES = (ExtendedKeyUsageOID.CLIENT_AUTH,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a certificate is to say.  hosts: DNS names and IP addresses."""

    name: str
    uri: str
    hosts: Sequence[str]
    days: int
    usages: Sequence[x509.ObjectIdentifier] = USAGES


def wish(*, uri: str | None, given: Sequence[str], days: int) -> Wish:
    """Fill in what was not given.  Raises ConfigError for a URI that is none."""
    host = socket.gethostname()
    uri = uri or f"urn:{host}:trimtab:controller"
    if ":" not in uri or not uri.isascii() or not uri.isprintable() or " " in uri:
        raise ConfigError(
            file="command line", key="--uri", received=uri,
            allowed="the URI of this application, such as urn:HOST:trimtab:controller",
            action="correct --uri",
        )  # fmt: skip
    names = tuple(given) or (host, "localhost", "127.0.0.1")
    return Wish(name=f"trimtab on {host}", uri=uri, hosts=tuple(dict.fromkeys(names)), days=days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A file to be written; content is not shown, it may be a key."""

    file: Path
    content: bytes = field(repr=False)
    mode: int


class Folder:
    """The folder of certificates."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.certificate = path / "own" / "certificate.der"
        self.key = path / "own" / "private_key.pem"
        self.trusted = path / "trusted"
        self.rejected = path / "rejected"

    def own(self) -> x509.Certificate:
        """Our certificate.  Raises ConfigError."""
        action = f"make one: trimtab certs init --pki {self.path}"
        return load_certificate(self.certificate, key="", action=action)

    def init(self, wanted: Wish, bits: int) -> x509.Certificate:
        """Make key and certificate where there are none yet.  Raises ConfigError."""
        for file in (self.certificate, self.key):
            if file.exists():
                raise ConfigError(
                    file=file, key="", received="an existing file", allowed="a new folder",
                    action=f"trimtab certs renew --pki {self.path}, or give another --pki",
                )  # fmt: skip
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        certificate = _made(key, wanted)
        try:
            for part in (self.certificate.parent, self.trusted, self.rejected):
                part.mkdir(parents=True, exist_ok=True)
            write_whole(self._key_draft(key), self._certificate_draft(certificate))
        except OSError as error:
            raise _unwritable(self.path, error) from None
        return certificate

    def renew(self, *, days: int, given: Sequence[str], new_key: bool) -> x509.Certificate:
        """Make a new certificate that says the same; keep the old files beside it.

        Raises ConfigError, and then the old ones are as before.
        """
        old = self.own()
        action = f"restore it; or remove {self.certificate} and run trimtab certs init"
        key = load_key(self.key, key="", action=action)
        if new_key:
            key = rsa.generate_private_key(public_exponent=65537, key_size=key.key_size)
        certificate = _made(key, _same(old, given or hosts(old), days))
        try:
            self._back_up(self.certificate)
            if new_key:
                self._back_up(self.key)
            drafts = [self._key_draft(key)] if new_key else []
            write_whole(*drafts, self._certificate_draft(certificate))
        except OSError as error:
            raise _unwritable(self.path, error) from None
        return certificate

    def trust(self, certificate: x509.Certificate) -> Path:
        """Copy a peer's certificate into `trusted`; the file.  Raises ConfigError."""
        file = self.trusted / f"{thumbprint(certificate)[:32]}.der"
        try:
            self.trusted.mkdir(parents=True, exist_ok=True)
            write_whole(
                Draft(file=file, content=certificate.public_bytes(Encoding.DER), mode=0o644)
            )
            for item in kept(self.rejected):
                if item.certificate == certificate:
                    item.file.unlink()
        except OSError as error:
            raise _unwritable(self.path, error) from None
        return file

    def _key_draft(self, key: rsa.RSAPrivateKey) -> Draft:
        return Draft(file=self.key, content=cert_gen.dump_private_key_as_pem(key), mode=0o600)

    def _certificate_draft(self, certificate: x509.Certificate) -> Draft:
        content = certificate.public_bytes(Encoding.DER)
        return Draft(file=self.certificate, content=content, mode=0o644)

    def _back_up(self, file: Path) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        os.link(file, file.with_name(f"{file.stem}-until-{stamp}{file.suffix}"))


def write_whole(*drafts: Draft) -> None:
    """Write all files or none: every one is on the disk before the first takes its place.

    Raises OSError.  No file is readable by others before its mode says so.
    """
    written: list[tuple[str, Draft]] = []
    try:
        for draft in drafts:
            descriptor, name = tempfile.mkstemp(
                dir=draft.file.parent, prefix=f".{draft.file.name}."
            )
            written.append((name, draft))
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), draft.mode)
                file.write(draft.content)
                file.flush()
                os.fsync(file.fileno())
        for name, draft in written:
            Path(name).replace(draft.file)
    finally:
        for name, _ in written:
            Path(name).unlink(missing_ok=True)


def _made(key: rsa.RSAPrivateKey, wanted: Wish) -> x509.Certificate:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(wanted.uri)]
    made: x509.Certificate = cert_gen.generate_self_signed_app_certificate(
        key,
        wanted.name[:COMMON_NAME_LENGTH],
        {"organizationName": "trimtab"},
        names + [_host(name) for name in wanted.hosts],
        list(wanted.usages),
        days=wanted.days,
    )
    return made


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError:
        raise ConfigError(
            file="command line", key="--host", received=name, allowed="a DNS name or IP address",
            action="correct --host",
        ) from None  # fmt: skip


def _same(old: x509.Certificate, names: Sequence[str], days: int) -> Wish:
    """What the old certificate said, for as many days anew."""
    common = old.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        usage = old.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usage = x509.ExtendedKeyUsage(USAGES)
    name = str(common[0].value) if common else "trimtab"
    return Wish(name=name, uri=uris(old)[0], hosts=names, days=days, usages=list(usage))


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        file=error.filename or folder, key="", received=error.strerror or str(error),
        allowed="a folder that can be written", action="give another --pki, or correct its mode",
    )  # fmt: skip
