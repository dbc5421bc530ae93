"""The service in process, on a foreign plant with a small interface block: AUTO, bugs, hangs."""

import asyncio
import itertools
import re
import socket
import threading
import time

import pytest

from controller.cycle import Cycle
from controller.errors import ConfigError, PlantRefusedError
from controller.opcua.connection import Connection
from controller.opcua.link import Link
from models.runtime import Runtime
from tests.integration.controller.service_rig import TAGS, UNHURRIED
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_auto_on_a_foreign_plant_starts_from_actual_in_its_units(rig, plant):
    await rig.into_auto()
    await asyncio.sleep(0.5)
    assert await rig.stop() == 0
    assert await plant.get("APC.REQUEST") is False
    rows, events = rig.read()
    first, *later = [row for row in rows if row["written"]]
    assert first["target"][0] == pytest.approx(1.0, abs=0.005 * 2.5 + 1e-9)
    assert first["target"][1] == pytest.approx(333.15, abs=0.005 * 50.0 + 1e-9)
    last = later[-1]["target"]
    assert await plant.get("FIC_12.RSP") == pytest.approx(last[0] / 2.5 * 100.0)
    assert await plant.get("TIC_77.RSP") == pytest.approx(last[1] - 273.15, abs=1e-4)
    assert [event["kind"] for event in events][-1] == "stop"


async def test_auto_is_not_resumed_on_a_line_that_is_back_at_once(rig, plant):
    """This DCS says nothing of it: it has no Active, and its selector stands at Auto."""
    await rig.into_auto()
    line = rig.service._link
    first = line._sessions
    line._lose("a line that is back at once")

    async def back() -> bool:
        return line.connected and line._sessions > first

    await until(back)
    scans = rig.service._scans

    async def scanned() -> bool:
        return rig.service._scans > scans + 5

    await until(scanned)
    assert await plant.get("APC.REQUEST") is False
    await plant.put("APC.MODE", 1)
    await asyncio.sleep(0.5)
    await plant.put("APC.MODE", 2)
    await until(rig.following)
    assert await rig.stop() == 0
    rows, _ = rig.read()
    after = [row for row in rows if scans < row["scan_id"] <= scans + 5]
    assert {row["mode_after"] for row in after} == {"SHED"}
    assert not any(row["written"] for row in after)


async def test_a_bug_in_a_scan_sheds_records_and_exits_with_a_fault(rig, plant, monkeypatch):
    await rig.into_auto()

    async def broken(_cycle, _tick):
        raise KeyError("a bug")

    monkeypatch.setattr(Cycle, "scan", broken)
    async with asyncio.timeout(5.0):
        assert await rig.task == 1
    assert await plant.get("APC.REQUEST") is False
    _, events = rig.read()
    assert events[-1]["kind"] == "stop"
    assert events[-1]["detail"]["reason"] == "controller fault: KeyError"


async def test_a_bug_while_reconnecting_ends_in_order_and_exits_with_a_fault(
    rig, plant, monkeypatch
):
    await rig.into_auto()

    async def broken(*_arguments):
        raise AttributeError("a bug")

    monkeypatch.setattr(Connection, "open", broken)
    await plant.stop()
    async with asyncio.timeout(8.0):
        assert await rig.task == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "journal"]
    _, events = rig.read()
    assert events[-1]["kind"] == "stop"
    assert events[-1]["detail"]["reason"] == "controller fault: AttributeError"


async def test_a_bug_in_one_step_of_the_end_leaves_out_no_other_step(rig, monkeypatch):
    await rig.into_auto()
    close = Link.close

    async def broken(link):
        await close(link)
        raise KeyError("a bug")

    async def unheard(_cycle, _reason):
        raise RuntimeError("another bug")

    monkeypatch.setattr(Link, "close", broken)
    monkeypatch.setattr(Cycle, "stop", unheard)
    assert await rig.stop() == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "journal"]
    assert rig.read()[0]


async def test_a_journal_that_hangs_does_not_keep_the_process_alive(rig, plant):
    await rig.into_auto()
    (writer,) = [thread for thread in threading.enumerate() if thread.name == "journal"]
    assert writer.daemon
    assert await rig.stop() == 0
    assert await plant.get("APC.REQUEST") is False


