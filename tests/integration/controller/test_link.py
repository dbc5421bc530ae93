"""The link against a foreign server: reading, writing, losing it and finding it again."""

import asyncio
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.common.callback import CallbackType
from asyncua.common.utils import ServiceError
from structlog.testing import capture_logs

from controller.core.types import (
    NotWritten,
    NotWrittenReason,
    Partial,
    Quality,
    Written,
)
from controller.opcua.link import LASTING_S
from controller.opcua.nodes import WRONG_TYPES
from tests.support.lines import move, no_fault, tick
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_reads_every_tag_with_quality_and_time(link, plant):
    stamp = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    await plant.put("TI_101.PV", 77.25, source_time=stamp)
    assert await link.poll() is None
    image = link.freeze(tick()).measurements
    pv = image["cv.Temperature.pv"]
    assert (pv.value, pv.quality, pv.source_time) == (77.25, Quality.GOOD, stamp)
    assert monotonic() - pv.received_s < 1.0
    assert image["mv.InitiatorFeed.actual"].value == 40.0


async def test_a_bad_status_is_kept_with_its_name_and_no_value_is_invented(link, plant):
    await plant.put("TI_101.PV", 77.25, status=ua.StatusCodes.BadSensorFailure)
    await plant.put("AI_4711.PV", 99.0, status=ua.StatusCodes.UncertainLastUsableValue)
    assert await link.poll() is None
    image = link.freeze(tick()).measurements
    bad, uncertain = image["cv.Temperature.pv"], image["cv.PolymerConc.pv"]
    assert (bad.quality, bad.status) == (Quality.BAD, "BadSensorFailure")
    assert uncertain.quality is Quality.UNCERTAIN
    assert uncertain.value == 99.0


async def test_non_finite_values_reach_the_core_as_they_are(link, plant):
    await plant.put("TI_101.PV", math.nan)
    assert await link.poll() is None
    assert math.isnan(link.freeze(tick()).measurements["cv.Temperature.pv"].value)


async def test_a_server_without_conditions_has_no_alarms_and_is_no_worse_for_it(link, plant):
    assert await link.alarms() is None
    assert await link.alarms() is None
    await plant.put("TI_101.PV", 78.5)
    await until(lambda: link.image()["cv.Temperature.pv"].value == 78.5)
    assert link.connected


async def test_a_change_arrives_by_subscription_without_a_poll(link, plant):
    before = link.freeze(tick()).measurements["cv.Temperature.pv"].value
    await plant.put("TI_101.PV", 91.5)
    assert before != 91.5
    await until(lambda: link.freeze(tick()).measurements["cv.Temperature.pv"].value == 91.5)


async def test_freeze_is_a_copy_that_later_values_do_not_change(link, plant):
    frozen = link.freeze(tick())
    await plant.put("TI_101.PV", 12.0)
    await link.poll()
    assert frozen.measurements["cv.Temperature.pv"].value != 12.0


async def test_targets_are_written_in_the_servers_unit_and_type(link, plant):
    outcome = await link.write(move(1.25, 330.0, entering=True))
    assert isinstance(outcome, Written)
    assert await plant.get("FIC_12.RSP") == pytest.approx(50.0)
    single = await plant.nodes["TIC_77.RSP"].read_data_value()
    assert single.Value.VariantType is ua.VariantType.Float
    assert single.Value.Value == pytest.approx(56.85, abs=1e-5)
    assert await plant.get("APC.REQUEST") is True


async def test_an_mv_that_is_not_available_is_not_written(link, plant):
    outcome = await link.write(move(math.nan, 330.0))
    assert isinstance(outcome, Written)
    assert await plant.get("FIC_12.RSP") == 40.0


async def test_request_is_not_raised_again_by_a_later_move(link, plant):
    await link.write(move(1.0, 330.0, entering=True))
    await plant.put("APC.REQUEST", value=False)
    await link.write(move(1.1, 331.0))
    assert await plant.get("APC.REQUEST") is False


async def test_a_release_withdraws_request_and_writes_no_target(link, plant):
    await link.write(move(1.0, 330.0, entering=True))
    await link.write(move(math.nan, math.nan, request=False))
    assert await plant.get("APC.REQUEST") is False
    assert await plant.get("FIC_12.RSP") == pytest.approx(40.0)


