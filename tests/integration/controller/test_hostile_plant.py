"""AUTO on a plant that says anything: no wrong move, no end of the service, no endless record."""

import asyncio
import math
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from asyncua import ua

from tests.integration.controller.service_rig import HANDSHAKE, TAGS, UNHURRIED, configure
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOLD = TAGS.replace(HANDSHAKE, HANDSHAKE + 'shed_reason = "plc:s=APC.NOTE"\n')
READ = (
    "AI_4711.PV", "AIC_4711.SP", "TI_101.PV", "TIC_101.SP", "FIC_12.OUT", "FIC_12.RSP",
    "TIC_77.OUT", "TIC_77.RSP", "AI_4710.PV", "SIM.SPEED", "APC.NOTE",
)  # fmt: skip
LOW, HIGH = (0.0, 300.0), (2.5, 350.0)
"""Ranges of the MVs of the shipped bundle [kg/h, K]."""


def double(content):
    return ua.Variant(content, ua.VariantType.Double)


def told(variant, *, status=ua.StatusCodes.Good, at=None):
    return ua.DataValue(
        variant, StatusCode=ua.StatusCode(status), SourceTimestamp=at or datetime.now(UTC)
    )


NONSENSE = {
    "not a number": lambda _: told(double(math.nan)),
    "infinity": lambda _: told(double(math.inf)),
    "minus infinity": lambda _: told(double(-math.inf)),
    "huge": lambda _: told(double(1e308)),
    "tiny and negative": lambda _: told(double(-5e-324)),
    "an array": lambda _: told(ua.Variant([1.0, 2.0], ua.VariantType.Double)),
    "a text": lambda _: told(ua.Variant("1.0", ua.VariantType.String)),
    "ten megabytes": lambda _: told(ua.Variant("x" * 10_000_000, ua.VariantType.String)),
    "a Boolean": lambda _: told(ua.Variant(True, ua.VariantType.Boolean)),  # noqa: FBT003
    "the largest count": lambda _: told(ua.Variant(2**64 - 1, ua.VariantType.UInt64)),
    "a time": lambda _: told(ua.Variant(datetime(9999, 1, 1, tzinfo=UTC))),
    "bytes": lambda _: told(ua.Variant(b"\xff" * 100, ua.VariantType.ByteString)),
    "a status": lambda _: told(ua.Variant(ua.StatusCode(0x8000_0000))),
    "nothing": lambda _: ua.DataValue(),
    "an unknown status": lambda held: told(held.Value, status=0x80FF_0000),
    "yesterday": lambda held: told(held.Value, at=datetime(1601, 1, 1, tzinfo=UTC)),
    "tomorrow": lambda held: told(held.Value, at=datetime(9999, 12, 31, tzinfo=UTC)),
}


class Hostage:
    """The foreign plant's values, put where its server's own checks do not see them."""

    def __init__(self, plant) -> None:
        self.space = plant._server.iserver.aspace
        self.nodes = {name: plant.nodes[name].nodeid for name in READ}
        self.sound = {name: self.held(name) for name in READ}

    def held(self, name):
        return self.space[self.nodes[name]].attributes[ua.AttributeIds.Value].value

    async def say(self, name, value):
        attribute = self.space[self.nodes[name]].attributes[ua.AttributeIds.Value]
        attribute.value = value
        for handle, notify in list(attribute.datachange_callbacks.items()):
            await notify(handle, value)

    async def restore(self):
        for name, value in self.sound.items():
            await self.say(name, told(value.Value))


@pytest_asyncio.fixture(loop_scope="module")
async def auto(rig, plant):
    """A service on the foreign plant."""
    configure(rig.folder, plant, TOLD)
    rig.start(**UNHURRIED)
    await until(rig.beating, 30.0)
    return rig


@pytest.mark.timeout(400)
async def test_no_nonsense_of_the_plant_moves_an_mv_wrongly(auto, plant, capfd):
    hostage = Hostage(plant)
    for name, nonsense in NONSENSE.items():
        await auto.auto_anew()
        for tag in READ:
            await hostage.say(tag, nonsense(hostage.sound[tag]))
            await asyncio.sleep(0.05)
        assert not auto.task.done(), name
        await hostage.restore()
    assert await auto.stop() == 0
    assert "Traceback" not in capfd.readouterr().err
    assert auto.journal.stat().st_size < 20 * 1024 * 1024
    rows, _ = auto.read()
    written = [row for row in rows if row["written"]]
    assert len(written) > len(NONSENSE)
    for row in written:
        assert row["certified"]
        assert all(math.isfinite(value) for value in row["cv"])
        targets = zip(row["target"], LOW, HIGH, strict=True)
        assert all(value is None or low <= value <= high for value, low, high in targets)


async def test_quality_that_flaps_moves_nothing_while_it_is_bad(auto, plant, capfd):
    hostage = Hostage(plant)
    await auto.auto_anew()
    for _ in range(40):
        for status in (ua.StatusCodes.BadSensorFailure, ua.StatusCodes.Good):
            for tag in ("TI_101.PV", "AI_4711.PV"):
                await hostage.say(tag, told(hostage.sound[tag].Value, status=status))
            await asyncio.sleep(0.03)
    assert not auto.task.done()
    await hostage.restore()
    assert await auto.stop() == 0
    assert "Traceback" not in capfd.readouterr().err
    rows, _ = auto.read()
    for row in rows:
        if row["written"]:
            assert all(math.isfinite(value) for value in row["cv"])
