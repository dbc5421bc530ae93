"""`trimtab certs trust`: a peer's certificate, from a file or from the server itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from controller.errors import ConfigError, PlantRefusedError
from controller.opcua.certificates import fault, load_certificate, subject, uris
from controller.opcua.endpoint import FAULTS
from controller.opcua.security import ServerRefusedError, shown_by

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

ASK_S = 10.0


def peer_in(file: Path) -> x509.Certificate:
    """A peer's certificate in a file, if it is worth trusting.  Raises ConfigError."""
    action = "give the peer's certificate file, DER or PEM"
    certificate = load_certificate(file, key="", action=action)
    problem = fault(certificate)
    if problem is not None:
        raise ConfigError(
            file=file, key="", received=f"a certificate of which {problem}",
            allowed="a certificate that is valid now, RSA of 2048 to 4096 bits",
            action="have the peer make a new one",
        )  # fmt: skip
    return certificate


def peer_at(url: str) -> x509.Certificate:
    """The certificate that a server shows.  Raises PlantRefusedError."""
    try:
        certificate, application = asyncio.run(shown_by(url, ASK_S))
    except (*FAULTS, ServerRefusedError) as error:
        raise PlantRefusedError(
            f"{url} shows no certificate: {error or type(error).__name__}; check the url and that "
            "the server runs with encryption"
        ) from None
    problem = fault(certificate)
    if problem is None and application not in uris(certificate):
        problem = f"it is for {uris(certificate)}, and the server says it is {application!r}"
    if problem is not None:
        raise PlantRefusedError(
            f"{url}: the certificate of {subject(certificate)} cannot be trusted: {problem}; have "
            "the server get a new one"
        )
    return certificate
