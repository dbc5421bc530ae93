"""controller.toml: everything that is not a tag, typed, checked and frozen.

Precedence: command line over environment (`TRIMTAB_SERVER__URL`, ...) over secrets over the file.
Secrets are the files in `$CREDENTIALS_DIRECTORY`, as systemd's LoadCredential= provides them:
`trimtab_password`.  Paths of configuration are relative to the file's own folder, the journal's to
the working folder.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from controller.configuration.file_mode import refuse_open
from controller.configuration.security import SecuritySettings, refuse_clear_text
from controller.configuration.tags import read_toml
from controller.errors import IN_URL, ConfigError, translate

if TYPE_CHECKING:
    from collections.abc import Mapping

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Loopback = Literal["127.0.0.1", "::1", "localhost"]


IN_URL_ALLOWED = "opc.tcp://host:port; user and password_file are keys of their own"


def _endpoint(url: str) -> str:
    if "@" in url:  # before it is taken apart: a password may hold what ends a host
        raise PydanticCustomError(IN_URL, IN_URL_ALLOWED)
    parts = urlsplit(url)
    try:
        sound = parts.scheme == "opc.tcp" and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # the port is no number
        sound = False
    if not sound:
        raise ValueError("an OPC UA endpoint, opc.tcp://host:port")
    return url


def _digest(text: str) -> str:
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise ValueError("64 hexadecimal digits, the sha256 of manifest.json")
    return text


def _factory(text: str) -> str:
    module, colon, name = text.partition(":")
    parts = [*module.split("."), name]
    if not (colon and all(part.isidentifier() for part in parts)):
        raise ValueError('"package.module:function", where function() returns the policy')
    return text


Endpoint = Annotated[str, AfterValidator(_endpoint)]
Digest = Annotated[str, AfterValidator(_digest)]
Factory = Annotated[str, AfterValidator(_factory)]


class Section(BaseModel):
    """A frozen table that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    """The OPC UA server and our account on it.

    password_file: a file only its owner can read; without it the environment's TRIMTAB_PASSWORD or
    the secret `trimtab_password` is used.  lease_ttl_s: how long a lease lasts unless renewed.
    """

    url: Endpoint = "opc.tcp://127.0.0.1:4840"
    user: Annotated[str, Field(min_length=1)] | None = None
    password_file: Path | None = None
    request_timeout_s: Positive = 1.0
    connect_timeout_s: Positive = 5.0
    reconnect_max_s: Positive = 30.0
    owner: Annotated[str, Field(min_length=1, max_length=64)] = "trimtab"
    lease_ttl_s: Positive = 10.0


class ScanSettings(Section):
    """The two grids, in wall seconds.

    deadline_fraction: the share of a period that a scan may take.  tick_s: supervision tick; a
    period shorter than it shortens it.  heartbeat_timeout_s: the DCS's heartbeat older than this
    makes every value stale; default the larger of 3 ticks and 1 s.
    """

    period_s: Positive
    deadline_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    tick_s: Positive = 1.0
    heartbeat_timeout_s: Positive | None = None

    @property
    def deadline_s(self) -> float:
        """Seconds that a scan may take."""
        return self.period_s * self.deadline_fraction

    @property
    def supervision_s(self) -> float:
        """Distance of two supervision ticks [s], never longer than a scan."""
        return min(self.tick_s, self.period_s)

    @property
    def heartbeat_limit_s(self) -> float:
        """Age at which the DCS's heartbeat is stale [s]."""
        return self.heartbeat_timeout_s or max(3.0 * self.supervision_s, 1.0)


class BundleSettings(Section):
    """The model.  path: a bundle's folder; absent = the one that ships.

    manifest_sha256: refuse any bundle whose manifest.json hashes to something else.
    """

    path: Path | None = None
    manifest_sha256: Digest | None = None


class PolicySettings(Section):
    """A policy from outside the bundle, run in a process of its own.

    factory: "package.module:function"; function() returns the policy.  folder: where modules are
    looked for first; absent = where controller.toml is.  onnx: a file instead of a factory.
    python: the interpreter of the process, such as that of another virtual environment; absent =
    the controller's own.  timeout_s: from the grid's instant to the answer, below the scan's
    deadline; absent = 0.8 of it.  start_timeout_s: to load and to answer for the first time.
    """

    factory: Factory | None = None
    folder: Path | None = None
    onnx: Path | None = None
    python: Path | None = None
    timeout_s: Positive | None = None
    start_timeout_s: Positive = 30.0

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.factory is None) == (self.onnx is None):
            raise ValueError("either factory or onnx, one of them")
        return self


class TagsSettings(Section):
    """Where tags.toml is."""

    path: Path = Path("tags.toml")


class ModeSettings(Section):
    """read_only: compute and record, never write.

    operator_mode stands in for the operator's selector where tags.toml has no handshake.mode.
    "auto" is not offered: AUTO needs a selector that an operator moves.
    """

    read_only: bool = False
    operator_mode: Literal["manual", "shadow"] = "shadow"


class JournalSettings(Section):
    """The audit record.  on_failure: what a journal that cannot be written does to AUTO.

    queue_records: records that may wait for the disk before they are counted as lost.
    """

    path: Path = Path("runs/journal.db")
    on_failure: Literal["continue", "shed"] = "shed"
    queue_records: Annotated[int, Field(ge=1)] = 1024


