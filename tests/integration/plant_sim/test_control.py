"""The hand-shake over the wire: entry, following, shed, lease, take-over by the PI."""

import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime

import pytest

FEED = "R101/MV/InitiatorFeed"
COOLANT = "R101/MV/CoolantTemperature"
SPAN = {FEED: 2.5, COOLANT: 50.0}


class Controller:
    """The least a controller does: lease, heartbeat, request."""

    def __init__(self, peer):
        self.peer = peer
        self.count = 0

    async def beat(self):
        self.count += 1
        return await self.peer.write([("APC/HeartbeatIn", self.count)])

    async def beat_on(self):
        while True:
            assert await self.beat() == ["Good"]
            await asyncio.sleep(0.05)

    @contextlib.asynccontextmanager
    async def beating(self):
        task = asyncio.create_task(self.beat_on())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.asynccontextmanager
async def in_control(plant, *, ttl_s: float = 10.0):
    """Yield engineer, operator, controller; the APC is Active and the plant is paused."""
    async with (
        plant.peer("engineer") as engineer,
        plant.peer("operator") as operator,
        plant.peer("apc") as apc,
    ):
        controller = Controller(apc)
        await engineer.put("Sim/Paused", True)  # noqa: FBT003
        await engineer.put("APC/HeartbeatTimeout", 0.5)
        assert await apc.do("APC/TakeLease", "test", ttl_s) == [True]
        await controller.beat()
        await operator.put("APC/Mode", 2)
        await apc.put("APC/Request", True)  # noqa: FBT003
        assert await apc.read("APC/Active")
        yield engineer, operator, controller


