"""Settings of `trimtab-plant serve`: TOML file < environment < command line.

Environment variables: `TRIMTAB_PLANT_SERVER__PORT=4841` and so on. A wrong key, type or range
raises `ConfigurationError`, whose text names the file, the key, the value and what is allowed.
"""

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from plant_sim.errors import ConfigurationError

if TYPE_CHECKING:
    from plant_sim.plant import PlantOptions

ScenarioName = Literal["startup", "grade_down", "grade_up"]
UINT32_MAX = 2**32 - 1


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(_Section):
    """Where the server listens and how often it publishes."""

    host: str = "127.0.0.1"
    port: int = Field(default=4840, ge=0, le=65535)
    tick_s: float = Field(default=0.05, ge=0.005, le=0.05)


class SecuritySettings(_Section):
    """Encryption: the folder of certificates, or none at all on a loopback address."""

    insecure: bool = False
    pki: str = Field(default="pki", min_length=1)


class SimulationSettings(_Section):
    """The first episode, the clock, and what is switched on in the plant."""

    scenario: ScenarioName = "startup"
    seed: int = Field(default=0, ge=0, le=UINT32_MAX)
    speed: float = Field(default=1.0, ge=0.1, le=10000.0)
    paused: bool = False
    noise: bool = False
    mismatch: bool = False
    disturbance: bool = False
    actuators: bool = False

    def options(self) -> "PlantOptions":
        """What is switched on, as the plant takes it."""
        from plant_sim.plant import PlantOptions  # noqa: PLC0415  (numba takes half a second)

        return PlantOptions(
            noise=self.noise,
            mismatch=self.mismatch,
            disturbance=self.disturbance,
            actuators=self.actuators,
        )


class UnitSettings(_Section):
    """How many reactors this process has.

    Each has an endpoint of its own at the next port (port 0: each its own free one) and the next
    seed; everything else is the same for all.
    """

    count: int = Field(default=1, ge=1, le=100)


class HandshakeSettings(_Section):
    """The plant's side of the hand-shake with the controller."""

    heartbeat_timeout_s: float = Field(default=3.0, ge=0.2, le=60.0)
    shed_option: Literal["RETURN_TO_PI", "SAFE"] = "RETURN_TO_PI"


class HistorySettings(_Section):
    """The history that HistoryRead answers from, of every PV, SP and MV.

    file: SQLite; empty: in memory, and lost with the process. Of several units each has its own,
    `history.db` becomes `history-1.db`, `history-2.db`, ...
    """

    file: str = ""
    interval_s: float = Field(default=1.0, ge=0.05, le=3600.0)
    retention_h: float = Field(default=24.0, ge=0.01, le=100_000.0)
    max_values: int = Field(default=100_000, ge=1000, le=100_000_000)


class FileSettings(_Section):
    """Files; an empty name means none.

    trend: of several units each has its own, `trend.csv` becomes `trend-1.csv`, `trend-2.csv`, ...
    """

    credentials: str = ""
    trend: str = ""
    ready: str = ""


class PlantSettings(BaseSettings):
    """All settings of the soft plant's server."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="TRIMTAB_PLANT_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )
    toml_file: ClassVar[Path | None] = None

    server: ServerSettings = ServerSettings()
    security: SecuritySettings = SecuritySettings()
    simulation: SimulationSettings = SimulationSettings()
    units: UnitSettings = UnitSettings()
    handshake: HandshakeSettings = HandshakeSettings()
    history: HistorySettings = HistorySettings()
    files: FileSettings = FileSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (the base's signature)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line over environment over file."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=cls.toml_file)
        return init_settings, env_settings, file


def load_settings(path: Path | None, overrides: dict[str, dict[str, Any]]) -> PlantSettings:
    """Read `path` (None: defaults), let environment and `overrides` win.

    overrides: section -> key -> value; None values are left out.  Raises ConfigurationError.
    """
    chosen = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in overrides.items()
    }
    if path is not None:
        read_toml(path)
    source = type("PlantSettingsFromFile", (PlantSettings,), {"toml_file": path})
    try:
        settings: PlantSettings = source(**{name: keys for name, keys in chosen.items() if keys})
    except ValidationError as error:
        where = str(path) if path else "settings"
        raise ConfigurationError(describe(error, where)) from None
    except SettingsError as error:
        raise ConfigurationError(
            f"environment: {error}; a section is set by its keys, such as "
            "TRIMTAB_PLANT_SERVER__PORT=4841, or as one JSON object"
        ) from None
    return settings


def read_toml(path: Path, *, secret: bool = False) -> dict[str, Any]:
    """Read a TOML file; raises ConfigurationError where that cannot be done.

    secret: the message shows nothing of the content, only the place of the fault.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file; give the path of a TOML file") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: cannot be read (not UTF-8 text)") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at (line \d+, column \d+|end of document)", str(error))
        said = (place.group() if place else "somewhere") if secret else str(error)
        raise ConfigurationError(f"{path}: not valid TOML ({said})") from None


def describe(error: ValidationError, where: str, *, secret: bool = False) -> str:
    """Every fault of a configuration, one a line: file, key, what was received, what is allowed.

    secret: what was received is left out, for files of passwords.
    """
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            lines.append(f"{where}: {key}: unknown key; remove it or correct its name")
            continue
        got = "" if secret or fault["type"] == "missing" else f" = {fault['input']!r}"
        lines.append(f"{where}: {key}{got}: {fault['msg']}; correct it and start again")
    return "\n".join(lines)
