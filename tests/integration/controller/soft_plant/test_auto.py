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
    await controller.reaches("AUTO")
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
    await controller.reaches("AUTO")


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


FREE_SCANS = 25
IN_CONTROL_K = 3.0


async def at_rest(soft_plant) -> None:
    """A new episode that begins at a steady point, on its setpoints."""
    async with soft_plant.login("engineer") as engineer:
        await engineer.call(
            "Sim/Reset",
            ua.Variant("grade_down", ua.VariantType.String),
            ua.Variant(0, ua.VariantType.UInt32),
        )


async def scans(controller, count: int, write: list[bool], after: int = -1) -> list[dict]:
    """Wait for so many scans of one run with these MVs written; all of them."""

    async def enough() -> list[dict] | None:
        found = [r for r in controller.rows() if r["write"] == write and r["scan_id"] > after]
        return found if len(found) >= count else None

    async with asyncio.timeout(30.0):
        while (found := await enough()) is None:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.2)
    return found


async def test_the_operator_takes_one_mv_and_gives_it_back_and_the_other_goes_on(
    soft_plant, controller, operator
):
    """The correction optimises over the MV that is left, and its certificate says so."""
    await at_rest(soft_plant)
    await asyncio.sleep(0.5)
    await operator.auto()
    both = await scans(controller, 5, [True, True])
    await operator.put("R101/MV/InitiatorFeed/Mode", 0, ua.VariantType.Int32)
    await operator.wait("R101/MV/InitiatorFeed/Permit", value=False)
    output = await operator.get("R101/MV/InitiatorFeed/Actual") * 0.97
    await operator.put("R101/MV/InitiatorFeed/Output", output, ua.VariantType.Double)
    alone = await scans(controller, FREE_SCANS, [False, True], both[-1]["scan_id"])
    assert await operator.get("APC/Active") is True
    assert await operator.get("R101/MV/CoolantTemperature/Permit") is True
    assert await operator.get("R101/MV/InitiatorFeed/Actual") == pytest.approx(output)
    await operator.put("R101/MV/InitiatorFeed/Mode", 2, ua.VariantType.Int32)
    given = await scans(controller, 5, [True, True], alone[-1]["scan_id"])
    assert await operator.get("APC/Active") is True
    assert await controller.process.end() == 0

    for row in alone:
        assert row["certified"]
        assert row["gap"] <= row["tolerance"]
        assert row["low"][0] == row["high"][0] == row["move"][0] == row["mv"][0]
        assert row["low"][1] < row["high"][1]
        assert row["low"][1] <= row["move"][1] <= row["high"][1]
        assert row["target"][0] is None
        assert row["target"][1] == row["move"][1]
        assert abs(row["cv"][1] - row["sp"][1]) <= IN_CONTROL_K
    assert len({row["target"][1] for row in alone}) > FREE_SCANS // 2, "the other stands still"
    assert_certified_as_written(given)
    first = given[0]
    assert abs(first["target"][0] - output) <= ENTRY_SHARE * SPANS[0] + 1e-9
    assert abs(first["target"][0] - first["track"][0]) <= ENTRY_SHARE * SPANS[0] + 1e-9
    ends = both[0]["scan_id"], given[4]["scan_id"]
    whole = [row for row in controller.rows() if ends[0] <= row["scan_id"] <= ends[1]]
    assert {row["mode_after"] for row in whole} == {"AUTO"}


async def test_moves_are_advised_in_shadow_and_auto_and_written_in_auto_alone(controller, operator):
    advisory = "APC/Diagnostics/Advisory/CoolantTemperature"

    async def told() -> bool:
        return await operator.get("APC/Diagnostics/CycleMs") > 0.0

    async def advised() -> bool:
        return await operator.get(advisory) > 0.0

    async def eventually(condition) -> None:
        async with asyncio.timeout(10.0):
            while not await condition():  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.05)

    await eventually(told)
    await asyncio.sleep(0.5)
    assert await controller.mode() == "MANUAL"
    assert not await advised()
    await operator.select(1)
    await eventually(advised)
    assert 300.0 <= await operator.get(advisory) <= 350.0
    assert await operator.get("APC/Request") is False
    assert not written(controller.rows())
    await operator.auto()
    await scans(controller, 5, [True, True])
    shown = await operator.get(advisory)
    assert await controller.process.end() == 0
    targets = [row["target"][1] for row in written(controller.rows())]
    assert any(shown == pytest.approx(target, abs=1e-9) for target in targets)


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
    await controller.reaches("AUTO")
