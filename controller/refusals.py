"""Why a server cannot be used, and what to do, in words for the person at the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.opcua.connection import MISSING_NODES, WRONG_TYPES
from controller.opcua.requests import NO_CONNECTION, TIMEOUT, Failed, detail_of, status_of

if TYPE_CHECKING:
    from controller.startup import Prepared

NOT_ADMITTED = frozenset(
    {"BadUserAccessDenied", "BadIdentityTokenRejected", "BadIdentityTokenInvalid"}
)


def explain_error(error: BaseException, prepared: Prepared) -> str:
    """Explain what asyncua raised while connecting."""
    failure = Failed(service="connect", status=status_of(error), detail=detail_of(error))
    return explain(failure, prepared)


def explain(failure: Failed, prepared: Prepared) -> str:
    """Explain a failed connect."""
    url, user = prepared.endpoint.url, prepared.endpoint.user
    if failure.status == MISSING_NODES:
        return (
            f"{url} lacks nodes that {prepared.tags_file} names:\n{failure.detail}\n"
            f"correct them; `trimtab tags browse --url {url}` lists what the server has"
        )
    if failure.status == WRONG_TYPES:
        return (
            f"{url} cannot take targets as {prepared.tags_file} names them:\n{failure.detail}\n"
            "a target needs a node of type Double or Float: an integer or a Boolean would cut the "
            "certified move; name another node, or have the server provide one"
        )
    if failure.status in NOT_ADMITTED:
        who = f'the user "{user}" or its password' if user else "a session without a user"
        return (
            f"{url} refuses {who} ({failure.status}); correct [server] user and password_file, "
            "or have the account added on the server"
        )
    if failure.status == TIMEOUT:
        return (
            f"{url} does not answer within {prepared.endpoint.connect_timeout_s:g} s; check that "
            "the server runs and is reachable, or raise [server] connect_timeout_s"
        )
    if failure.status == NO_CONNECTION:
        return f"no OPC UA server at {url} ({failure.detail}); start it, or correct [server] url"
    return (
        f"{url} cannot be used: {failure.status}: {failure.detail}; "
        "check that it is an OPC UA server that offers what [server] asks for"
    )
