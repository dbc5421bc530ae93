"""[security] of controller.toml: how the line to the server is protected."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict

from controller.errors import ConfigError

HEXADECIMAL = frozenset("0123456789abcdef")


def _certificate(text: str) -> str:
    plain = text.replace(":", "").replace(" ", "").lower()
    if not text.strip():
        raise ValueError("a certificate file, or the sha256 of one, 64 hexadecimal digits")
    return plain if len(plain) == 64 and set(plain) <= HEXADECIMAL else text


class SecuritySettings(BaseModel):
    """The encrypted line; every message is signed and encrypted.

    policy "None" sends everything in clear and needs insecure = true and a loopback url.
    pki: folder with own/certificate.der, own/private_key.pem and trusted/, as `trimtab certs init`
    makes it; absent = pki in the working folder.  certificate, key, trusted: each by itself, in its
    place.  server_certificate: the only one accepted, a file or its sha256; absent = those in
    trusted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Literal["Aes256Sha256RsaPss", "Basic256Sha256", "None"] = "Aes256Sha256RsaPss"
    insecure: bool = False
    pki: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    trusted: Path | None = None
    server_certificate: Annotated[str, AfterValidator(_certificate)] | None = None

    @property
    def folder(self) -> Path:
        """The folder of certificates."""
        return self.pki or Path.cwd() / "pki"

    @property
    def certificate_file(self) -> Path:
        """Our certificate."""
        return self.certificate or self.folder / "own" / "certificate.der"

    @property
    def key_file(self) -> Path:
        """Its private key."""
        return self.key or self.folder / "own" / "private_key.pem"

    @property
    def trusted_folder(self) -> Path:
        """Certificates of the servers that we trust."""
        return self.trusted or self.folder / "trusted"

    @property
    def pinned_digest(self) -> str | None:
        """The sha256 that pins the server, where it was given as such."""
        pin = self.server_certificate
        return pin if pin is not None and len(pin) == 64 and set(pin) <= HEXADECIMAL else None

    @property
    def pinned_file(self) -> Path | None:
        """The file that pins the server."""
        pin = self.server_certificate
        return None if pin is None or self.pinned_digest is not None else Path(pin)


def refuse_clear_text(security: SecuritySettings, url: str, *, file: Path | str) -> None:
    """Raise ConfigError where a password would cross a network in clear, or might by mistake."""
    if (security.policy == "None") != security.insecure:
        raise ConfigError(
            file=file, key="security.policy",
            received=f"{security.policy}, with insecure = {str(security.insecure).lower()}",
            allowed='an encrypting policy, or "None" together with insecure = true',
            action="set both on purpose for a server on this machine, or neither",
        )  # fmt: skip
    if security.insecure and not on_loopback(url):
        raise ConfigError(
            file=file, key="server.url", received=url,
            allowed='with policy "None" an address on this machine, as opc.tcp://127.0.0.1:4840',
            action="take an encrypting policy: trimtab certs init",
        )  # fmt: skip


def on_loopback(url: str) -> bool:
    """Whether a server's address never leaves this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
