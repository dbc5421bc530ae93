"""Who may connect: users with one role each, from a credentials file that only its owner can read.

    [users.anna]
    role = "operator"
    password = "..."

Where the file does not exist it is made, with one user a role and random passwords.
"""

import hashlib
import hmac
import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from plant_sim.errors import ConfigurationError
from plant_sim.settings import describe, read_toml
from plant_sim.unit.tags import Role

PASSWORD_BYTES = 24
_log = structlog.get_logger("plant_sim.opcua.users")


@dataclass(eq=False)
class PlantUser(User):
    """One login. A fresh object for every session, so that identity tells sessions apart."""

    role: UserRole = UserRole.User
    plant_role: Role = Role.OBSERVER
    __eq__ = object.__eq__
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user's role and the digest of the password; the password itself is not kept."""

    role: Role
    digest: bytes = field(repr=False)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    role: Role
    password: SecretStr = Field(min_length=8)


class _CredentialsFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    users: dict[str, _Entry] = Field(min_length=1)


class RoleUsers(UserManager):
    """asyncua's user manager for these accounts: names and passwords only, nobody anonymous."""

    def __init__(self, passwords: dict[str, tuple[Role, str]]) -> None:
        """Keep digests under a key of this process."""
        self._key = secrets.token_bytes(32)
        self._accounts = {
            name: Account(role=role, digest=self._digest(password))
            for name, (role, password) in passwords.items()
        }
        self._nobody = Account(role=Role.OBSERVER, digest=secrets.token_bytes(32))

    def get_user(
        self,
        iserver: Any,  # noqa: ARG002  (asyncua's signature)
        username: str | None = None,
        password: str | None = None,
        certificate: Any = None,  # noqa: ARG002
    ) -> PlantUser | None:
        """A fresh user for the right password, else None. An unknown name takes as long."""
        known = self._accounts.get(username or "")
        account = known or self._nobody
        right = hmac.compare_digest(account.digest, self._digest(password or ""))
        if known is None or not right:
            _log.warning("login refused", user=(username or "")[:64])
            return None
        _log.info("login", user=username, role=account.role.value)
        return PlantUser(name=username, plant_role=account.role)

    def _digest(self, password: str) -> bytes:
        return hashlib.blake2b(password.encode(), key=self._key, digest_size=32).digest()


def load_users(path: Path) -> RoleUsers:
    """Read the credentials file, or make it; raises ConfigurationError."""
    if not path.exists():
        _create(path)
        _log.info("credentials file created", path=str(path))
    if not path.is_file():
        raise ConfigurationError(
            f"{path}: not a regular file; give the path of a credentials file, or of one to be made"
        )
    _refuse_readable_by_others(path)
    try:
        content = _CredentialsFile.model_validate(read_toml(path, secret=True))
    except ValidationError as error:
        raise ConfigurationError(describe(error, str(path), secret=True)) from None
    return RoleUsers(
        {
            name: (entry.role, entry.password.get_secret_value())
            for name, entry in content.users.items()
        }
    )


def _refuse_readable_by_others(path: Path) -> None:
    try:
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error})") from None
    # systemd guards the directory of LoadCredential=; its access list shows as a group bit
    guarded = os.environ.get("CREDENTIALS_DIRECTORY")
    by_systemd = guarded is not None and path.resolve().is_relative_to(Path(guarded).resolve())
    if mode & (0o007 if by_systemd else 0o077):
        raise ConfigurationError(
            f"{path}: mode {mode:04o} lets others read the passwords; allowed: 0600; "
            f"run: chmod 600 {path}"
        )


def _create(path: Path) -> None:
    """Write the file whole or not at all; `mkstemp` makes it mode 0600 from the start."""
    lines = ["# Users of the soft plant; made by trimtab-plant. Keep this file to yourself (0600)."]
    for role in Role:
        # Hexadecimal: a leading '-' would be an option to the tools that take it as an argument.
        password = secrets.token_hex(PASSWORD_BYTES)
        lines += [f"\n[users.{role}]", f'role = "{role}"', f'password = "{password}"']
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        Path(name).replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be made ({error})") from None
