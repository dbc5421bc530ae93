"""AUTO on the soft plant: entry, certificates, hand-over, and the ends of a controller."""

import asyncio
import os
import signal
import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest
from asyncua import ua
from typer.testing import CliRunner

from controller.cli import main
from controller.journal.reader import Reader
from controller.journal.replay import replay
from models.bundle import default_bundle
from models.runtime import Runtime

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPANS = (2.5, 50.0)
ENTRY_SHARE = 0.005


def written(rows: list[dict]) -> list[dict]:
    return [row for row in rows if row["written"]]


def assert_certified_as_written(rows: list[dict]) -> None:
    for row in written(rows):
        assert row["certified"]
        assert row["gap"] <= row["tolerance"]
        assert row["target"] == row["move"]
        for value, low, high in zip(row["move"], row["low"], row["high"], strict=True):
            assert low <= value <= high


def assert_not_bunched(rows: list[dict], period_s: float) -> None:
    """Distances of scans that lie on one grid, none shorter than the grid allows."""
    assert [row["scan_id"] for row in rows] == list(range(len(rows)))
    for before, after in pairwise(rows):
        steps = 1 + after["skipped"]
        start = steps * period_s + after["lateness_s"] - before["lateness_s"]
        assert start > 0.0
        assert before["duration_s"] <= start + 1e-3


def bundle() -> Path:
    return Path(os.environ.get("TRIMTAB_BUNDLE__PATH", default_bundle()))


async def test_auto_from_entry_to_an_orderly_end(controller, operator):
    await asyncio.sleep(0.5)
    assert await controller.mode() == "MANUAL"
    assert await operator.get("APC/Active") is False
    await operator.auto()
    await asyncio.sleep(2.0)
    assert await controller.mode() == "AUTO"
    assert await operator.get("APC/Diagnostics/CycleMs") > 0.0
    assert await controller.process.end(signal.SIGINT) == 0
    await operator.wait("APC/Active", value=False, seconds=2.0)
    assert "controller stopped" in await operator.get("APC/ShedReason")
    assert await operator.get("APC/Request") is False

    rows = controller.rows()
    moves = written(rows)
    assert len(moves) >= 10
    first = moves[0]
    for target, track, span in zip(first["target"], first["track"], SPANS, strict=True):
        assert abs(target - track) <= ENTRY_SHARE * span + 1e-9
    assert_certified_as_written(rows)
    assert_not_bunched(rows, controller.period_s)
    with Reader.open(controller.journal) as reader:
        assert reader.verify() is None
        runtime = Runtime.load(bundle())
        assert list(replay(reader, runtime)) == []
    acts = controller.events("operator")
    assert {"what": "mode", "before": "manual", "after": "auto"}.items() <= acts[0].items()
    assert controller.events("stop")[0]["reason"] == "controller stopped"
    assert_the_record_can_be_shown_and_is_guarded(controller)


def assert_the_record_can_be_shown_and_is_guarded(controller) -> None:
    def show(*argv: str):
        arguments = ["journal", "show", "--db", str(controller.journal), *argv]
        return CliRunner().invoke(main, [*arguments, "--bundle", str(bundle())])

    for argv, word in (
        ([], "AUTO"),
        (["--tail", "3"], "written"),
        (["--events"], "controller stopped"),
        (["--scan", "3"], '"scan_id": 3'),
        (["--verify"], "the chain holds"),
        (["--replay"], "give the same bits again"),
    ):
        result = show(*argv)
        assert result.exit_code == 0, result.output
        assert word in result.output
    assert show("--scan", "999999").exit_code == 2
    assert show("--run", "9").exit_code == 2
    with sqlite3.connect(controller.journal) as edited:
        edited.execute(
            "UPDATE scan SET document = replace(document, ?, ?) WHERE scan_id = 3",
            ('"written":false', '"written":true'),
        )
    edited.close()
    assert show("--verify").exit_code == 1