async def test_a_target_at_its_limit_stays_inside_it_on_the_server(link, plant):
    assert isinstance(await link.write(move(2.5, 350.0)), Written)
    assert await plant.get("TIC_77.RSP") <= 76.85
    assert await plant.get("FIC_12.RSP") <= 100.0


async def test_a_target_that_only_another_value_could_stand_for_is_not_written(link, plant):
    outcome = await link.write(move(1.25, 351.0))
    assert isinstance(outcome, NotWritten)
    assert outcome.reason is NotWrittenReason.GUARD
    assert "mv.CoolantTemperature.target" in outcome.detail
    assert await plant.get("FIC_12.RSP") == 40.0


@pytest.mark.parametrize("node", ["APC.HB_OUT", "APC.REQUEST"])
async def test_a_target_node_that_holds_no_fraction_is_refused_before_a_write(
    make_link, mv_tags, plant, node
):
    mv_tags["InitiatorFeed"]["target"] = f"plc:s={node}"
    opened = make_link(mv=mv_tags, block=False)
    failure = await opened.open(no_fault)
    await opened.close()
    assert failure.status == WRONG_TYPES
    assert f"mv.InitiatorFeed.target = 'plc:s={node}': type" in failure.detail
    assert await plant.get("APC.REQUEST") is True


async def test_a_diagnostic_that_fits_no_node_is_dropped_and_the_heart_beats_on(make_link, plant):
    await plant.nodes["APC.NOTE"].set_writable()
    opened = make_link(diagnostics={"cycle_ms": "plc:s=APC.NOTE", "advice_ms": "plc:s=APC.MODE"})
    await plant.nodes["APC.MODE"].set_writable()
    assert await opened.open(no_fault) is None
    news = {"diagnostics.cycle_ms": 12.5, "diagnostics.advice_ms": 1.5}
    with capture_logs() as lines:
        for _ in range(2):
            assert await opened.beat(news, alive=True) is None
    await opened.close()
    await plant.nodes["APC.MODE"].set_read_only()
    assert await plant.get("APC.HB_IN") == 2
    assert await plant.get("APC.MODE") == 2
    dropped = [line for line in lines if line["event"] == "diagnostic_dropped"]
    assert [line["tag"] for line in dropped] == ["diagnostics.cycle_ms"]


async def test_a_beat_that_fails_is_logged_on_change(link, plant):
    await plant.nodes["APC.HB_IN"].set_read_only()
    with capture_logs() as lines:
        for _ in range(3):
            assert await link.beat({}, alive=True) is not None
        await plant.nodes["APC.HB_IN"].set_writable()
        for _ in range(2):
            assert await link.beat({}, alive=True) is None
    assert [line["event"] for line in lines] == ["beat_failed", "beat_succeeds_again"]


async def test_a_beat_that_failed_does_not_count(link, plant):
    await plant.nodes["APC.HB_IN"].set_read_only()
    for _ in range(2):
        assert await link.beat({}, alive=True) is not None
    await plant.nodes["APC.HB_IN"].set_writable()
    assert await link.beat({}, alive=True) is None
    assert await plant.get("APC.HB_IN") == 1


@pytest_asyncio.fixture(loop_scope="module")
async def faulty(plant):
    """Names of nodes; a request that writes one of them is answered by a service fault."""
    names: set[str] = set()

    def refuse(event, _dispatcher):
        written = {value.NodeId.Identifier for value in event.request_params.NodesToWrite}
        if written & names:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)

    plant._server.subscribe_server_callback(CallbackType.PreWrite, refuse)
    yield names
    plant._server.unsubscribe_server_callback(CallbackType.PreWrite, refuse)


def one_value_a_request(link) -> None:
    link._connection._limits = replace(link._connection._limits, write=1)


async def test_the_heartbeat_goes_before_the_diagnostics(make_link, plant, faulty):
    await plant.nodes["APC.MODE"].set_writable()
    opened = make_link(diagnostics={"advice_ms": "plc:s=APC.MODE"})
    assert await opened.open(no_fault) is None
    one_value_a_request(opened)
    faulty.add("APC.MODE")
    for _ in range(2):
        assert await opened.beat({"diagnostics.advice_ms": 1.5}, alive=True) is None
    await opened.close()
    faulty.clear()
    await plant.nodes["APC.MODE"].set_read_only()
    assert await plant.get("APC.HB_IN") == 2


