"""The foreign plant taken for other DCSs by its tags.toml alone: a switch, counts, nothing."""

import asyncio
import time
from itertools import pairwise

from tests.support.waiting import until

SWITCH = (
    ('mode = "rk1:s=RK1/SEQ/ControllerMode"', 'mode = "rk1:s=RK1/SEQ/RemoteSwitch"'),
    ('manual = "LOCAL", shadow = "ADVISE", auto = "REMOTE" }\n', "manual = false, auto = true }\n"),
    ('mode_on_shed = "LOCAL"', "mode_on_shed = false"),
    ("PID.Mode", "PID.RemOn"),
    ('remote = "EXT"', "remote = true"),
)
IN_COUNTS = """unit = "raw"
counts = [0, 27648]
span = [300.0, 350.0]
range = [0, 27648]
max_move = 5529.6"""
COUNTS = (
    ("rk1:s=RK1/TIC77/PID.SP_Ext", "rk1:s=RK1/TIC77/PID.SP_ExtRaw"),
    ("rk1:s=RK1/TIC77/PID.SP_Out", "rk1:s=RK1/TIC77/PID.SP_OutRaw"),
    ('unit = "degC"\nrange = [26.85, 76.85]\nmax_move = 10.0', IN_COUNTS),
)
NOTHING = (
    ('mode_on_shed = "LOCAL"', ""),
    ('heartbeat_out = "rk1:s=RK1/OTS/ProcessTime"', ""),
    ('"heartbeat_in", ', '"heartbeat_in", "heartbeat_out", '),
)
"""No hand-shake at all: a selector of text, and targets."""
TOLD_NOTHING = "a shed tells the DCS nothing: the last target stands until an operator acts"
SCANS = 5


async def test_a_switch_and_a_loop_in_counts_are_driven_by_configuration(
    fast_plant, make_controller, check
):
    code, text = await asyncio.to_thread(check, *SWITCH, *COUNTS)
    assert code == 0, text
    assert "a shed writes false to the selector" in text
    begun_s = time.time()
    async with fast_plant.operator() as operator:
        controller = make_controller(fast_plant, *SWITCH, *COUNTS)
        await operator.put("SEQ/RemoteSwitch", True)  # noqa: FBT003 - what the node holds
        await controller.reaches("AUTO")

        async def moved() -> bool:
            return sum(row["written"] for row in controller.rows()) >= SCANS

        await until(moved, 15.0, "targets are written")
        controller.process.stop()
        assert await operator.get("SEQ/RemoteSwitch") is False
        writes = fast_plant.writes(begun_s)
    assert {write["answer"] for write in writes} == {"Good"}
    raw = [write["value"] for write in writes if write["node"] == "RK1/TIC77/PID.SP_ExtRaw"]
    share = [write["value"] for write in writes if write["node"] == "RK1/FIC12/PID.SP_Ext"]
    written = [row for row in controller.rows() if row["written"]]
    assert len(raw) == len(share) == len(written)
    for row, counts, percent in zip(written, raw, share, strict=True):
        assert abs(row["target"][1] - (300.0 + 50.0 * counts / 27648.0)) < 1e-6
        assert abs(row["target"][0] - 2.5 * percent / 100.0) < 1e-6
    followed = [
        abs(after["mv"][1] - before["target"][1])
        for before, after in pairwise(written)
        if after["scan_id"] == before["scan_id"] + 1
    ]
    assert followed
    assert max(followed) <= 50.0 / 27648.0  # the actual is told in whole counts


async def test_a_dcs_that_cannot_be_told_is_written_no_more_and_both_sides_of_it_are_said(
    fast_plant, make_controller, check
):
    code, text = await asyncio.to_thread(check, *NOTHING)
    assert code == 0, text
    assert TOLD_NOTHING in text
    async with fast_plant.operator() as operator:
        controller = make_controller(fast_plant, *NOTHING)
        await operator.select("REMOTE")
        await controller.reaches("AUTO")
        await operator.put("OTS/AnalyserAhead", -240.0)  # a measurement that must not be used
        await controller.reaches("SHED")
        shed_s = time.time()
        await operator.put("OTS/AnalyserAhead", 0.0)
        await asyncio.sleep(SCANS * controller.period_s)
        assert await operator.get("SEQ/ControllerMode") == "REMOTE"
        assert all("OTS" in write["node"] for write in fast_plant.writes(shed_s))
        assert controller.rows(1)[0]["mode_after"] == "SHED"
        assert "dcs_not_told" in controller.process.text()
        await operator.select("LOCAL")
        await controller.reaches("MANUAL")
        await operator.select("REMOTE")
        await controller.reaches("AUTO")
        ended_s = time.time()
        assert controller.process.stop() == 0
        assert fast_plant.writes(ended_s + 0.1) == []
        assert controller.process.text().count("dcs_not_told") == 2
        await operator.select("LOCAL")
