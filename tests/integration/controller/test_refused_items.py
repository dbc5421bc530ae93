"""A server that monitors some of the tags, or none: the rest is polled, and the controller goes on.

A refusal may come for each item, or for a request as a whole (OPC 10000-4, 5.13.2).
"""

import asyncio

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession

from tests.support.lines import no_fault, tick

pytestmark = pytest.mark.asyncio(loop_scope="module")

FULL = ua.StatusCodes.BadTooManyMonitoredItems
MOST_A_CALL = 3
LIMIT = ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall
PLACES = {
    "AI_4711.PV": "cv.PolymerConc.pv",
    "AIC_4711.SP": "cv.PolymerConc.sp",
    "TI_101.PV": "cv.Temperature.pv",
    "TIC_101.SP": "cv.Temperature.sp",
    "FIC_12.OUT": "mv.InitiatorFeed.actual",
    "TIC_77.OUT": "mv.CoolantTemperature.actual",
    "AI_4710.PV": "dv.MonomerConc.pv",
}


class Quota:
    """How many monitored items the server has left, and what it answers when there are none."""

    def __init__(self, monkeypatch) -> None:
        self.left, self.status, self.whole = 0, FULL, False
        self.asked = 0
        grant = InternalSession.create_monitored_items

        async def create(session, params):
            wanted = params.ItemsToCreate
            self.asked += len(wanted)
            if self.whole and len(wanted) > self.left:
                raise ServiceError(self.status)
            params.ItemsToCreate = wanted[: self.left]
            made = await grant(session, params)
            self.left -= len(made)
            refused = ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(self.status))
            return [*made, *[refused] * (len(wanted) - len(made))]

        monkeypatch.setattr(InternalSession, "create_monitored_items", create)


@pytest_asyncio.fixture(loop_scope="module")
async def quota(plant, monkeypatch):
    """The server's; it takes few items a call, as many do."""
    stated = plant._server.get_node(LIMIT)
    before = await stated.read_value()
    await stated.write_value(ua.Variant(MOST_A_CALL, ua.VariantType.UInt32))
    yield Quota(monkeypatch)
    await stated.write_value(ua.Variant(before, ua.VariantType.UInt32))


def seen(link):
    return {key: held.value for key, held in link.freeze(tick()).measurements.items()}


@pytest.mark.parametrize("whole", [False, True], ids=["item by item", "the request"])
@pytest.mark.parametrize("left", [0, 1, MOST_A_CALL + 1])
async def test_tags_whose_items_are_refused_are_polled(make_link, plant, quota, whole, left):
    quota.left, quota.whole = left, whole
    link = make_link()
    assert await link.open(no_fault) is None
    granted = link._connection._subscription.granted
    assert granted.refused == ""
    kept = left // MOST_A_CALL * MOST_A_CALL if whole else left
    assert quota.asked - granted.missing == kept
    new = {key: 51.0 + step for step, key in enumerate(PLACES.values())}
    for name, key in PLACES.items():
        await plant.put(name, new[key])
    await asyncio.sleep(0.5)
    told = [key for key, value in new.items() if seen(link)[key] == value]
    assert len(told) <= kept, "the server was to refuse them"
    assert await link.poll() is None
    assert {key: seen(link)[key] for key in new} == new
    assert link.connected
    await link.close()


async def test_auto_goes_on_where_every_item_is_refused(rig, plant, quota):
    quota.whole = True
    await rig.into_auto()
    await plant.put("TIC_101.SP", 78.0)
    await asyncio.sleep(1.0)
    assert await rig.stop() == 0
    assert quota.asked > 0
    rows, _ = rig.read()
    followed = [row for row in rows if row["sp"][1] == pytest.approx(351.15)]
    assert any(row["written"] for row in followed)
