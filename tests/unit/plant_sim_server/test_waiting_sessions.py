import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError

from plant_sim.opcua import limits
from plant_sim.opcua.internal_server import PlantInternalServer
from plant_sim.opcua.users import RoleUsers


class Desk:
    def __init__(self):
        self.ended = []

    def session_closed(self, session):
        self.ended.append(session)


async def test_sessions_without_a_login_end_and_make_room():
    core = PlantInternalServer(RoleUsers({}))
    core.desk = Desk()
    address = ("127.0.0.1", 50000)
    made = [
        core.create_session(address, external=True)
        for _ in range(limits.MAX_SESSIONS_PER_CONNECTION)
    ]
    with pytest.raises(ServiceError) as caught:
        core.create_session(address, external=True)
    assert caught.value.code == ua.StatusCodes.BadTooManySessions
    core.create_session(("127.0.0.1", 50001), external=True)
    await core.close_waiting(made[-1].made_s + limits.LOGIN_LIMIT_S - 0.1, [])
    assert core.desk.ended == []
    await core.close_waiting(made[-1].made_s + limits.LOGIN_LIMIT_S + 0.1, [])
    assert set(core.desk.ended) >= {session.key for session in made}
    assert core.lookup_external_session(made[0].auth_token) is None
    core.create_session(address, external=True)
