"""The line to the soft plant under bad company: a stolen lease, a server that stands still."""

import asyncio
import signal

import pytest
from asyncua import ua

from controller.configuration.settings import load_settings
from controller.core.guard import release
from controller.core.types import NotWritten, NotWrittenReason
from controller.metrics import Metrics
from controller.opcua.connection import Connection
from controller.opcua.link import Link
from controller.service import Service
from controller.startup import prepare
from tests.support.lines import no_fault

pytestmark = pytest.mark.asyncio(loop_scope="module")


def open_link(controller, owner: str) -> Link:
    settings = load_settings(controller.config, {"server": {"owner": owner, "lease_ttl_s": 1.0}})
    prepared = prepare(settings)
    return Link(
        endpoint=prepared.endpoint,
        wanted=prepared.wanted,
        binding=prepared.binding,
        options=prepared.link_options,
        metrics=Metrics(prepared.labelling),
    )


async def test_who_lost_the_lease_writes_nothing_and_sheds_nobody_else(
    soft_plant, make_controller, operator
):
    configured = make_controller()
    configured.configure(soft_plant.url, soft_plant.password("apc"))
    first, second = open_link(configured, "first"), open_link(configured, "second")
    assert await first.open(no_fault) is None
    assert first.lease_held
    assert await second.open(no_fault) is None
    assert not second.lease_held
    refused = second._metrics.request_failures.labels("write", "BadUserAccessDenied")
    assert refused._value.get() == 0, "it let go of what is not its own"
    assert second.release_due
    await second.beat({"diagnostics.cycle_ms": 77.0}, alive=True)
    assert await operator.get("APC/Diagnostics/CycleMs") != 77.0, "it stands beside the other's"
    await asyncio.sleep(1.3)
    assert not first.lease_held, "nobody renewed it"
    assert await second.beat({}, alive=True) is None
    assert second.lease_held
    assert not second.release_due
    assert await operator.get("APC/LeaseOwner") == "second"

    async with Beating(second):
        await operator.select(2)
        await second._outbound._connection.write({"handshake.request": True})
        await operator.wait("APC/Active", value=True)
        assert (await first.shed("not mine")).detail == "lease not held"
        outcome = await first.write(release(2))
        assert isinstance(outcome, NotWritten)
        assert outcome.reason is NotWrittenReason.LEASE
        await asyncio.sleep(0.5)
        assert await operator.get("APC/Active") is True
        assert (await first.beat({}, alive=True)).status == "refused"
    await second.close()
    await first.close()


class Beating:
    """Beats for a link that no service beats for."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def _beat(self) -> None:
        while True:
            await self._link.beat({}, alive=True)
            await asyncio.sleep(0.1)

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._beat())

    async def __aexit__(self, *_error: object) -> None:
        self._task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._task


async def test_a_server_that_stands_still_sheds_and_is_found_again(soft_plant, controller):
    async with soft_plant.login("operator") as operator:
        await operator.auto()
        await asyncio.sleep(0.5)
    soft_plant.process.popen.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(1.0)
        assert await controller.mode() == "SHED"
        overruns = (await controller.metrics())["trimtab_scan_overruns_total", ()]
        await asyncio.sleep(1.5)
    finally:
        soft_plant.process.popen.send_signal(signal.SIGCONT)
    async with soft_plant.login("operator") as operator:
        await operator.wait("APC/Active", value=False, seconds=5.0)

    async def connected() -> bool:
        samples = await controller.metrics()
        return samples["trimtab_opcua_connected", ()] == 1.0

    async with asyncio.timeout(10.0):
        while not await connected():  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.05)
    assert overruns >= 1
    assert await controller.process.end() == 0
    rows = controller.rows()
    assert not any(row["overrun"] and row["written"] for row in rows)
    assert [row["scan_id"] for row in rows] == list(range(len(rows)))


async def test_lease_renewals_that_go_unanswered_end_in_a_shed_of_the_plant(
    controller, operator, capfd, monkeypatch
):
    """The heartbeat renews the lease at the plant, which so follows a controller in SHED."""
    assert await controller.process.end() == 0
    await operator.wait("APC/LeaseOwner", "")
    beaten = await operator.get("APC/HeartbeatIn")
    service = Service(prepare(load_settings(controller.config)), controller.config)
    running = asyncio.create_task(service.run())
    try:
        async with asyncio.timeout(15.0):  # a scan that sees the selector at Manual arms
            while await operator.get("APC/HeartbeatIn") == beaten:  # noqa: ASYNC110 - the plant's
                await asyncio.sleep(0.02)
        await operator.auto()
        await asyncio.sleep(0.5)
        call, missed = Connection.call, []

        async def unanswered(connection, key, *arguments):
            if key == "handshake.take_lease" and len(missed) < 2:
                missed.append(key)
                raise TimeoutError
            return await call(connection, key, *arguments)

        monkeypatch.setattr(Connection, "call", unanswered)
        await operator.wait("APC/Active", value=False, seconds=6.0)
        assert len(missed) == 2
        assert "lease" in await operator.get("APC/ShedReason")
    finally:
        monkeypatch.undo()
        service._stop.set()
        assert await asyncio.wait_for(running, 10.0) == 0
    assert "ready" in capfd.readouterr().out


async def test_another_speed_of_the_plant_ends_auto(soft_plant, controller, operator):
    await operator.auto()
    async with soft_plant.login("engineer") as engineer:
        await engineer.put("Sim/Speed", 1000.0, ua.VariantType.Double)
        try:
            await operator.wait("APC/Active", value=False, seconds=5.0)
            assert "scan period" in await operator.get("APC/ShedReason")
        finally:
            await engineer.put("Sim/Speed", 3000.0, ua.VariantType.Double)
    assert await controller.mode() == "SHED"
