import pytest
from asyncua import ua

from plant_sim.opcua.diagnostics import Counts, Diagnostics
from plant_sim.opcua.internal_server import PlantInternalServer
from plant_sim.opcua.standard_nodes import StandardNodes
from plant_sim.opcua.users import RoleUsers

CODES = ua.StatusCodes


async def test_the_service_level_follows_plant_and_history():
    core = PlantInternalServer(RoleUsers({}))
    StandardNodes().copy_into(core.aspace)
    diagnostics = Diagnostics(core)
    node = ua.NodeId(ua.ObjectIds.Server_ServiceLevel)
    for failed, degraded, level in (
        (False, False, 255),
        (False, True, 199),
        (True, True, 1),
        (True, False, 1),
        (False, False, 255),
    ):
        await diagnostics.publish(failed=failed, degraded=degraded)
        shown = core.aspace.read_attribute_value(node, ua.AttributeIds.Value).Value
        assert (shown.Value, shown.VariantType) == (level, ua.VariantType.Byte)


@pytest.mark.parametrize(
    ("code", "session", "expected"),
    [
        (CODES.BadNothingToDo, False, (1, 0, 0, 0)),
        (CODES.BadUserAccessDenied, False, (1, 1, 0, 0)),
        (CODES.BadTooManySessions, True, (1, 0, 1, 0)),
        (CODES.BadUserAccessDenied, True, (1, 1, 1, 1)),
    ],
)
def test_a_refusal_is_counted_where_it_belongs(code, session, expected):
    counts = Counts()
    counts.refuse(code, session=session)
    assert expected == (
        counts.RejectedRequestsCount,
        counts.SecurityRejectedRequestsCount,
        counts.RejectedSessionCount,
        counts.SecurityRejectedSessionCount,
    )