async def test_a_fault_after_an_accepted_part_leaves_a_partial_write(link, plant, faulty):
    one_value_a_request(link)
    faulty.add("TIC_77.RSP")
    outcome = await link.write(move(1.25, 330.0, entering=True))
    assert isinstance(outcome, Partial)
    assert {failure.tag: failure.status for failure in outcome.failures} == {
        "mv.CoolantTemperature.target": "BadTooManyOperations",
        "handshake.request": "BadTooManyOperations",
    }
    assert await plant.get("FIC_12.RSP") == pytest.approx(50.0)
    assert await plant.get("APC.REQUEST") is False


async def test_a_fault_of_the_first_part_is_nothing_written(link, plant, faulty):
    one_value_a_request(link)
    faulty.add("FIC_12.RSP")
    outcome = await link.write(move(1.25, 330.0))
    assert isinstance(outcome, NotWritten)
    assert outcome.reason is NotWrittenReason.REJECTED
    assert await plant.get("TIC_77.RSP") == pytest.approx(60.0)


async def test_a_partly_refused_write_names_the_tag_and_the_status(link, plant):
    await plant.nodes["TIC_77.RSP"].set_read_only()
    outcome = await link.write(move(1.25, 330.0))
    assert isinstance(outcome, Partial)
    (failure,) = outcome.failures
    assert failure.tag == "mv.CoolantTemperature.target"
    assert failure.status in {"BadUserAccessDenied", "BadNotWritable"}
    assert await plant.get("FIC_12.RSP") == pytest.approx(50.0)


async def test_a_wholly_refused_write_is_not_written(link, plant):
    for name in ("TIC_77.RSP", "FIC_12.RSP"):
        await plant.nodes[name].set_read_only()
    outcome = await link.write(move(1.25, 330.0))
    assert isinstance(outcome, NotWritten)
    assert outcome.reason is NotWrittenReason.REJECTED


async def test_an_earlier_sessions_request_is_withdrawn_on_connecting(make_link, plant):
    assert await plant.get("APC.REQUEST") is True
    opened = make_link()
    assert await opened.open(no_fault) is None
    assert await plant.get("APC.REQUEST") is False
    await opened.close()


async def test_the_heartbeat_moves_in_the_nodes_own_type(link, plant):
    beats = []
    for _ in range(3):
        assert await link.beat({}, alive=True) is None
        beats.append(await plant.get("APC.HB_IN"))
    assert beats == [1, 2, 3]
    await link.beat({}, alive=False)
    assert await plant.get("APC.HB_IN") == 3


async def test_the_age_of_the_plants_heartbeat_counts_from_its_last_change(link, plant):
    await plant.put("APC.HB_OUT", 7)
    await link.poll()
    young = link.freeze(tick()).heartbeat_age_s
    await asyncio.sleep(0.15)
    await plant.put("APC.HB_OUT", 7)
    await link.poll()
    assert young < 0.1
    assert link.freeze(tick()).heartbeat_age_s >= 0.15


async def test_a_read_only_link_writes_nothing_at_all(make_link, plant):
    opened = make_link(read_only=True)
    assert await opened.open(no_fault) is None
    outcome = await opened.write(move(1.25, 330.0, entering=True))
    await opened.beat({"diagnostics.cycle_ms": 1.0}, alive=True)
    await opened.shed("test")
    await opened.close()
    assert isinstance(outcome, NotWritten)
    assert await plant.get("FIC_12.RSP") == 40.0
    assert await plant.get("APC.HB_IN") == 0
    assert await plant.get("APC.REQUEST") is True


async def test_a_foreign_server_without_block_needs_none(make_link):
    opened = make_link(block=False)
    assert await opened.open(no_fault) is None
    assert await opened.beat({}, alive=True) is None
    assert isinstance(await opened.write(move(1.0, 320.0, entering=True)), Written)
    assert opened.freeze(tick()).heartbeat_age_s is None
    await opened.close()


SELECTOR = {
    "mode": "plc:s=APC.NOTE",
    "mode_values": {"manual": "LOCAL", "shadow": "ADVISE", "auto": "REMOTE"},
    "mode_on_shed": "LOCAL",
}


