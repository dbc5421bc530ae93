"""`trimtab tags browse`: walk a live server and propose a tags.toml for it.

The walk is bounded in depth and in variables, keeps out of the server's own namespace, and reads
only.  What is made of it is decided in `controller.commissioning.proposal`.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncua import ua
from pydantic import ValidationError

from controller.commissioning.guesses import Found
from controller.commissioning.proposal import propose
from controller.configuration.security import SecuritySettings, refuse_clear_text
from controller.configuration.settings import ScanSettings, ServerSettings, Settings, read_password
from controller.errors import ConfigError, PlantRefusedError, translate
from controller.opcua.connection import FAULTS, Endpoint
from controller.opcua.security import ServerRefusedError, load_security
from controller.opcua.survey import browse_request, chunks, survey
from models.bundle import BundleError, default_bundle, load_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from asyncua import Client

    from models.bundle import Manifest

CONNECT_S = 10.0


CLASSES = int(ua.NodeClass.Object | ua.NodeClass.Variable | ua.NodeClass.Method)
"""What is walked through: folders, tags, methods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """depth: deepest level below Objects.  variables: most variables that are listed."""

    depth: int = 12
    variables: int = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A node that the walk came to.  path: browse names from below Objects on."""

    node: ua.NodeId
    node_class: ua.NodeClass
    path: tuple[ua.QualifiedName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What was found, in the order of the walk; truncated when a limit ended it."""

    places: tuple[Place, ...]
    truncated: bool


async def walk(client: Client, limits: Limits) -> Walk:
    """Every variable and method below Objects, outside namespace 0, level by level."""
    seen = {ua.NodeId(ua.ObjectIds.ObjectsFolder)}
    level = [
        Place(
            node=ua.NodeId(ua.ObjectIds.ObjectsFolder),
            node_class=ua.NodeClass.Object,
            path=(),
        )
    ]
    kept: list[Place] = []
    for _ in range(limits.depth):
        below = [place for place in await _children(client, level) if place.node not in seen]
        level = []
        for place in below:
            if place.node not in seen:
                seen.add(place.node)
                level.append(place)
        kept += [place for place in level if place.node_class != ua.NodeClass.Object]
        if not level or len(kept) >= limits.variables:
            break
    cut = bool(level) and bool(await _children(client, level[:1]))
    truncated = cut or len(kept) > limits.variables
    return Walk(places=tuple(kept[: limits.variables]), truncated=truncated)


async def _children(client: Client, level: Sequence[Place]) -> list[Place]:
    """Everything one level deeper that is worth a visit."""
    parents = [place for place in level if place.node_class != ua.NodeClass.Method]
    places: list[Place] = []
    for chunk in chunks(parents):
        request = browse_request(
            [place.node for place in chunk], ua.ObjectIds.HierarchicalReferences, CLASSES
        )
        results = await client.uaclient.browse(request)
        for parent, result in zip(chunk, results, strict=True):
            places += [
                Place(
                    node=_node_id(reference.NodeId),
                    node_class=reference.NodeClass,
                    path=(*parent.path, reference.BrowseName),
                )
                for reference in await _references(client, result)
                if _worth_a_visit(reference)
            ]
    return places


def _node_id(expanded: ua.ExpandedNodeId) -> ua.NodeId:
    """Return a plain node id; references carry expanded ones, which compare unequal."""
    return ua.NodeId(expanded.Identifier, expanded.NamespaceIndex, expanded.NodeIdType)


async def _references(client: Client, result: ua.BrowseResult) -> list[ua.ReferenceDescription]:
    """All references of one node, page by page."""
    found = list(result.References or ())
    point = result.ContinuationPoint
    while point:
        (result,) = await client.uaclient.browse_next(
            ua.BrowseNextParameters(ReleaseContinuationPoints=False, ContinuationPoints=[point])
        )
        found += result.References or ()
        point = result.ContinuationPoint
    return found


def _worth_a_visit(reference: ua.ReferenceDescription) -> bool:
    """No properties, and nothing of the server itself (namespace 0)."""
    return bool(
        reference.NodeId.NamespaceIndex != 0
        and reference.ReferenceTypeId != ua.NodeId(ua.ObjectIds.HasProperty)
    )


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
        raise PlantRefusedError(
            f"{endpoint.url} cannot be browsed: {error or type(error).__name__}; check the url, "
            "that the server runs, --user with --password-file, and that both sides trust each "
            "other's certificates (trimtab certs show)"
        ) from None
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