async def test_a_hung_scan_stops_the_heart(rig, plant, monkeypatch):
    await rig.into_auto()
    hung = asyncio.Event()

    async def hang(_cycle, _tick):
        hung.set()
        await asyncio.sleep(3600.0)

    monkeypatch.setattr(Cycle, "scan", hang)
    await hung.wait()
    await asyncio.sleep(0.3)
    beat = await plant.get("APC.HB_IN")
    await asyncio.sleep(0.6)
    assert await plant.get("APC.HB_IN") == beat
    assert await rig.stop() == 0


async def test_three_late_answers_in_a_row_shed(rig, plant, monkeypatch):
    await rig.into_auto()
    advise = Runtime.advise

    def slow(runtime, request, memory):
        time.sleep(0.06)
        return advise(runtime, request, memory)

    monkeypatch.setattr(Runtime, "advise", slow)

    async def let_go() -> bool:
        return not await plant.get("APC.REQUEST")

    await until(let_go)
    targets = await plant.get("FIC_12.RSP"), await plant.get("TIC_77.RSP")
    await asyncio.sleep(0.5)
    assert (await plant.get("FIC_12.RSP"), await plant.get("TIC_77.RSP")) == targets
    assert await rig.stop() == 0
    rows, _ = rig.read()
    late = [row for row in rows if row["proposal"] == "late"]
    assert len(late) >= 3
    assert not any(row["written"] for row in late)
    assert [row["mode_after"] for row in late[:3]] == ["HOLD", "HOLD", "SHED"]


class Manager:
    """What systemd hears: a datagram socket, read until it is empty.

    The kernel lets few datagrams wait, by default ten: what nobody reads is not told.
    """

    def __init__(self, inbox: socket.socket) -> None:
        self.inbox = inbox
        self.told: list[str] = []

    def hear(self) -> list[str]:
        """What was told since the last time."""
        new: list[str] = []
        while True:
            try:
                new.append(self.inbox.recv(500).decode())
            except BlockingIOError:
                self.told += new
                return new


@pytest.fixture
def manager(tmp_path, monkeypatch):
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(str(address))
        inbox.setblocking(False)  # noqa: FBT003
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        yield Manager(inbox)


async def test_the_service_manager_is_told(rig, manager):
    rig.start()
    await until(rig.beating)
    assert await rig.stop() == 0
    told = [line for line in manager.hear() if not line.startswith("STATUS=")]
    assert told[0] == "READY=1"
    assert told.count("READY=1") == 1
    assert told.count("WATCHDOG=1") >= 2
    assert told[-1] == "STOPPING=1"


async def test_the_status_tells_mode_and_reason_and_is_sent_when_it_changes(rig, plant, manager):
    await rig.into_auto()
    await asyncio.sleep(0.5)
    manager.hear()
    await asyncio.sleep(0.5)
    assert {line for line in manager.hear() if line.startswith("STATUS=")} <= {
        "STATUS=AUTO: in command"
    }
    await plant.put("APC.MODE", 0)
    await asyncio.sleep(0.5)
    assert await rig.stop() == 0
    manager.hear()
    said = [line for line in manager.told if line.startswith("STATUS=")]
    assert said[0] == f"STATUS=starting: connecting to {plant.url}"
    assert "STATUS=AUTO: in command" in said
    assert said[-2:] == [
        "STATUS=MANUAL: selected by the operator",
        "STATUS=stopping: controller stopped",
    ]
    assert all(one != other for one, other in itertools.pairwise(said))


async def test_a_dcs_that_refuses_to_be_let_go_bars_auto_and_the_operator_is_told(
    rig, plant, manager
):
    """Its Request stands, from before: it would follow a stale target as soon as it is in Auto."""
    await plant.nodes["APC.REQUEST"].set_read_only()
    why = r"the DCS has not confirmed yet that it took the MVs back: handshake\.request: Bad\w+"
    rig.start(**UNHURRIED)

    def told(words: str) -> bool:
        return any(re.fullmatch(f"STATUS={words}", line) for line in manager.hear())

    await until(lambda: told(f"MANUAL: selected by the operator; {why}"), 30.0)
    await plant.put("APC.MODE", 2)
    await until(lambda: told(f"SHADOW: waiting for AUTO: {why}"))
    due = rig.service._metrics.release_due._value
    assert due.get() == 1.0
    assert await plant.get("APC.HB_IN") == 0
    await plant.nodes["APC.REQUEST"].set_writable()
    await rig.auto_anew()
    await until(lambda: due.get() == 0.0)
    assert await rig.stop() == 0
    rows, _ = rig.read()
    barred = [row for row in rows if row["mode_after"] == "SHADOW"]
    assert any(re.fullmatch(f"waiting for AUTO: {why}", row["reason"]) for row in barred)
    assert not any(row["written"] for row in barred)