@pytest_asyncio.fixture(loop_scope="module")
async def selector_link(make_link, plant):
    """A link to a DCS that can be let go by its selector alone, which shows REMOTE."""
    await plant.nodes["APC.NOTE"].set_writable()
    opened = make_link(block=False, handshake=SELECTOR)
    await plant.put("APC.NOTE", "ADVISE")
    assert await opened.open(no_fault) is None
    await plant.put("APC.NOTE", "REMOTE")
    await opened.poll()
    yield opened
    await opened.close()


async def test_a_shed_puts_the_selector_off_auto(selector_link, plant):
    assert await selector_link.shed("test") is None
    assert await plant.get("APC.NOTE") == "LOCAL"


async def test_a_selector_that_the_operator_has_moved_is_left(selector_link, plant):
    await plant.put("APC.NOTE", "ADVISE")
    await selector_link.poll()
    assert await selector_link.shed("test") is None
    assert await plant.get("APC.NOTE") == "ADVISE"


async def test_a_selector_that_refuses_is_a_failed_shed(selector_link, plant):
    await plant.nodes["APC.NOTE"].set_writable(writable=False)
    failure = await selector_link.shed("test")
    assert failure is not None
    assert failure.status in {"BadNotWritable", "BadUserAccessDenied"}
    assert failure.detail == "handshake.mode"
    assert await plant.get("APC.NOTE") == "REMOTE"


async def test_a_dcs_that_cannot_be_told_is_a_failed_shed_until_the_selector_is_off_auto(
    make_link, plant
):
    selector = {key: value for key, value in SELECTOR.items() if key != "mode_on_shed"}
    await plant.put("APC.NOTE", "REMOTE")
    opened = make_link(block=False, handshake=selector)
    assert await opened.open(no_fault) is None
    with capture_logs() as lines:
        for _ in range(3):
            assert (await opened.shed("test")).status == "untold"
        assert isinstance(await opened.write(move(1.0, 320.0, entering=True)), Written)
        assert (await opened.shed("again")).status == "untold"
    await plant.put("APC.NOTE", "ADVISE")
    await opened.poll()
    assert await opened.shed("test") is None
    await opened.close()
    told = [line["shed"] for line in lines if line["event"] == "dcs_not_told"]
    assert told == ["test", "again"]


async def test_what_could_not_be_let_go_is_said_and_tried_again(make_link, plant):
    await plant.nodes["APC.REQUEST"].set_read_only()
    opened = make_link()
    with capture_logs() as lines:
        assert await opened.open(no_fault) is None
        await opened.beat({}, alive=True)
    assert [line["event"] for line in lines if line["log_level"] == "warning"][:1] == [
        "let_go_failed"
    ]
    assert opened.release_due
    assert await plant.get("APC.HB_IN") == 0
    await plant.nodes["APC.REQUEST"].set_writable()
    assert await opened.beat({}, alive=True) is None
    await opened.close()
    assert not opened.release_due
    assert await plant.get("APC.REQUEST") is False
    assert await plant.get("APC.HB_IN") == 1


async def test_a_refusal_to_be_let_go_is_logged_when_it_is_new_and_when_it_ends(make_link, plant):
    await plant.nodes["APC.REQUEST"].set_read_only()
    opened = make_link()
    with capture_logs() as lines:
        assert await opened.open(no_fault) is None
        refusal = opened.release_refusal
        for _ in range(3):
            await opened.beat({}, alive=True)
        await plant.nodes["APC.REQUEST"].set_writable()
        await opened.beat({}, alive=True)
        await opened.beat({}, alive=True)
    await opened.close()
    assert refusal in {
        "handshake.request: BadNotWritable",
        "handshake.request: BadUserAccessDenied",
    }
    assert opened.release_refusal == ""
    told = [line["event"] for line in lines if line["event"].startswith("let_go")]
    assert told == ["let_go_failed", "let_go_succeeded"]


@pytest.mark.parametrize(("selector", "due"), [(0, False), (1, False), (2, True)])
async def test_a_dcs_that_takes_a_request_in_auto_alone_owes_nothing_out_of_auto(
    make_link, plant, selector, due
):
    await plant.put("APC.REQUEST", value=False)
    await plant.put("APC.MODE", selector)
    await plant.nodes["APC.REQUEST"].set_read_only()
    opened = make_link()
    assert await opened.open(no_fault) is None
    assert opened.release_due is due
    await opened.beat({}, alive=True)
    await opened.close()
    assert await plant.get("APC.HB_IN") == (0 if due else 1)


