"""The HMI's own user on the plants, and where its password is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from controller.configuration.settings import Section, read_secret

PASSWORD = "TRIMTAB_HMI_PASSWORD"  # noqa: S105 - its name
CREDENTIAL = "trimtab_hmi_password"


class AccountSettings(Section):
    """The HMI's own user on the plants, one that may only read.

    password_file: a file only its owner can read; without it the environment's
    TRIMTAB_HMI_PASSWORD or the credential `trimtab_hmi_password` is used, which otherwise come
    first; in the account of a unit the file does.
    """

    user: Annotated[str, Field(min_length=1)] | None = "observer"
    password_file: Path | None = None


def read_account(account: AccountSettings, *, own: bool = False) -> SecretStr | None:
    """The password of the HMI's own user: environment, else credential, else file.

    own: the account of one unit, whose file comes first, since the others are those of all units.
    Raises ConfigError for a file that cannot be used.
    """
    if own and account.password_file is not None:
        return read_secret(account.password_file, key="units.account.password_file")
    given = os.environ.get(PASSWORD)
    if given:
        return SecretStr(given)
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = None if not folder else Path(folder) / CREDENTIAL
    if credential is not None and credential.is_file():
        return SecretStr(credential.read_text(encoding="utf-8").strip())
    if account.password_file is None:
        return None
    return read_secret(account.password_file, key="account.password_file")
