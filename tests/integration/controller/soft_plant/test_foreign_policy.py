"""A foreign policy beside a real controller and plant: AUTO, overruns, crashes, replay."""

import asyncio
import os
import re
import signal
from contextlib import suppress

import pytest
import pytest_asyncio

from controller.journal.reader import Reader
from controller.journal.replay import replay
from models.bundle import default_bundle
from models.runtime import Runtime

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = '''
"""Steers to 1.8 kg/h and 340 K; what a file of this folder asks for, it does instead."""
import os, signal, time
from pathlib import Path

HERE = Path(__file__).parent

def make():
    def policy(observation):
        print("from the policy", flush=True)
        if (HERE / "overrun").exists():
            end = time.perf_counter() + 0.34
            while time.perf_counter() < end:
                pass
        if (HERE / "crash").exists():
            (HERE / "crash").unlink()
            os.kill(os.getpid(), signal.SIGSEGV)
        if (HERE / "nan").exists():
            return [float("nan"), 340.0]
        assert set(observation["mv"]) == {"InitiatorFeed", "CoolantTemperature"}
        return [1.8, 340.0]
    return policy
'''


@pytest_asyncio.fixture(loop_scope="module")
async def steered(tmp_path, soft_plant, make_controller):
    """A running controller with the policy above."""
    (tmp_path / "steering.py").write_text(POLICY, encoding="utf-8")
    controller = make_controller()
    controller.configure(soft_plant.url, soft_plant.password("apc"))
    with controller.config.open("a", encoding="utf-8") as config:
        config.write('[policy]\nfactory = "steering:make"\n')
    await controller.start()
    yield controller
    if controller.process.popen.poll() is None:
        await controller.process.end()


def worker_pids(controller) -> list[int]:
    return [int(pid) for pid in re.findall(r'"pid": (\d+)', controller.process.text())]


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def until_mode(controller, *modes: str) -> None:
    async with asyncio.timeout(10.0):
        while await controller.mode() not in modes:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.02)


def assert_replays(controller) -> None:
    with Reader.open(controller.journal) as reader:
        assert reader.verify() is None
        assert list(replay(reader, Runtime.load(default_bundle()))) == []


async def test_auto_with_a_foreign_policy_is_certified_recorded_and_replayed(steered, operator):
    await operator.auto()
    await asyncio.sleep(1.5)
    assert await steered.mode() == "AUTO"
    samples = await steered.metrics()
    assert samples["trimtab_policy_up", ()] == 1.0
    assert samples["trimtab_policy_answers_total", (("answer", "move"),)] > 10
    (pid,) = worker_pids(steered)
    assert alive(pid)
    assert await steered.process.end(signal.SIGINT) == 0
    assert not alive(pid)
    rows = steered.rows()
    moves = [row for row in rows if row["written"]]
    assert len(moves) >= 8
    for row in moves:
        assert row["certified"]
        assert row["target"] == row["move"]
        assert row["policy"]["answer"] == "move"
        assert row["policy_move"] == row["request"]["policy_move"] == [1.8, 340.0]
    assert_replays(steered)
    assert "from the policy" in steered.process.text()
    assert "Traceback" not in steered.process.text()


async def test_an_overrunning_policy_holds_and_sheds_and_delays_nobody(steered, operator, tmp_path):
    await operator.auto()
    await asyncio.sleep(0.5)
    beats = await operator.get("APC/HeartbeatIn")
    (tmp_path / "overrun").touch()
    await until_mode(steered, "SHED")
    await asyncio.sleep(1.0)
    assert (await operator.get("APC/HeartbeatIn") - beats) % 65536 >= 8
    (tmp_path / "overrun").unlink()
    await operator.select(1)
    await asyncio.sleep(0.8)
    await operator.auto()
    await until_mode(steered, "AUTO")
    samples = await steered.metrics()
    assert samples["trimtab_policy_dropped_total", ()] >= 1
    assert samples["trimtab_policy_restarts_total", ()] == 0
    assert await steered.process.end() == 0
    rows = steered.rows()
    shed = next(i for i, row in enumerate(rows) if row["mode_after"] == "SHED")
    assert [row["mode_after"] for row in rows[shed - 2 : shed + 1]] == ["HOLD", "HOLD", "SHED"]
    late = [row for row in rows if row["proposal"] == "late"]
    assert len(late) >= 3
    assert not any(row["written"] for row in late)
    assert any("earlier question" in row["proposal_detail"] for row in late)
    # Inline, an overrun of 0.34 s would skip three grid instants each time.
    assert sum(row["skipped"] for row in late) < len(late)
    assert_replays(steered)


async def test_a_crash_holds_and_a_new_worker_answers(steered, operator, tmp_path):
    await operator.auto()
    await asyncio.sleep(0.5)
    (tmp_path / "crash").touch()
    await until_mode(steered, "SHED")
    async with asyncio.timeout(20.0):
        while (await steered.metrics())["trimtab_policy_up", ()] != 1.0:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (await steered.metrics())["trimtab_policy_restarts_total", ()] == 1.0
    await operator.select(1)
    await asyncio.sleep(0.5)
    await operator.auto()
    await until_mode(steered, "AUTO")
    first, second = worker_pids(steered)
    assert not alive(first)
    assert alive(second)
    assert await steered.process.end() == 0
    rows = steered.rows()
    failed = [row for row in rows if row["proposal"] == "faulted"]
    assert "SIGSEGV" in failed[0]["proposal_detail"]
    assert not any(row["written"] for row in failed)
    assert_replays(steered)


async def test_a_move_that_is_not_finite_is_refused(steered, operator, tmp_path):
    await operator.auto()
    await asyncio.sleep(0.3)
    (tmp_path / "nan").touch()
    await until_mode(steered, "SHED")
    assert await steered.process.end() == 0
    refused = [row for row in steered.rows() if row["proposal"] == "refused"]
    assert len(refused) >= 3
    assert refused[0]["refusal"][0] == "non_finite_input"
    assert "policy move" in refused[0]["refusal"][1]
    assert not any(row["written"] for row in refused)
    assert_replays(steered)


async def test_a_killed_controller_leaves_no_worker(steered, operator):
    await operator.auto()
    (pid,) = worker_pids(steered)
    steered.process.kill()
    async with asyncio.timeout(5.0):
        while alive(pid):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    await operator.wait("APC/Active", value=False, seconds=5.0)


async def test_a_policy_that_does_not_load_is_refused_before_the_plant_is_touched(
    soft_plant, make_controller, operator, tmp_path
):
    controller = make_controller()
    controller.configure(soft_plant.url, soft_plant.password("apc"))
    beats = await operator.get("APC/HeartbeatIn")
    with controller.config.open("a", encoding="utf-8") as config:
        config.write('[policy]\nfactory = "absent:make"\n')
    for command in ("run", "check"):
        controller.launch(command)
        assert await asyncio.to_thread(controller.process.popen.wait, 60.0) == 2
        text = controller.process.text()
        assert "Traceback" not in text
        assert "policy.factory" in text
        assert "No module named 'absent'" in text
    assert await operator.get("APC/HeartbeatIn") == beats
    assert not controller.journal.exists()
    (tmp_path / "absent.py").write_text("def make():\n    return lambda _: [1.8, 340.0]\n")
    controller.launch("check")
    assert await asyncio.to_thread(controller.process.popen.wait, 60.0) == 0
    assert "absent:make answers in its own process" in re.sub(
        r"\s+", " ", controller.process.text()
    )
