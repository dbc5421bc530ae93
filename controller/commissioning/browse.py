"""`trimtab tags browse`: walk a live server and propose a tags.toml for it.

The walk is bounded, keeps out of the server's own namespace, and reads only
(`controller.commissioning.walk`).  What is made of it is decided in
`controller.commissioning.proposal`.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pydantic import ValidationError

from controller.commissioning.guesses import Found
from controller.commissioning.proposal import propose
from controller.commissioning.walk import walk
from controller.configuration.security import SecuritySettings, refuse_clear_text
from controller.configuration.settings import ScanSettings, ServerSettings, Settings, read_password
from controller.errors import ConfigError, PlantRefusedError, translate
from controller.opcua.endpoint import FAULTS, Endpoint
from controller.opcua.security import ServerRefusedError, load_security
from controller.opcua.survey import survey
from controller.refusals import explain_error
from models.bundle import BundleError, default_bundle, load_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from asyncua import Client

    from controller.commissioning.walk import Limits
    from models.bundle import Manifest

CONNECT_S = 10.0


def browse_to(
    *,
    url: str,
    user: str | None,
    password_file: Path | None,
    security: SecuritySettings,
    bundle: Path | None,
    out: Path | None,
    force: bool,
    limits: Limits,
) -> str:
    """Browse the server at `url` and write the proposal to `out`; return its text.

    Raises ConfigError, BundleError and PlantRefusedError; then nothing is written.
    """
    if out is not None and out.exists() and not force:
        raise ConfigError(
            file=out, key="", received="an existing file", allowed="a file that is not there yet",
            action="give another --out, or --force to overwrite it",
        )  # fmt: skip
    manifest = _manifest(bundle)
    endpoint = _endpoint(url, user, password_file, security)
    text = asyncio.run(_browsed(endpoint, manifest, limits))
    if out is not None:
        write_whole(out, text)
    return text


async def _browsed(endpoint: Endpoint, manifest: Manifest | None, limits: Limits) -> str:
    client = endpoint.client()
    try:
        await endpoint.connect(client)
        uris = list(await client.get_namespace_array())
        walked = await walk(client, limits)
        facts = await survey(client, [place.node for place in walked.places])
    except (*FAULTS, ServerRefusedError) as error:
        reason = explain_error(error, endpoint, "tags.toml")
        raise PlantRefusedError(f"nothing was browsed: {reason}") from None
    finally:
        await _leave(client)
    found = [
        Found(node=place.node, path=place.path, facts=fact)
        for place, fact in zip(walked.places, facts, strict=True)
        if fact.exists
    ]
    return propose(
        found, uris=uris, url=endpoint.url, manifest=manifest, truncated=walked.truncated
    )


async def _leave(client: Client) -> None:
    try:
        await client.disconnect()
    except FAULTS:
        client.disconnect_socket()


def _manifest(bundle: Path | None) -> Manifest | None:
    """The model whose names are proposed; without --bundle the shipped one, if it is there."""
    if bundle is not None:
        return load_manifest(bundle)
    try:
        return load_manifest(default_bundle())
    except BundleError:
        return None


def _endpoint(
    url: str, user: str | None, password_file: Path | None, security: SecuritySettings
) -> Endpoint:
    try:
        settings = Settings(
            server=ServerSettings(url=url, user=user, password_file=password_file),
            scan=ScanSettings(period_s=1.0),
        )
    except ValidationError as error:
        raise translate(error, file="command line", fields={}) from None
    refuse_clear_text(security, url, file="command line")
    secret = read_password(settings)
    return Endpoint(
        url=url,
        user=user,
        password=None if secret is None else secret.get_secret_value(),
        connect_timeout_s=CONNECT_S,
        security=load_security(security),
    )


def write_whole(out: Path, text: str) -> None:
    """Write the file whole or not at all.  Raises ConfigError."""
    draft = out.with_name(f".{out.name}.{os.getpid()}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(out)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigError(
            file=out, key="", received=error.strerror or str(error),
            allowed="a file in a folder that can be written", action="give another --out",
        ) from None  # fmt: skip
