"""How often one user is logged in, whatever the plant makes of the name's letters."""

from types import SimpleNamespace

import pytest

from controller.hmi import logins as module
from controller.hmi.logins import MOST_OF_ONE, Logins
from controller.hmi.operator_line import OperatorLine
from controller.hmi.settings import LoginSettings


class Line(OperatorLine):
    """A session on a plant that does not tell case and blanks of names apart."""

    lost = False
    grants = frozenset()

    def __init__(self) -> None:
        """Without a plant."""

    async def close(self) -> None:
        self.lost = True


@pytest.fixture
def logins(monkeypatch):
    async def opened(*_of):
        return Line()

    monkeypatch.setattr(module.OperatorLine, "open", opened)
    units = {
        name: SimpleNamespace(name=name, users=users)
        for name, users in (("R101", "site"), ("R201", "other"))
    }
    return Logins(units, LoginSettings())


async def test_a_name_in_other_letters_is_the_same_user(logins):
    names = ["operator", "Operator", " OPERATOR ", "operator "] * 4
    made = [await logins.login(name, "x", "192.0.2.1", "R101") for name in names]
    assert not any(logins.find(login.cookie) for login in made[:MOST_OF_ONE])
    assert all(logins.find(login.cookie) is login for login in made[MOST_OF_ONE:])
    assert made[1].user == "Operator"


async def test_the_same_name_on_plants_with_other_users_is_another_user(logins):
    made = [
        await logins.login("operator", "x", "192.0.2.1", unit)
        for unit in ("R101", "R201")
        for _ in range(MOST_OF_ONE)
    ]
    assert all(logins.find(login.cookie) is login for login in made)
