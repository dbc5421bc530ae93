"""AUTO on a DCS of another make that has no interface block, driven by tags.toml alone."""

import asyncio
import signal
import time
from itertools import pairwise

TARGETS = {"RK1/FIC12/PID.SP_Ext", "RK1/TIC77/PID.SP_Ext"}
SELECTOR = "RK1/SEQ/ControllerMode"
SP_CONCENTRATION, SP_CELSIUS = 100.0, 76.85
SPANS = (2.5, 50.0)
ENTRY_SHARE = 0.005


def errors(row: dict) -> tuple[float, float]:
    return abs(row["cv"][0] - row["sp"][0]), abs(row["cv"][1] - row["sp"][1])


def at_setpoint(row: dict) -> bool:
    concentration, temperature = errors(row)
    return concentration <= 1.0 and temperature <= 0.3


def targets(writes: list[dict]) -> list[dict]:
    return [write for write in writes if write["node"] in TARGETS]


async def test_auto_brings_both_loops_to_setpoint(fast_plant, make_controller):
    controller = make_controller(fast_plant)
    async with fast_plant.operator() as operator:
        await operator.put("AIC4711/PID.SP", SP_CONCENTRATION)
        await operator.put("TIC101/PID.SP", SP_CELSIUS)
        await operator.select("REMOTE")
        selected_s = time.time()
        await controller.reaches("AUTO")

        await controller.until(at_setpoint, "both loops at setpoint", seconds=60.0, count=10)
        assert abs(await operator.get("AIC4711/MonAn.PV_Out") - SP_CONCENTRATION) <= 1.0
        assert abs(await operator.get("TIC101/PID.PV_Out") - SP_CELSIUS) <= 0.3
        controller.process.stop()

    rows = controller.rows()
    modes = [row["mode_after"] for row in rows]
    in_auto = rows[modes.index("AUTO") :]
    assert errors(in_auto[0])[0] > 5.0
    assert {row["mode_after"] for row in in_auto} == {"AUTO"}
    assert all(row["certified"] for row in in_auto if row["written"])
    for target, actual, span in zip(in_auto[0]["target"], in_auto[0]["mv"], SPANS, strict=True):
        assert abs(target - actual) <= ENTRY_SHARE * span + 1e-6  # there is no track
    seen = targets(fast_plant.writes(selected_s))
    assert {write["answer"] for write in seen} == {"Good"}
    assert {write["type"] for write in seen} == {"Float", "Double"}
    assert not any(write["stamped"] for write in seen)
    assert len(seen) == 2 * sum(row["written"] for row in in_auto)


async def test_a_controller_that_ends_puts_the_selector_back(fast_plant, make_controller):
    controller = make_controller(fast_plant)
    async with fast_plant.operator() as operator:
        await operator.select("REMOTE")
        await controller.reaches("AUTO")
        ended_s = time.time()
        assert controller.process.stop() == 0
        assert await operator.get("SEQ/ControllerMode") == "LOCAL"
        last = fast_plant.writes(ended_s)[-1]
        assert (last["node"], last["value"], last["answer"]) == (SELECTOR, "LOCAL", "Good")


async def test_the_operators_own_move_off_auto_is_left_as_it_is(fast_plant, make_controller):
    controller = make_controller(fast_plant)
    async with fast_plant.operator() as operator:
        await operator.select("REMOTE")
        await controller.reaches("AUTO")
        await operator.select("ADVISE")
        await controller.reaches("SHADOW")
        released_s = time.time()
        await asyncio.sleep(5 * controller.period_s)
        assert fast_plant.writes(released_s) == []
        assert controller.process.stop() == 0
        assert await operator.get("SEQ/ControllerMode") == "ADVISE"
        assert fast_plant.writes(released_s) == []
    assert controller.rows(1)[0]["reason"] == "selected by the operator"


async def test_a_loop_in_man_is_left_alone_while_the_other_is_controlled(
    fast_plant, make_controller
):
    controller = make_controller(fast_plant)
    async with fast_plant.operator() as operator:
        await operator.select("REMOTE")
        await controller.reaches("AUTO")
        await operator.put("FIC12/PID.Mode", "MAN")
        await controller.until(lambda row: row["available"] == [False, True], "a loop in MAN")
        taken_s = time.time()
        await asyncio.sleep(5 * controller.period_s)
        nodes = {write["node"] for write in fast_plant.writes(taken_s)}
        assert nodes == {"RK1/TIC77/PID.SP_Ext"}
        assert controller.rows(1)[0]["mode_after"] == "AUTO"
        await operator.put("TIC77/PID.Mode", "MAN")
        await operator.shows("LOCAL")  # nothing is left to control: a shed, and the DCS is told
        await controller.reaches("SHED")
        for loop in ("FIC12", "TIC77"):
            await operator.put(f"{loop}/PID.Mode", "AUT")


async def test_a_restart_of_the_dcs_ends_in_shed_and_an_operator_must_select_anew(
    slow_plant, make_controller
):
    controller = make_controller(slow_plant)
    async with slow_plant.operator() as operator:
        await operator.select("REMOTE")
        await controller.reaches("AUTO")
    slow_plant.end(signal.SIGKILL)
    await controller.reaches("SHED")
    slow_plant.start(selector="REMOTE", extra=2)  # it kept the selector; the namespace index moved
    back_s = slow_plant.events("listening")[-1]["at"]
    async with slow_plant.operator() as operator:
        await operator.shows("LOCAL")
        await controller.until(lambda row: row["connected"], "the DCS is found again")
        await asyncio.sleep(3 * controller.period_s)
        assert controller.rows(1)[0]["mode_after"] == "SHED"
        assert targets(slow_plant.writes(back_s)) == []
        await operator.select("REMOTE")
        await controller.reaches("AUTO")
    after = [row for row in controller.rows() if row["at"] >= back_s]
    assert sum(not row["connected"] for row in after) <= 2
    modes = [row["mode_after"] for row in after]
    assert "AUTO" not in modes[: modes.index("SHADOW")]
    assert [pair for pair in pairwise(modes) if pair[0] != pair[1]] == [
        ("SHED", "SHADOW"),
        ("SHADOW", "AUTO"),
    ]


async def test_what_an_earlier_run_left_in_auto_is_let_go(slow_plant, make_controller):
    async with slow_plant.operator() as operator:
        await operator.select("REMOTE")
        started_s = time.time()
        controller = await asyncio.to_thread(make_controller, slow_plant)
        await asyncio.sleep(3 * controller.period_s)
        assert await operator.get("SEQ/ControllerMode") == "LOCAL"
        assert targets(slow_plant.writes(started_s)) == []
    assert "AUTO" not in {row["mode_after"] for row in controller.rows()}
