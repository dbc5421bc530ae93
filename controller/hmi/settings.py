"""hmi.toml: which units are shown, where, and who may come; typed, checked and frozen.

A unit is named by the configuration of its controller, which says where the plant is, how the line
to it is protected, which node is which tag, which bundle runs and where the journal lies.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from controller.configuration.settings import LogSettings, Positive, Section
from controller.configuration.tags import read_toml
from controller.errors import ConfigError, translate
from controller.hmi.accounts import AccountSettings
from controller.hmi.web_settings import WebSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_UNIT_CHARACTERS = frozenset("-_.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def _unit_name(name: str) -> str:
    if not (0 < len(name) <= 64 and set(name) <= _UNIT_CHARACTERS and name[0].isalnum()):
        raise ValueError("up to 64 letters, digits, '-', '_' and '.', a letter or digit first")
    return name


UnitName = Annotated[str, AfterValidator(_unit_name)]


class LoginSettings(Section):
    """How long an operator stays logged in, and how often a login may fail.

    idle_s: without an action or a new page.  lifetime_s: at most.  attempts: wrong logins from one
    address in window_s; of one user, from all addresses together, four times as many.
    """

    idle_s: Positive = 900.0
    lifetime_s: Positive = 43200.0
    attempts: Annotated[int, Field(ge=1, le=1000)] = 5
    window_s: Positive = 300.0


class OwnSecurity(Section):
    """Certificates of the HMI, in place of those that each controller.toml names.

    pki: a folder as `trimtab certs init` makes it; certificate, key, trusted: each by itself.
    Nothing given: the controllers' own, which this process must then be able to read.
    """

    pki: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    trusted: Path | None = None


class UnitSettings(Section):
    """One unit.  config: the controller.toml of its controller.

    name: in addresses of pages; absent = from the configuration.  title: for people.  journal: in
    place of the controller's [journal] path, which is relative to the controller's working folder.
    events: the object whose alarms are shown; absent = the Server object.  account: in place of the
    common one.  users: a name for the users that the plant knows; units with the same name are
    logged in on together.  Absent: those of all units without an account of their own, and of a
    unit that has one its own.
    """

    config: Path
    name: UnitName | None = None
    title: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    journal: Path | None = None
    events: str | None = None
    account: AccountSettings | None = None
    users: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class HmiSettings(Section):
    """The whole of hmi.toml.

    viewers: browsers that may watch at once.  viewers_per_address: of these, from one address.
    """

    web: WebSettings = WebSettings()
    account: AccountSettings = AccountSettings()
    login: LoginSettings = LoginSettings()
    security: OwnSecurity = OwnSecurity()
    viewers: Annotated[int, Field(ge=1, le=1000)] = 64
    viewers_per_address: Annotated[int, Field(ge=1, le=1000)] = 16
    log: LogSettings = LogSettings()
    units: Annotated[list[UnitSettings], Field(min_length=1, max_length=200)]


_SECTIONS: dict[str, type[BaseModel]] = {
    "": HmiSettings,
    "web": WebSettings,
    "account": AccountSettings,
    "login": LoginSettings,
    "security": OwnSecurity,
    "log": LogSettings,
    "units.*": UnitSettings,
    "units.*.account": AccountSettings,
}


def load_hmi(path: Path, web: Mapping[str, object] | None = None) -> HmiSettings:
    """Read and check hmi.toml; its paths come back absolute.  Raises ConfigError.

    web: what the command line says of [web], over the file.
    """
    folder = path.resolve().parent
    settings = _checked(read_toml(path), path)
    placed = _placed(settings, folder)
    return _with_web(placed, web or {}, path)


def for_units(
    configs: Sequence[Path], user: str | None, web: Mapping[str, object] | None = None
) -> HmiSettings:
    """The settings of a command line that names controllers alone.  Raises ConfigError."""
    units = [UnitSettings(config=config.absolute()) for config in configs]
    account = AccountSettings() if user is None else AccountSettings(user=user)
    return _with_web(HmiSettings(account=account, units=units), web or {}, "command line")


def _checked(data: dict[str, object], file: Path | str) -> HmiSettings:
    try:
        return HmiSettings.model_validate(data)
    except ValidationError as error:
        raise translate(error, file=file, fields=_SECTIONS) from None


def _with_web(settings: HmiSettings, web: Mapping[str, object], file: Path | str) -> HmiSettings:
    given = {key: value for key, value in web.items() if value is not None}
    try:
        merged = WebSettings.model_validate({**settings.web.model_dump(), **given})
    except ValidationError as error:
        raise translate(error, file="command line", fields=_SECTIONS) from None
    if not (merged.on_loopback or merged.encrypted):
        raise ConfigError(
            file=file, key="web.host", received=merged.host,
            allowed="without TLS an address of this machine alone, as 127.0.0.1",
            action="give tls_certificate and tls_key (--tls-cert, --tls-key), or serve loopback "
            "behind a proxy that encrypts",
        )  # fmt: skip
    return settings.model_copy(update={"web": merged})


def _placed(settings: HmiSettings, folder: Path) -> HmiSettings:
    """The settings with paths below the file's own folder; journals stay as they are."""

    def placed(value: Path | None) -> Path | None:
        return None if value is None else folder / value.expanduser()

    def account(value: AccountSettings) -> AccountSettings:
        return value.model_copy(update={"password_file": placed(value.password_file)})

    web = settings.web.model_copy(
        update={
            "tls_certificate": placed(settings.web.tls_certificate),
            "tls_key": placed(settings.web.tls_key),
        }
    )
    security = OwnSecurity(
        **{name: placed(value) for name, value in settings.security if value is not None}
    )
    units = [
        unit.model_copy(
            update={
                "config": placed(unit.config),
                "journal": placed(unit.journal),
                "account": None if unit.account is None else account(unit.account),
            }
        )
        for unit in settings.units
    ]
    return settings.model_copy(
        update={
            "web": web,
            "account": account(settings.account),
            "security": security,
            "units": units,
        }
    )
