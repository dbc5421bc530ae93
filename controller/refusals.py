"""Why a server cannot be used, and what to do, in words for the person at the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.opcua.certificates import thumbprint
from controller.opcua.nodes import MISSING_NODES, WRONG_TYPES
from controller.opcua.requests import NO_CONNECTION, TIMEOUT, Failed, detail_of, status_of
from controller.opcua.security import NOT_OFFERED, NOT_TRUSTED, ServerRefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from controller.opcua.endpoint import Endpoint

NOT_ADMITTED = frozenset(
    {"BadUserAccessDenied", "BadIdentityTokenRejected", "BadIdentityTokenInvalid"}
)

CERTIFICATE_REFUSED = frozenset(
    {
        "BadSecurityChecksFailed",
        "BadCertificateInvalid",
        "BadCertificatePolicyCheckFailed",
        "BadCertificateTimeInvalid",
        "BadCertificateUntrusted",
        "BadCertificateUriInvalid",
        "BadCertificateUseNotAllowed",
    }
)
ENCRYPTED_ONLY = frozenset({"BadSecurityModeInsufficient", "BadSecurityPolicyRejected"})


def explain_error(error: BaseException, endpoint: Endpoint, tags_file: Path | str) -> str:
    """Explain what asyncua raised while connecting."""
    status = error.status if isinstance(error, ServerRefusedError) else status_of(error)
    failure = Failed(service="connect", status=status, detail=detail_of(error))
    return explain(failure, endpoint, tags_file)


def explain(failure: Failed, endpoint: Endpoint, tags_file: Path | str) -> str:
    """Explain a failed connect; tags_file: what named the nodes."""
    url = endpoint.url
    if failure.status == MISSING_NODES:
        return (
            f"{url} lacks nodes that {tags_file} names:\n{failure.detail}\n"
            f"correct them; `trimtab tags browse --url {url}` lists what the server has"
        )
    if failure.status == WRONG_TYPES:
        return (
            f"{url} cannot take targets as {tags_file} names them:\n{failure.detail}\n"
            "a target needs a node of type Double or Float: an integer or a Boolean would cut the "
            "certified move; name another node, or have the server provide one"
        )
    if (secured := _explain_security(failure, endpoint)) is not None:
        return secured
    return _explain_line(failure, endpoint)


def _explain_line(failure: Failed, endpoint: Endpoint) -> str:
    """Explain a line that was not made for another reason."""
    url, user = endpoint.url, endpoint.user
    if failure.status in NOT_ADMITTED:
        who = f'the user "{user}" or its password' if user else "a session without a user"
        return (
            f"{url} refuses {who} ({failure.status}); correct [server] user and password_file "
            "(--user, --password-file), or have the account added on the server"
        )
    if failure.status == TIMEOUT:
        return (
            f"{url} does not answer within {endpoint.connect_timeout_s:g} s; check that "
            "the server runs and is reachable, or raise [server] connect_timeout_s"
        )
    if failure.status == NO_CONNECTION:
        return f"no OPC UA server at {url} ({failure.detail}); start it, or correct [server] url"
    return (
        f"{url} cannot be used: {failure.status}: {failure.detail}; "
        "check that it is an OPC UA server that offers what [server] asks for"
    )


def _explain_security(failure: Failed, endpoint: Endpoint) -> str | None:
    """Explain a line that was not made because of certificates or encryption."""
    url, security = endpoint.url, endpoint.security
    if failure.status == NOT_TRUSTED:
        return (
            f"{url} is not trusted: {failure.detail}; no password was sent. Compare the sha256 "
            f"with the server's own, then `trimtab certs trust --from-url {url}`, or correct "
            "[security]"
        )
    if failure.status == NOT_OFFERED:
        return (
            f"{url} cannot be used: {failure.detail}; have encryption enabled there, or correct "
            "[security] policy"
        )
    if failure.status in CERTIFICATE_REFUSED and security is not None:
        return (
            f"{url} refuses our certificate ({failure.status}); have it trusted there: "
            f"application {security.application_uri}, sha256 {thumbprint(security.certificate)}"
        )
    if failure.status in ENCRYPTED_ONLY:
        return (
            f'{url} takes encrypted connections only ({failure.status}); remove policy = "None" '
            "from [security] and make a certificate: trimtab certs init"
        )
    return None
