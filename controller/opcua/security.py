"""The encrypted line to a server: whom it is, before anything secret is said.

The server's certificate is checked twice before the password leaves: against the trust folder or
the pin when the channel is made, and against the application it says it is when the session is
made.  That it has the certificate's key is proven by the channel itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asyncua import ua
from asyncua.crypto.security_policies import (
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)

from controller.errors import ConfigError
from controller.opcua.bounded import bounded_client
from controller.opcua.certificates import (
    MALFORMED,
    fault,
    is_kept,
    load_certificate,
    load_key,
    parse,
    subject,
    thumbprint,
    uris,
)

if TYPE_CHECKING:
    from pathlib import Path

    from asyncua import Client
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from controller.configuration.security import SecuritySettings

MODE = ua.MessageSecurityMode.SignAndEncrypt
POLICIES: dict[str, Any] = {
    "Aes256Sha256RsaPss": SecurityPolicyAes256Sha256RsaPss,
    "Basic256Sha256": SecurityPolicyBasic256Sha256,
}
NOT_TRUSTED, NOT_OFFERED = "server not trusted", "policy not offered"


class ServerRefusedError(Exception):
    """This server is none to send a password to; the message says why."""

    def __init__(self, status: str, detail: str) -> None:
        self.status = status
        super().__init__(detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecurity:
    """Our certificate and key, and which server is the right one.

    policy: a key of `POLICIES`.  pin: SHA-256 of the only certificate that the server may have;
    without it those in `trusted` count.  server: the pinned certificate where it is at hand; then
    the server is not asked for it in clear.
    """

    policy: str
    certificate: x509.Certificate
    key: RSAPrivateKey = field(repr=False)
    trusted: Path
    pin: str | None = None
    server: x509.Certificate | None = None

    @property
    def application_uri(self) -> str:
        """The name that our certificate gives this application."""
        return uris(self.certificate)[0]

    async def secure(self, client: Client) -> x509.Certificate:
        """Prepare a client that is not connected; return the server's certificate, trusted.

        Raises ServerRefusedError, and what asyncua raises when the server does not answer.
        """
        policy = POLICIES[self.policy]
        server = self.server or await _shown(client, policy.URI, self.policy)
        self.check(server)

        async def same_application(shown: x509.Certificate, said: Any) -> None:
            _check_application(shown, said.ApplicationUri)

        client.application_uri = self.application_uri
        client.certificate_validator = same_application
        client.security_policy = policy(server, self.certificate, self.key, MODE)
        client.uaclient.set_security(client.security_policy)
        return server

    def check(self, server: x509.Certificate) -> None:
        """Raise ServerRefusedError unless the certificate is trusted and sound."""
        if self.pin is not None and thumbprint(server) != self.pin:
            raise ServerRefusedError(
                NOT_TRUSTED, f"{named(server)} is not the pinned one (sha256 {self.pin})"
            )
        if self.pin is None and not is_kept(server, self.trusted):
            raise ServerRefusedError(NOT_TRUSTED, f"{named(server)} is not in {self.trusted}")
        problem = fault(server)
        if problem is not None:
            raise ServerRefusedError(NOT_TRUSTED, f"{named(server)} is trusted, but {problem}")


def named(certificate: x509.Certificate) -> str:
    """Return a certificate in words for a message."""
    return f"the certificate of {subject(certificate)} (sha256 {thumbprint(certificate)})"


async def shown_by(url: str, timeout_s: float) -> tuple[x509.Certificate, str]:
    """The certificate that a server shows to anybody, and its application's URI.

    Raises ServerRefusedError where it has none, and what asyncua raises.
    """
    client = bounded_client(url, timeout_s=timeout_s)
    for endpoint in await client.connect_and_get_server_endpoints():
        certificate = _first(endpoint.ServerCertificate)
        if certificate is not None:
            return certificate, str(endpoint.Server.ApplicationUri)
    raise ServerRefusedError(NOT_OFFERED, "the server has no certificate")


async def _shown(client: Client, policy_uri: str, name: str) -> x509.Certificate:
    """The certificate at the endpoint of this policy."""
    endpoints = await client.connect_and_get_server_endpoints()
    for endpoint in endpoints:
        if endpoint.SecurityMode == MODE and endpoint.SecurityPolicyUri == policy_uri:
            certificate = _first(endpoint.ServerCertificate)
            if certificate is not None:
                return certificate
    offered = sorted(
        f"{str(endpoint.SecurityPolicyUri).rpartition('#')[2]} {endpoint.SecurityMode.name}"
        for endpoint in endpoints
    )
    raise ServerRefusedError(
        NOT_OFFERED,
        f"no endpoint with {name} SignAndEncrypt; the server offers {', '.join(offered) or 'none'}",
    )


def _first(chain: bytes | None) -> x509.Certificate | None:
    """The first certificate of a chain in DER."""
    if not chain:
        return None
    try:
        length = int.from_bytes(chain[2:4], "big") + 4  # 0x30 0x82 and two bytes of length
        return parse(chain[:length])
    except MALFORMED:
        return None


def _check_application(shown: x509.Certificate, uri: str) -> None:
    if uri not in uris(shown):
        raise ServerRefusedError(
            NOT_TRUSTED, f"{named(shown)} is for {uris(shown)}; the server says it is {uri!r}"
        )


def load_security(settings: SecuritySettings) -> ClientSecurity | None:
    """Read certificate, key and pin; None where nothing is encrypted.  Raises ConfigError.

    settings: with absolute paths, as `load_settings` returns them.
    """
    if settings.policy == "None":
        return None
    made = "make one: trimtab certs init"
    certificate = load_certificate(
        settings.certificate_file, key="security.certificate", action=made
    )
    key = load_key(settings.key_file, key="security.key", action=made)
    _refuse_unfit(settings.certificate_file, certificate, key)
    pin, server = settings.pinned_digest, None
    if settings.pinned_file is not None:
        server = load_certificate(
            settings.pinned_file,
            key="security.server_certificate",
            action="name the server's certificate file, or give its sha256, 64 hexadecimal digits",
        )
        pin = thumbprint(server)
    return ClientSecurity(
        policy=settings.policy,
        certificate=certificate,
        key=key,
        trusted=settings.trusted_folder,
        pin=pin,
        server=server,
    )


def _refuse_unfit(file: Path, certificate: x509.Certificate, key: RSAPrivateKey) -> None:
    """Raise ConfigError for a certificate of our own that no server would accept."""
    if certificate.public_key() != key.public_key():
        raise ConfigError(
            file=file, key="security.certificate", received="the certificate of another key",
            allowed="the certificate that belongs to security.key",
            action="restore the pair, or make a new one with trimtab certs renew",
        )  # fmt: skip
    problem = fault(certificate)
    if problem is not None:
        raise ConfigError(
            file=file, key="security.certificate", received=f"a certificate of which {problem}",
            allowed="a certificate that is valid now, RSA of 2048 to 4096 bits",
            action="make a new one with trimtab certs renew, and have the server trust it",
        )  # fmt: skip
    if not uris(certificate):
        raise ConfigError(
            file=file, key="security.certificate", received="no URI in SubjectAltName",
            allowed="a certificate that names the application, as urn:HOST:trimtab:controller",
            action="make one with trimtab certs init",
        )  # fmt: skip