async def test_control_comes_only_when_everybody_agrees(fresh):
    async with fresh.peer("operator") as operator, fresh.peer("apc") as apc:
        controller = Controller(apc)
        assert await apc.read("APC/Permit", "APC/Active") == [True, False]
        assert await apc.do("APC/TakeLease", "test", 5.0) == [True]
        await apc.put("APC/Request", True)  # noqa: FBT003
        await operator.put("APC/Mode", 2)
        assert not await apc.read("APC/Active")  # no heartbeat yet
        async with controller.beating():
            await apc.until("APC/Active", wanted=True)
            owner, until = await apc.read("APC/LeaseOwner", "APC/LeaseUntil")
            assert owner == "test"
            assert 0 < (until.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() <= 5.0
            await operator.put("APC/Mode", 0)
            shown = await apc.read("APC/Active", "APC/ShedReason", "APC/Permit", "APC/Request")
            assert shown == [False, "", True, False]


async def test_targets_are_followed_within_limits(fresh):
    async with in_control(fresh) as (engineer, operator, controller), controller.beating():
        apc = controller.peer
        track = await apc.read(f"{FEED}/Track", f"{COOLANT}/Track")
        targets = [track[0] - 0.2, track[1] - 3.0]
        assert await apc.write(
            [(f"{FEED}/Target", targets[0]), (f"{COOLANT}/Target", targets[1])]
        ) == ["Good", "Good"]
        await engineer.do("Sim/Step", 10.0)
        assert await apc.read(f"{FEED}/Actual", f"{COOLANT}/Actual") == targets
        await operator.put(f"{COOLANT}/MaxMove", 2.0)
        await apc.put(f"{COOLANT}/Target", 300.0)
        await engineer.do("Sim/Step", 10.0)
        assert await apc.read(f"{COOLANT}/Actual") == pytest.approx(targets[1] - 2.0)
        assert await apc.read(f"{COOLANT}/Status") == "RCAS RATE LIMIT"
        assert await apc.read(f"{COOLANT}/Target") == 300.0
        await operator.put(f"{FEED}/LoLim", targets[0] + 0.1)
        await engineer.do("Sim/Step", 10.0)
        assert await apc.read(f"{FEED}/Actual") == pytest.approx(targets[0] + 0.1)
        assert await apc.read(f"{FEED}/WindupLo", f"{FEED}/WindupHi") == [True, False]


async def test_a_silent_controller_is_shed_in_time_and_the_pi_takes_over_smoothly(fresh):
    async with in_control(fresh) as (engineer, operator, controller):
        apc = controller.peer
        async with controller.beating():
            track = await apc.read(f"{FEED}/Track", f"{COOLANT}/Track")
            await apc.write(
                [(f"{FEED}/Target", track[0] - 0.4), (f"{COOLANT}/Target", track[1] - 8.0)]
            )
            await engineer.do("Sim/Step", 1800.0)
            silent_s = time.monotonic()
        await apc.until("APC/Active", wanted=False, limit_s=2.0)
        assert 0.4 < time.monotonic() - silent_s < 0.8
        shown = await apc.read("APC/ShedReason", "APC/Mode", "APC/Request", "APC/Permit")
        assert shown == ["heartbeat lost", 0, False, False]
        before = await apc.read(f"{FEED}/Actual", f"{COOLANT}/Actual")
        assert before == pytest.approx([track[0] - 0.4, track[1] - 8.0])
        await engineer.do("Sim/Step", 10.0)
        after = await apc.read(f"{FEED}/Actual", f"{COOLANT}/Actual")
        for mv, old, new in zip((FEED, COOLANT), before, after, strict=True):
            assert abs(new - old) <= 0.005 * SPAN[mv]
            assert await apc.read(f"{mv}/Status") == "PI"
        async with controller.beating():
            await apc.put("APC/Request", True)  # noqa: FBT003
            assert not await apc.read("APC/Active")
            await operator.do("APC/Acknowledge")
            assert await apc.read("APC/Permit", "APC/ShedReason") == [True, ""]
            await operator.put("APC/Mode", 2)
            assert await apc.read("APC/Active")


async def test_a_dropped_line_is_shed_too(fresh):
    async with in_control(fresh) as (engineer, _, controller):
        controller.peer.client.uaclient.protocol.transport.abort()
        await engineer.until("APC/Active", wanted=False, limit_s=2.0)
        assert await engineer.read("APC/ShedReason") in ("heartbeat lost", "lease lost")


async def test_a_second_session_without_the_lease_is_refused(fresh):
    async with (
        in_control(fresh) as (engineer, _, controller),
        fresh.peer("apc") as rival,
        controller.beating(),
    ):
        assert await rival.do("APC/TakeLease", "rival", 5.0) == [False]
        before = await engineer.read(f"{FEED}/Target", "APC/LeaseOwner")
        outcome = await rival.write(
            [
                (f"{FEED}/Target", 0.0),
                (f"{COOLANT}/Target", 300.0),
                ("APC/HeartbeatIn", 4_000_000_000),
                ("APC/Request", False),
            ]
        )
        assert outcome == ["BadUserAccessDenied"] * 4
        for method in ("APC/ReleaseLease",):
            assert (await rival.call(method))[0] == "BadUserAccessDenied"
        assert (await rival.call("APC/Shed", "mine"))[0] == "BadUserAccessDenied"
        assert await engineer.read(f"{FEED}/Target", "APC/LeaseOwner") == before
        assert await engineer.read("APC/Active")


async def test_the_lease_goes_on_when_its_session_ends(fresh):
    async with in_control(fresh) as (engineer, _, controller), fresh.peer("apc") as rival:
        await controller.peer.client.disconnect()
        await engineer.until("APC/Active", wanted=False)
        assert await engineer.read("APC/ShedReason", "APC/LeaseOwner") == ["lease lost", ""]
        assert await rival.do("APC/TakeLease", "rival", 5.0) == [True]
        assert await engineer.read("APC/LeaseOwner") == "rival"


async def test_operator_and_controller_can_shed(fresh):
    for user in ("operator", "apc"):
        async with in_control(fresh) as (_, operator, controller), controller.beating():
            peer = operator if user == "operator" else controller.peer
            await peer.do("APC/Shed", "drill")
            shown = await peer.read("APC/Active", "APC/ShedReason", "APC/Mode", "APC/Permit")
            assert shown == [False, f"{user}: drill", 0, False]
            await operator.do("APC/Acknowledge")


async def test_an_mv_in_man_is_the_operators(fresh):
    async with in_control(fresh) as (engineer, operator, controller), controller.beating():
        apc = controller.peer
        actual = await apc.read(f"{FEED}/Actual")
        assert await operator.write([(f"{FEED}/Mode", 0), (f"{FEED}/Output", 0.75)]) == [
            "Good",
            "Good",
        ]
        assert await apc.read(f"{FEED}/Permit", f"{COOLANT}/Permit") == [False, True]
        await apc.put(f"{FEED}/Target", actual)
        await engineer.do("Sim/Step", 10.0)
        assert await apc.read(f"{FEED}/Actual", f"{FEED}/Status") == [0.75, "MAN"]


async def test_reset_gives_the_dcs_control_and_a_new_plant(fresh):
    async with in_control(fresh) as (engineer, operator, controller), controller.beating():
        await operator.put("R101/SP/PolymerConc", 130.0)
        await engineer.do("Sim/Step", 3600.0)
        await engineer.do("Sim/Reset", "startup", 11)
        shown = await engineer.read("Sim/PlantTime", "Sim/Scenario", "Sim/Seed", "APC/Active")
        assert shown == [0.0, "startup", 11, False]
        assert await engineer.read("APC/Mode", "R101/SP/PolymerConc") == [0, 100.0]
        assert await engineer.read("Sim/Truth/PolymerConc") == 0.0
        assert await engineer.read("APC/LeaseOwner") == "test"


async def test_the_same_seed_gives_the_same_episode(fresh):
    async with fresh.peer("engineer") as engineer:
        await engineer.put("Sim/Paused", True)  # noqa: FBT003
        ends = []
        for seed in (3, 3, 4):
            await engineer.do("Sim/Reset", "startup", seed)
            await engineer.do("Sim/Step", 7200.0)
            ends.append(await engineer.read("Sim/Truth/PolymerConc", "R101/PV/Temperature"))
        assert ends[0] == ends[1]
        assert ends[0] != ends[2]


async def test_instrument_faults_show_in_quality_and_time(fresh):
    async with fresh.peer("engineer") as engineer:
        await engineer.put("Sim/Speed", 100.0)
        path = "R101/PV/Temperature"
        await engineer.do("Sim/InjectFault", path, "bad_quality", 0.0, 86400.0)
        (bad,) = await engineer.data(path)
        assert bad.StatusCode.name == "BadSensorFailure"
        assert bad.Value.Value is None
        assert await engineer.read("APC/Permit") is False
        await engineer.do("Sim/InjectFault", path, "stale_time", 0.0, 86400.0)
        (first,) = await engineer.data(path)
        beat = await engineer.read("APC/HeartbeatOut")
        await engineer.until("APC/HeartbeatOut", lambda value: value > beat + 3)
        (second,) = await engineer.data(path)
        assert second.StatusCode.is_good()
        assert second.SourceTimestamp == first.SourceTimestamp
        assert second.Value.Value == first.Value.Value
        await engineer.do("Sim/InjectFault", "Temperature", "clear", 0.0, 0.0)
        (well,) = await engineer.data(path)
        assert well.SourceTimestamp > second.SourceTimestamp
        assert await engineer.read("APC/Permit") is True


async def test_snapshot_is_json_of_everything(fresh):
    async with fresh.peer("engineer") as engineer:
        await engineer.put("Sim/Paused", True)  # noqa: FBT003
        (text,) = await engineer.do("Sim/Snapshot")
        tags = json.loads(text)["tags"]
        assert tags["Sim/Truth/Temperature"] == await engineer.read("Sim/Truth/Temperature")
        assert tags["R101/PV/Temperature"]["quality"] == "Good"


async def test_speed_is_kept_on_the_wall_clock(fresh):
    async with fresh.peer("engineer") as engineer:
        for speed in (100.0, 3000.0):
            await engineer.put("Sim/Speed", speed)
            first = (await engineer.data("Sim/PlantTime"))[0]
            await asyncio.sleep(1.0)
            second = (await engineer.data("Sim/PlantTime"))[0]
            plant_s = second.Value.Value - first.Value.Value
            wall_s = (second.SourceTimestamp - first.SourceTimestamp).total_seconds()
            assert plant_s == pytest.approx(speed * wall_s, rel=0.15)