@pytest.mark.parametrize("read_only", [False, True])
async def test_what_an_earlier_session_left_in_auto_is_let_go(make_link, plant, read_only):
    await plant.nodes["APC.NOTE"].set_writable()
    await plant.put("APC.NOTE", "REMOTE")
    opened = make_link(block=False, handshake=SELECTOR, read_only=read_only)
    assert await opened.open(no_fault) is None
    await opened.close()
    assert await plant.get("APC.NOTE") == ("REMOTE" if read_only else "LOCAL")


async def test_unknown_nodes_are_named_with_key_and_reference(make_link, cv_tags):
    cv_tags["Temperature"]["pv"] = "plc:s=NOT_THERE"
    cv_tags["PolymerConc"]["sp"] = "nsu=urn:other:vendor;s=X"
    opened = make_link(cv=cv_tags)
    failure = await opened.open(no_fault)
    await opened.close()
    assert "cv.Temperature.pv = 'plc:s=NOT_THERE'" in failure.detail
    assert "BadNodeIdUnknown" in failure.detail
    assert "urn:other:vendor" in failure.detail


async def test_no_server_is_a_value_not_an_exception(make_link):
    opened = make_link(url="opc.tcp://127.0.0.1:1")
    failure = await opened.open(no_fault)
    assert failure.service == "connect"
    assert not opened.connected
    await opened.close()


async def test_a_restarted_server_is_found_again_under_other_namespace_indices(link, plant):
    first_index = plant.index
    with capture_logs() as lines:
        await plant.stop()
        await until(lambda: not link.connected)
        stale = link.freeze(tick())
        assert not stale.connected
        assert stale.measurements["cv.Temperature.pv"].value is not None
        assert isinstance(await link.write(move(1.0, 330.0)), NotWritten)
        assert (await link.poll()).status == "connection"
        await asyncio.sleep(0.5)
        aged = monotonic() - link.freeze(tick()).measurements["cv.Temperature.pv"].received_s
        assert aged > 0.4
        await plant.start(other_namespaces=3)
        assert plant.index != first_index
        await until(lambda: any(line["event"] == "reconnected" for line in lines), 5.0)
        assert link.connected
    await plant.put("TI_101.PV", 64.0)
    assert await link.poll() is None
    assert link.freeze(tick()).measurements["cv.Temperature.pv"].value == 64.0
    await plant.put("TI_101.PV", 65.0)
    await until(lambda: link.freeze(tick()).measurements["cv.Temperature.pv"].value == 65.0)
    events = [line["event"] for line in lines]
    assert events[0] == "connection_lost"
    assert "reconnect_failed" in events
    assert events[-1] == "reconnected"
    delays = [line["retry_in_s"] for line in lines if line["event"] == "reconnect_failed"]
    assert max(delays) <= 1.0


async def test_a_loss_too_short_to_be_seen_leaves_another_session_number(link):
    first = link.freeze(tick())
    await link._connection._client.disconnect()
    link._lose("a line that is back at once")
    await until(lambda: link.freeze(tick()).session != first.session)
    again = link.freeze(tick())
    assert first.connected
    assert again.connected
    assert again.session == first.session + 1


async def test_sessions_that_die_at_once_are_reopened_with_growing_pauses(link):
    first = link.freeze(tick()).session
    with capture_logs() as lines:
        ends = monotonic() + 2.0
        while monotonic() < ends:
            if link.connected:
                link._lose("a server that ends every session")
            await asyncio.sleep(0.005)
    assert 3 <= link.freeze(tick()).session - first <= 5
    assert not any(line["event"] == "reconnect_failed" for line in lines)
    await until(lambda: link.connected)
    last = link.freeze(tick()).session
    link._opened_s -= LASTING_S
    link._lose("a loss after a session that lasted")
    await until(lambda: link.freeze(tick()).session == last + 1, 0.5)


async def test_old_notifications_do_not_replace_later_values(link, plant):
    late = datetime.now(UTC) + timedelta(seconds=30)
    await plant.put("TI_101.PV", 70.0, source_time=late)
    await link.poll()
    await plant.put("TI_101.PV", 71.0, source_time=late - timedelta(seconds=20))
    await asyncio.sleep(0.3)
    assert link.freeze(tick()).measurements["cv.Temperature.pv"].value == 70.0
    await link.poll()
    assert link.freeze(tick()).measurements["cv.Temperature.pv"].value == 71.0
