"""The units that are shown: read and checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from controller.configuration.binding import bind
from controller.configuration.references import BrowsePath, ReferenceFormatError, parse_reference
from controller.configuration.settings import load_settings
from controller.configuration.tags import load_tags
from controller.errors import ConfigError
from controller.hmi.accounts import PASSWORD, read_account
from controller.opcua.endpoint import Endpoint
from controller.opcua.security import load_security
from models.bundle import MANIFEST, default_bundle, load_manifest, sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from controller.configuration.binding import Binding
    from controller.configuration.references import NodeRef
    from controller.configuration.security import SecuritySettings
    from controller.configuration.settings import Settings
    from controller.configuration.tags import Tags
    from controller.hmi.accounts import AccountSettings
    from controller.hmi.settings import HmiSettings, UnitSettings
    from controller.opcua.security import ClientSecurity
    from models.bundle import Manifest

SHORTEST_S, LONGEST_S = 0.2, 0.5
"""Bounds of the interval at which a plant publishes [s]: half a scan between them."""

UNSEEN = frozenset({"handshake.heartbeat_timeout"})
"""Tags that nobody looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One unit, joined and checked; nothing is open yet.

    events: the object whose alarms are shown, None = the Server object.  users: the same for units
    whose plants know the same users.
    """

    name: str
    title: str
    config: Path
    settings: Settings
    tags: Tags
    binding: Binding
    manifest: Manifest
    bundle: Path
    manifest_sha256: str
    journal: Path
    events: NodeRef | None
    user: str | None
    password: str | None = field(repr=False)
    security: ClientSecurity | None
    users: str = ""

    @property
    def publishing_s(self) -> float:
        """Interval at which the plant publishes [s]."""
        return min(max(0.5 * self.settings.scan.period_s, SHORTEST_S), LONGEST_S)

    @property
    def references(self) -> Mapping[str, NodeRef]:
        """Logical tag key -> node, of everything that is watched."""
        found = self.tags.references()
        return {key: reference for key, reference in found.items() if key not in UNSEEN}

    def endpoint(self, user: str | None, password: str | None) -> Endpoint:
        """The plant, for this user."""
        server = self.settings.server
        return Endpoint(
            url=server.url,
            user=user,
            password=password,
            connect_timeout_s=server.connect_timeout_s,
            security=self.security,
        )


def prepare(settings: HmiSettings, overrides: Mapping[str, Any] | None = None) -> dict[str, Unit]:
    """Load every unit, by name.  Raises ConfigError (exit 2) or BundleError (exit 3).

    overrides: nested values of the command line for every controller.toml.
    """
    units: dict[str, Unit] = {}
    for wanted in settings.units:
        unit = _unit(wanted, settings, overrides)
        if unit.name in units:
            raise ConfigError(
                file=wanted.config, key="units.name", received=unit.name,
                allowed=f"a name of its own; {units[unit.name].config} has this one",
                action="give each [[units]] of hmi.toml a name",
            )  # fmt: skip
        units[unit.name] = unit
    return units


def _unit(wanted: UnitSettings, whole: HmiSettings, overrides: Mapping[str, Any] | None) -> Unit:
    account = wanted.account or whole.account
    settings = load_settings(wanted.config, overrides)
    tags = load_tags(settings.tags.path)
    bundle = settings.bundle.path or default_bundle()
    manifest = load_manifest(bundle)
    name = wanted.name or _name(wanted.config, tags)
    return Unit(
        name=name,
        title=wanted.title or name,
        config=wanted.config,
        settings=settings,
        tags=tags,
        binding=bind(tags, manifest, file=settings.tags.path),
        manifest=manifest,
        bundle=bundle,
        manifest_sha256=sha256(bundle / MANIFEST),
        journal=(wanted.journal or settings.journal.path).absolute(),
        events=_events(wanted, tags),
        user=account.user,
        password=_password(account, own=wanted.account is not None),
        security=load_security(_certificates(settings, whole)),
        users=_users(wanted, name),
    )


def _users(wanted: UnitSettings, name: str) -> str:
    """As named; else those of a unit with an account of its own are its own, all others' the same.

    Where the HMI itself shows one password to several plants, they know the same users.
    """
    if wanted.users is not None:
        return f"users {wanted.users}"
    return "" if wanted.account is None else f"unit {name}"


def _certificates(settings: Settings, whole: HmiSettings) -> SecuritySettings:
    """How the line is protected: as the controller's, with the HMI's own certificates if it has."""
    own = {name: path for name, path in whole.security if path is not None}
    if "pki" in own:
        own = {"certificate": None, "key": None, "trusted": None, **own}
    return settings.security.model_copy(update=own)


def _name(config: Path, tags: Tags) -> str:
    """The folder of the plant that all CVs are in, where there is one; else the file's name."""
    roots = {
        reference.segments[0] if isinstance(reference, BrowsePath) else ""
        for key, reference in tags.references().items()
        if key.startswith("cv.")
    }
    root = roots.pop() if len(roots) == 1 else ""
    own = config.stem if config.stem != "controller" or not root else root
    name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in own)
    return name.encode("ascii", "replace").decode().replace("?", "-")[:64].lstrip("-_.") or "unit"


def _events(wanted: UnitSettings, tags: Tags) -> NodeRef | None:
    if wanted.events is None:
        return None
    try:
        return parse_reference(wanted.events, tags.namespaces)
    except ReferenceFormatError as error:
        raise ConfigError(
            file="hmi.toml", key="units.events", received=wanted.events, allowed=str(error),
            action="name an object as in tags.toml, or leave it out for the Server object",
        ) from None  # fmt: skip


def _password(account: AccountSettings, *, own: bool) -> str | None:
    secret = read_account(account, own=own)
    if secret is None and account.user is not None:
        raise ConfigError(
            file="settings", key="account.password_file", received="nothing",
            allowed=f'a password for the user "{account.user}" of the plant, who may only read',
            action=f"set {PASSWORD}, or password_file in [account] of hmi.toml",
        )  # fmt: skip
    return None if secret is None else secret.get_secret_value()