async def test_a_killed_controller_is_shed_and_the_pi_takes_over(soft_plant, controller, operator):
    await operator.auto()
    await asyncio.sleep(1.0)
    controller.process.kill()
    assert await operator.get("APC/Active") is True
    await operator.wait("APC/Active", value=False, seconds=3.0)
    assert "heartbeat" in (await operator.get("APC/ShedReason")).lower()
    await asyncio.sleep(2.2)
    trend = soft_plant.last_episode()
    ends = [i for i, (a, b) in enumerate(pairwise(trend)) if a["active"] and not b["active"]]
    assert len(ends) == 1
    before, after = trend[ends[0]], trend[ends[0] + 1]
    for name, span in (("F_I", SPANS[0]), ("T_c", SPANS[1])):
        assert abs(after[name] - before[name]) <= 0.05 * span
    later = trend[ends[0] + 1 :]
    assert len({row["T_c"] for row in later}) > 1, "the PI does not move"
    assert max(row["peak_T"] for row in trend) < 368.0


async def test_a_paused_process_skips_and_counts_and_does_not_bunch(controller, operator):
    await operator.auto()
    await asyncio.sleep(0.5)
    controller.process.popen.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.55)
    controller.process.popen.send_signal(signal.SIGCONT)
    await asyncio.sleep(1.0)
    samples = await controller.metrics()
    assert samples["trimtab_scan_skipped_total", ()] >= 4
    assert await controller.process.end() == 0
    rows = controller.rows()
    assert sum(row["skipped"] for row in rows) >= 4
    assert_not_bunched(rows, controller.period_s)
    assert_certified_as_written(rows)


async def test_a_shed_is_left_by_the_operator_only(controller, operator):
    await operator.auto()
    await operator.call("APC/Shed", "test of the operator")
    await operator.wait("APC/Active", value=False)

    async def shed() -> bool:
        return await controller.mode() == "SHED"

    async with asyncio.timeout(5.0):
        while not await shed():  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.02)
    await asyncio.sleep(1.0)
    assert await controller.mode() == "SHED"
    assert await operator.get("APC/Request") is False
    await operator.select(1)
    await asyncio.sleep(0.5)
    await operator.auto()
    assert await controller.mode() == "AUTO"


async def test_an_mv_in_manual_gets_no_more_writes(controller, operator):
    await operator.auto()
    await asyncio.sleep(0.5)
    await operator.put("R101/MV/InitiatorFeed/Mode", 0, ua.VariantType.Int32)
    await asyncio.sleep(0.4)
    target = await operator.get("R101/MV/InitiatorFeed/Target")
    await asyncio.sleep(1.0)
    assert await operator.get("R101/MV/InitiatorFeed/Target") == target
    assert await controller.mode() == "AUTO"
    assert await controller.process.end() == 0
    rows = controller.rows()
    assert rows[-3]["write"] == [False, True]
    assert_certified_as_written([row for row in rows if row["write"] == [True, True]])


async def test_changed_limits_hold_from_the_next_scan(controller, operator):
    await operator.auto()
    await asyncio.sleep(0.5)
    actual = await operator.get("R101/MV/CoolantTemperature/Actual")
    limit = actual - 3.0
    await operator.put("R101/MV/CoolantTemperature/HiLim", limit, ua.VariantType.Double)
    await asyncio.sleep(0.6)
    assert await controller.process.end() == 0
    rows = controller.rows()
    changed = next(i for i, row in enumerate(rows) if row["limit_high"][1] == pytest.approx(limit))
    for row in written(rows[changed:]):
        assert row["target"][1] <= limit
    acts = controller.events("operator")
    assert any(act["what"] == "high_limit" for act in acts)


async def test_a_restarted_plant_is_found_again_and_auto_is_not_resumed(
    soft_plant, controller, operator
):
    await operator.auto()
    await asyncio.sleep(0.5)
    soft_plant.process.kill()
    await asyncio.sleep(1.0)
    assert await controller.mode() == "SHED"
    samples = await controller.metrics()
    assert samples["trimtab_opcua_connected", ()] == 0.0
    quality = [v for (name, _), v in samples.items() if name == "trimtab_tag_quality"]
    assert set(quality) == {0.0}
    await soft_plant.start()

    async with asyncio.timeout(10.0):
        while (await controller.metrics())["trimtab_opcua_connected", ()] != 1.0:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)
    assert await controller.mode() in {"SHED", "MANUAL"}
    assert (await controller.metrics())["trimtab_opcua_reconnects_total", ()] == 1.0
    async with soft_plant.login("operator") as again:
        assert await again.get("APC/Active") is False
        await again.select(1)
        await asyncio.sleep(0.5)
        await again.auto()
    assert await controller.mode() == "AUTO"
