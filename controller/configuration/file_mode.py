"""Whether a file is only its owner's: passwords and keys must be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from controller.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def refuse_open(file: Path, mode: int, *, key: str) -> None:
    """Refuse a mode with which others than its owner can read.  Raises ConfigError about `key`.

    systemd's access list on a credential shows as a group bit.
    """
    if mode & (0o007 if _by_systemd(file) else 0o077):
        raise ConfigError(
            file=file, key=key, received=f"mode {mode:04o}",
            allowed="a file that only its owner can read", action=f"chmod 600 {file}",
        )  # fmt: skip


def _by_systemd(file: Path) -> bool:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return bool(folder) and file.resolve().is_relative_to(os.path.realpath(folder or ""))