class MetricsSettings(Section):
    """Where Prometheus scrapes; only loopback is served.  port 0 = any free one."""

    enabled: bool = True
    host: Loopback = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9464


class LogSettings(Section):
    """format "auto": for people on a terminal, for systemd's journal in it, JSON otherwise."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json", "journal"] = "auto"


class Settings(BaseSettings):
    """The whole of controller.toml."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="TRIMTAB_", env_nested_delimiter="__"
    )

    server: ServerSettings = ServerSettings()
    security: SecuritySettings = SecuritySettings()
    scan: ScanSettings
    bundle: BundleSettings = BundleSettings()
    policy: PolicySettings | None = None
    tags: TagsSettings = TagsSettings()
    mode: ModeSettings = ModeSettings()
    journal: JournalSettings = JournalSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    password: SecretStr | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line over environment over secrets over the file."""
        file = TomlConfigSettingsSource(settings_cls)
        return init_settings, env_settings, file_secret_settings, file


_SECTIONS: dict[str, type[BaseModel]] = {
    "": Settings,
    "server": ServerSettings,
    "security": SecuritySettings,
    "scan": ScanSettings,
    "bundle": BundleSettings,
    "policy": PolicySettings,
    "tags": TagsSettings,
    "mode": ModeSettings,
    "journal": JournalSettings,
    "metrics": MetricsSettings,
    "log": LogSettings,
}


def load_settings(path: Path, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read and check controller.toml.  Raises ConfigError.

    overrides: nested values of the command line, {"server": {"url": ...}}.  The paths of tags,
    bundle, policy, certificates and password file come back absolute; the journal's stays relative
    to the working folder.
    """
    _refuse_password(path, read_toml(path))
    loaded = _class_for(path)
    try:
        settings = loaded(**dict(overrides or {}))
    except ValidationError as error:
        raise translate(error, file=_origin(error, path), fields=_SECTIONS) from None
    except SettingsError as error:
        raise ConfigError(
            file="environment", key="TRIMTAB_*", received=str(error.__cause__ or error),
            allowed="one variable a key, such as TRIMTAB_SERVER__URL",
            action="correct or unset the variable",
        ) from None  # fmt: skip
    refuse_clear_text(settings.security, settings.server.url, file=path)
    return _absolute(settings, path.resolve().parent)


def read_password(settings: Settings) -> SecretStr | None:
    """The account's password: environment or secret, else password_file.  Raises ConfigError."""
    if settings.password is not None or settings.server.password_file is None:
        return settings.password
    return read_secret(settings.server.password_file, key="server.password_file")


def read_secret(path: Path, *, key: str) -> SecretStr:
    """The password in a file that only its owner can read.  Raises ConfigError about `key`."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            file=path, key=key, received=str(error),
            allowed="a readable text file with the password", action="create it with mode 0600",
        ) from None  # fmt: skip
    refuse_open(path, mode, key=key)
    return SecretStr(text)


def default_config_dir() -> Path:
    """The folder with the shipped controller.toml and tags.toml.

    In an installed wheel controller/config, in a checkout the folder config beside controller.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "config", package.parent / "config"):
        if (folder / "controller.toml").is_file():
            return folder
    raise ConfigError(
        file=package / "config", key="", received="no controller.toml",
        allowed="an installed wheel or a checkout", action="install trimtab again",
    )  # fmt: skip


def _class_for(path: Path) -> type[Settings]:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    secrets = folder if folder and Path(folder).is_dir() else None

    class Loaded(Settings):
        model_config = SettingsConfigDict(toml_file=path, secrets_dir=secrets)

    return Loaded


def _refuse_password(path: Path, data: Mapping[str, Any]) -> None:
    for key, table in (("password", data), ("server.password", data.get("server", {}))):
        if isinstance(table, dict) and "password" in table:
            raise ConfigError(
                file=path, key=key, received="a password", allowed="no password in this file",
                action="put it into a file of mode 0600 and name that in server.password_file",
            )  # fmt: skip


def _origin(error: ValidationError, path: Path) -> Path | str:
    """Where the faulty value came from: the environment variable if one set it, else the file."""
    location = error.errors(include_url=False)[0]["loc"]
    name = "TRIMTAB_" + "__".join(str(part) for part in location).upper()
    return f"environment variable {name}" if name in os.environ else path


def _absolute(settings: Settings, folder: Path) -> Settings:
    def placed(value: Path | None) -> Path | None:
        return None if value is None else folder / value.expanduser()

    server, bundle, tags = settings.server, settings.bundle, settings.tags
    security = settings.security
    files = {
        name: placed(getattr(security, name)) for name in ("pki", "certificate", "key", "trusted")
    }
    pin = placed(security.pinned_file)
    certificates = {**files, **({} if pin is None else {"server_certificate": str(pin)})}
    update: dict[str, BaseModel] = {
        "security": security.model_copy(update=certificates),
        "server": server.model_copy(update={"password_file": placed(server.password_file)}),
        "bundle": bundle.model_copy(update={"path": placed(bundle.path)}),
        "tags": tags.model_copy(update={"path": placed(tags.path)}),
    }
    if settings.policy is not None:
        policy = settings.policy
        paths = {
            "folder": placed(policy.folder or Path()),
            "onnx": placed(policy.onnx),
            "python": placed(policy.python),
        }
        update["policy"] = policy.model_copy(update=paths)
    return settings.model_copy(update=update)
