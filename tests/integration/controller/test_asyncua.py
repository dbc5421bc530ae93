"""What asyncua does otherwise than the standard, and servers that are stricter than its own: see
docs/asyncua.md. Each test fails where the link relies on asyncua.
"""

import asyncio
import contextlib
from typing import Self

import pytest
from asyncua import Client, ua
from asyncua.server import binary_server_asyncio
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

from controller.core.types import NotWritten, NotWrittenReason, Written
from controller.core.validate import ValidationMemory, ValidationRules, validate
from controller.opcua.requests import NO_CONNECTION, TIMEOUT
from tests.support.lines import move, no_fault, tick
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PV = "cv.Temperature.pv"
LIMIT_S, STEP_S = 0.4, 0.15


# ---------------------------------------------------------------------- subscriptions


async def test_a_value_that_creeps_arrives_without_a_poll(link, plant):
    """A deadband is measured from the last sample there: a slow drift would never be told."""
    for step in range(1, 41):
        await plant.put("TI_101.PV", 76.5 + 0.05 * step)
        await asyncio.sleep(0.005)
    await until(lambda: link.freeze(tick()).measurements[PV].value == pytest.approx(78.5))


async def test_many_samples_between_two_publishings_arrive_as_the_last(link, plant, monkeypatch):
    """Every write is a sample there, whatever sampling interval was asked for."""
    taken, notified = [], link._image.notified

    def counted(tag, *arguments, **options):
        taken.append(tag)
        notified(tag, *arguments, **options)

    monkeypatch.setattr(link._image, "notified", counted)
    for number in range(500):
        await plant.put("TI_101.PV", 80.0 + 0.01 * number)
    await until(lambda: link.freeze(tick()).measurements[PV].value == pytest.approx(84.99))
    assert taken.count(PV) < 50


async def test_a_quiet_subscription_is_not_stale_while_the_heartbeat_moves(link, plant):
    binding, memory = link._outbound._binding, ValidationMemory()
    rules = ValidationRules(sample_time_s=300.0, max_gap_s=1800.0, heartbeat_limit_s=LIMIT_S)
    steps = round(2 * LIMIT_S / STEP_S)

    async def judged(name, value):
        nonlocal memory
        await asyncio.sleep(STEP_S)
        await plant.put(name, value)
        assert await link.poll() is None
        readings, memory = validate(link.freeze(tick()), binding, rules, memory)
        return readings

    for beat in range(1, steps + 1):
        quiet = await judged("APC.HB_OUT", beat)
        assert not quiet.heartbeat_stale
        assert quiet.usable, quiet.faults
    for step in range(1, steps + 1):
        lively = await judged("TI_101.PV", 76.5 + 0.1 * step)
    assert lively.heartbeat_stale, "values that change are no heartbeat"
    assert not lively.usable


# ---------------------------------------------------------------------- writes


class ValuesAlone(UaProcessor):
    """A server that takes no time stamps and no status, as many PLCs: it looks at the bytes,
    because what asyncua makes of them has a status whether or not one was sent.
    """

    async def _process_message(self, typeid, requesthdr, seqhdr, body):
        if typeid == ua.NodeId(ua.ObjectIds.WriteRequest_Encoding_DefaultBinary):
            params = struct_from_binary(ua.WriteParameters, body.copy(len(body)))
            for item in params.NodesToWrite:
                item.Value = ua.DataValue(item.Value.Value, StatusCode=None)
            if len(struct_to_binary(params)) < len(body):
                refused = ua.StatusCode(ua.StatusCodes.BadWriteNotSupported)
                response = ua.WriteResponse()
                response.Results = [refused] * len(params.NodesToWrite)
                self.send_response(requesthdr.RequestHandle, seqhdr, response)
                return True
        return await super()._process_message(typeid, requesthdr, seqhdr, body)


async def test_a_server_that_takes_values_alone_is_written_to(make_link, plant, monkeypatch):
    """asyncua's own write_value sends a time stamp and a status with them."""
    monkeypatch.setattr(binary_server_asyncio, "UaProcessor", ValuesAlone)
    async with Client(plant.url) as client:
        node = client.get_node(plant.nodes["FIC_12.RSP"].nodeid)
        good = ua.DataValue(ua.Variant(41.0, ua.VariantType.Double))
        for value in (41.0, good):
            with pytest.raises(ua.uaerrors.BadWriteNotSupported):
                await node.write_value(value)
    link = make_link()
    assert await link.open(no_fault) is None
    try:
        assert isinstance(await link.write(move(1.25, 330.0, entering=True)), Written)
        assert await plant.get("FIC_12.RSP") == pytest.approx(50.0)
        assert await plant.get("TIC_77.RSP") == pytest.approx(56.85, abs=1e-5)
        assert await link.beat({}, alive=True) is None
        assert await plant.get("APC.HB_IN") == 1
        assert await link.shed("test") is None
        assert await plant.get("APC.REQUEST") is False
    finally:
        await link.close()


# ---------------------------------------------------------------------- a line without an answer


class Relay:
    """A line to a server that can go dead without a word."""

    def __init__(self, port: int) -> None:
        self._far = port
        self._ends: list[asyncio.StreamWriter] = []
        self._lines: set[asyncio.Task] = set()
        self.alive = asyncio.Event()
        self.alive.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._joined, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()
        self.alive.set()
        for end in self._ends:
            end.close()
        await asyncio.gather(*self._lines)
        await self._server.wait_closed()

    async def _joined(self, reader, writer) -> None:
        self._lines.add(asyncio.current_task())
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far)
        self._ends += [writer, far_writer]
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))

    async def _pass(self, reader, writer) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self.alive.wait()
                writer.write(data)
        writer.close()


async def first_of(work, seconds: float):
    """The result of `work`, which must end before so many seconds have passed."""
    asked, later = asyncio.create_task(work), asyncio.create_task(asyncio.sleep(seconds))
    done, _ = await asyncio.wait({asked, later}, return_when=asyncio.FIRST_COMPLETED)
    assert asked in done, "it was still waiting"
    later.cancel()
    await asyncio.wait({later})
    return asked.result()


async def test_no_request_waits_longer_than_the_links_own_time_out(make_link, plant):
    """asyncua waits for its own, longer time-out, and up to 60 s while it reconnects by itself."""
    async with Relay(plant.port) as relay:
        opened = make_link(url=f"opc.tcp://127.0.0.1:{relay.port}/plc")
        try:
            assert await opened.open(no_fault) is None
            before = opened.freeze(tick()).session
            relay.alive.clear()
            bound_s = 2.0 * opened._requests.timeout_s
            assert (await first_of(opened.poll(), bound_s)).status == TIMEOUT
            outcome = await first_of(opened.write(move(1.0, 320.0)), bound_s)
            assert isinstance(outcome, NotWritten)
            await until(lambda: not opened.connected)
            assert (await first_of(opened.poll(), bound_s)).status == NO_CONNECTION
            outcome = await first_of(opened.write(move(1.0, 320.0)), bound_s)
            assert outcome.reason is NotWrittenReason.DISCONNECTED
            relay.alive.set()
            await until(lambda: opened.connected)
            assert opened.freeze(tick()).session > before, "a session that sheds and disarms"
        finally:
            await opened.close()