async def test_a_dcs_that_takes_a_request_in_auto_alone_is_left_and_entered_again(rig, plant):
    """Out of Auto it withdraws the Request by itself, and refuses that anybody else writes it."""
    request = plant.nodes["APC.REQUEST"]

    async def out_of_auto() -> None:
        await request.set_read_only()
        await plant.put("APC.REQUEST", value=False)
        await plant.put("APC.MODE", 0)

    async def goes_on() -> bool:
        rows, _ = rig.read()
        owed = rig.service._metrics.release_due._value.get()
        return bool(rows) and rows[-1]["mode_after"] == "MANUAL" and owed == 0.0

    async def beats_after(beat: int) -> bool:
        return await plant.get("APC.HB_IN") > beat

    await out_of_auto()
    rig.start(**UNHURRIED)
    await until(rig.beating, 30.0)
    for _ in range(2):
        await until(goes_on)
        beat = await plant.get("APC.HB_IN")
        await until(lambda beat=beat: beats_after(beat))
        await request.set_writable()
        await rig.auto_anew()
        await asyncio.sleep(0.5)
        await out_of_auto()
    assert await rig.stop() == 0


async def test_a_lost_server_leaves_the_watchdog_fed(rig, plant, manager):
    """A restart would not bring the server back, and would lose the model's memory."""
    await rig.into_auto()
    await plant.stop()
    await asyncio.sleep(1.0)
    manager.hear()
    await asyncio.sleep(1.0)
    heard = manager.hear()
    assert heard.count("WATCHDOG=1") >= 4, heard
    assert (
        f"; no connection to {plant.url}"
        in [line for line in manager.told if line.startswith("STATUS=")][-1]
    )
    assert await rig.stop() == 0


async def test_a_hung_scan_starves_the_watchdog(rig, manager, monkeypatch):
    await rig.into_auto()
    hung = asyncio.Event()

    async def hang(_cycle, _tick):
        hung.set()
        await asyncio.sleep(3600.0)

    monkeypatch.setattr(Cycle, "scan", hang)
    await hung.wait()
    await asyncio.sleep(0.3)
    manager.hear()
    await asyncio.sleep(0.6)
    assert "WATCHDOG=1" not in manager.hear()
    assert await rig.stop() == 0


async def test_a_hung_loop_starves_the_watchdog(rig, manager):
    """Nothing but the loop itself feeds it: no thread does."""
    await rig.into_auto()
    manager.hear()
    time.sleep(1.0)  # noqa: ASYNC251 - this is the hang
    assert manager.hear() == []
    assert await rig.stop() == 0


async def test_a_plant_that_is_not_there_leaves_nothing_behind(rig):
    await rig.plant.stop()
    with pytest.raises(PlantRefusedError, match="no OPC UA server"):
        await rig.start()
    assert not rig.journal.exists()


async def test_an_integer_target_is_refused_with_what_to_do(rig, plant):
    tags = TAGS.replace('"plc:s=FIC_12.RSP"', '"plc:s=APC.HB_OUT"')
    (rig.folder / "tags.toml").write_text(tags, encoding="utf-8")
    with pytest.raises(PlantRefusedError, match="type Double or Float") as refused:
        await rig.start()
    assert refused.value.exit_code == 4
    assert "mv.InitiatorFeed.target = 'plc:s=APC.HB_OUT': type UInt32" in str(refused.value)
    assert await plant.get("APC.REQUEST") is True


async def test_a_journal_that_cannot_be_written_is_refused_before_the_plant_is_touched(rig, plant):
    rig.journal.mkdir()
    with pytest.raises(ConfigError, match=r"journal\.db"):
        await rig.start()
    assert await plant.get("APC.REQUEST") is True
    assert await plant.get("APC.HB_IN") == 0
