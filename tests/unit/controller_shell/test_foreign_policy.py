"""A policy in a process of its own: real workers, good and bad ones, and the client's patience."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from controller.core.policy import PolicyFailed, PolicyLate, PolicyMove
from controller.metrics import Labelling, Metrics
from controller.policy import foreign, process
from controller.policy.foreign import ForeignPolicy
from controller.policy.process import WORKER
from controller.policy.start import PolicyOptions, probe
from models.runtime import ProcessSample

HERE = Path(__file__).parent
LONG_S = 20.0
SHORT_S = 0.1
SAMPLE = ProcessSample(
    plant_time_s=600.0,
    cv=np.array([1.5]),
    sp=np.array([2.0]),
    mv=np.array([0.1 + 0.2, 340.0]),
    dv=np.array([7.0]),
)


def options(factory: str = "holds", **changes) -> PolicyOptions:
    plain = PolicyOptions(
        python=None,
        load={"factory": f"policies:{factory}", "folder": str(HERE)},
        cvs=["A"],
        mvs=["F", "T"],
        dvs=["D"],
        warm_up=SAMPLE,
        timeout_s=LONG_S,
        start_timeout_s=LONG_S,
        stuck_s=60.0,
    )
    return replace(plain, **changes)


def make_metrics() -> Metrics:
    return Metrics(
        Labelling(
            cvs=[], mvs=[], tags=[], modes=["INIT"], outcomes=[], refusals=[], period_s=0.1,
            deadline_s=0.05, version="0", model_name="m", model_version="1", model_sha256="0",
        )
    )  # fmt: skip


class Client:
    """A started policy, its metrics, and what its keeping reported as a bug."""

    def __init__(self, wanted: PolicyOptions) -> None:
        self.metrics = make_metrics()
        self.policy = ForeignPolicy(wanted, self.metrics)
        self.bugs: list[BaseException] = []

    async def ask(self, timeout_s: float | None = None):
        """Ask; timeout_s shortens the policy's own."""
        now = asyncio.get_running_loop().time()
        wanted = self.policy._options.timeout_s
        return await self.policy.ask(SAMPLE, now if timeout_s is None else now + timeout_s - wanted)

    def value(self, name: str, **labels) -> float:
        return self.metrics.registry.get_sample_value(f"trimtab_policy_{name}", labels)

    async def until_up(self, other_than: int | None = None) -> int:
        async with asyncio.timeout(LONG_S):
            while self.policy.worker_pid in {None, other_than}:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
        return self.policy.worker_pid


@asynccontextmanager
async def started(wanted: PolicyOptions):
    client = Client(wanted)
    try:
        assert await client.policy.start(client.bugs.append) is None
        yield client
    finally:
        pid = client.policy.worker_pid
        await client.policy.close()
        if pid is not None:
            assert not alive(pid)
    assert client.bugs == []


@pytest.fixture(autouse=True)
def _quick_replacement(monkeypatch):
    monkeypatch.setattr(foreign, "FIRST_PAUSE_S", 0.05)


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


# ---------------------------------------------------------------------- good policies


async def test_it_is_asked_by_name_in_the_manifests_units_and_answers_in_every_bit():
    async with started(options("tells")) as client:
        answer = await client.ask()
        assert isinstance(answer, PolicyMove)
        assert answer.move.tolist() == [1.5 + 10.0 * 2.0, 607.0]
        assert answer.asked is SAMPLE
    async with started(options("holds")) as client:
        for _ in range(3):
            answer = await client.ask()
            assert answer.move.tobytes() == SAMPLE.mv.tobytes()
        assert client.value("answers_total", answer="move") == 3.0
        assert client.value("duration_seconds_count") == 3.0
        assert client.value("up") == 1.0
    assert client.value("up") == 0.0


async def test_what_it_prints_reaches_standard_error_and_not_the_line(capfd):
    async with started(options("prints")) as client:
        for _ in range(2):
            assert isinstance(await client.ask(), PolicyMove)
        assert client.value("restarts_total") == 0.0
    told = capfd.readouterr()
    assert "a word" not in told.out
    assert "from a shell" not in told.out
    assert "a word" in told.err
    assert "from a shell" in told.err


async def test_it_is_given_no_secret_of_the_controllers(monkeypatch):
    monkeypatch.setenv("TRIMTAB_PASSWORD", "not for strangers")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    async with started(options("environment")) as client:
        assert isinstance(await client.ask(), PolicyMove)


@pytest.fixture
def bare(tmp_path) -> Path:
    """An environment without the packages of ours."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    return tmp_path / "bin/python"


async def test_it_may_have_another_interpreter(tmp_path, bare):
    """One without the packages of ours, and without our PYTHONPATH."""
    (tmp_path / "mine.py").write_text(
        "import sys\n"
        "def make():\n"
        "    try:\n"
        "        import numpy\n"
        "    except ImportError:\n"
        "        return lambda observation: [1.0, 2.0]\n"
        "    raise RuntimeError(f'{sys.executable} has NumPy')\n",
        encoding="utf-8",
    )
    load = {"factory": "mine:make", "folder": str(tmp_path)}
    async with started(options(load=load, python=bare)) as client:
        assert (await client.ask()).move.tolist() == [1.0, 2.0]


# ---------------------------------------------------------------------- too late


@pytest.mark.parametrize("factory", ["overruns", "spins"])
async def test_an_overrun_is_late_and_its_answer_is_dropped_by_its_number(factory):
    async with started(options(factory)) as client:
        pid = client.policy.worker_pid
        assert isinstance(await client.ask(), PolicyMove)
        late = await client.ask(SHORT_S)
        assert isinstance(late, PolicyLate)
        assert "no answer" in late.detail
        busy = await client.ask(0.02)
        assert isinstance(busy, PolicyLate)
        assert "earlier question" in busy.detail
        answer = await client.ask()
        assert isinstance(answer, PolicyMove)
        assert client.value("dropped_total") == 1.0
        assert client.value("answers_total", answer="late") == 2.0
        assert client.policy.worker_pid == pid


@pytest.mark.parametrize("factory", ["spins", "hangs"])
async def test_the_loop_runs_on_while_the_policy_overruns(factory):
    """Turns of the loop are counted: one that stood still would have made none."""
    turns = 0

    async def count():
        nonlocal turns
        while True:
            await asyncio.sleep(0.005)
            turns += 1

    async with started(options(factory)) as client:
        await client.ask()
        counter = asyncio.create_task(count())
        await client.ask(0.25)
        counter.cancel()
    assert turns >= 10


async def test_without_time_left_it_is_not_asked():
    async with started(options("holds")) as client:
        answer = await client.ask(-1.0)
        assert isinstance(answer, PolicyLate)
        assert "no time was left" in answer.detail
        assert isinstance(await client.ask(), PolicyMove)


async def test_a_worker_that_hangs_is_replaced():
    async with started(options("hangs", stuck_s=0.3)) as client:
        first = client.policy.worker_pid
        assert isinstance(await client.ask(), PolicyMove)
        assert isinstance(await client.ask(SHORT_S), PolicyLate)
        second = await client.until_up(other_than=first)
        assert not alive(first)
        assert alive(second)
        assert isinstance(await client.ask(), PolicyMove)
        assert client.value("restarts_total") == 1.0


# ---------------------------------------------------------------------- broken


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("raises", "KeyError: 'no such key' (policies.py, line "),
        ("short", "gave 1 numbers, 2 are wanted"),
        ("words", "a number is wanted, not '1.0'"),
        ("word", "a sequence of numbers is wanted, not '12'"),
        ("nothing", "a sequence of numbers is wanted, not None"),
        ("table", "a sequence of numbers is wanted"),
        ("nested", "a number is wanted, not [1.0, 2.0]"),
        ("flags", "a number is wanted, not True"),
        ("huge", "OverflowError"),
    ],
)
async def test_an_answer_that_is_no_move_is_a_failure_and_the_worker_stays(factory, words):
    async with started(options(factory)) as client:
        pid = client.policy.worker_pid
        assert isinstance(await client.ask(), PolicyMove)
        for _ in range(2):
            answer = await client.ask()
            assert isinstance(answer, PolicyFailed)
            assert words in answer.detail
        assert client.policy.worker_pid == pid
        assert client.value("answers_total", answer="failed") == 2.0


@pytest.mark.parametrize(("factory", "first"), [("nan", np.nan), ("infinite", 1.0)])
async def test_numbers_that_are_not_finite_come_through_for_the_correction_to_refuse(
    factory, first
):
    async with started(options(factory)) as client:
        await client.ask()
        answer = await client.ask()
        assert isinstance(answer, PolicyMove)
        assert np.array_equal(answer.move[:1], [first], equal_nan=True)
        assert not np.isfinite(answer.move).all()


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("crashes", "SIGSEGV"),
        ("exits", "exit code 7"),
        ("crashes_and_leaves_a_child", "exit code 3"),
        ("breaks_the_line", "no message of the protocol"),
    ],
)
async def test_a_worker_that_ends_or_babbles_is_replaced_after_a_pause(factory, words):
    async with started(options(factory)) as client:
        first = client.policy.worker_pid
        assert isinstance(await client.ask(), PolicyMove)
        answer = await client.ask()
        assert isinstance(answer, PolicyFailed)
        assert words in answer.detail
        down = await client.ask()
        assert isinstance(down, PolicyFailed)
        assert words in down.detail
        assert client.value("up") == 0.0
        await client.until_up(other_than=first)
        assert not alive(first)
        assert isinstance(await client.ask(), PolicyMove)
        assert client.value("restarts_total") == 1.0


async def test_an_answer_that_nobody_asked_for_ends_the_worker():
    async with started(options("answers_twice")) as client:
        first = client.policy.worker_pid
        await client.ask()
        assert isinstance(await client.ask(), PolicyMove)
        await client.until_up(other_than=first)
        assert isinstance(await client.ask(), PolicyMove)


async def test_pauses_grow_while_workers_keep_crashing(tmp_path, monkeypatch):
    starts = tmp_path / "starts"
    monkeypatch.setenv("STARTS", str(starts))
    pauses = []
    sleep = asyncio.sleep

    async def recorded(seconds):
        if asyncio.current_task().get_name() == "policy-keeper":
            pauses.append(seconds)
        await sleep(min(seconds, 0.01))

    monkeypatch.setattr(foreign.asyncio, "sleep", recorded)
    async with started(options("once")) as client:
        pid = None
        for _ in range(4):
            pid = await client.until_up(other_than=pid)
            assert isinstance(await client.ask(), PolicyMove)
            assert isinstance(await client.ask(), PolicyFailed)
        await client.until_up(other_than=pid)
    assert pauses == [0.05, 0.1, 0.2, 0.4]
    assert len(starts.read_text().split()) == 5


async def test_a_replacement_that_does_not_load_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setenv("STARTS", str(tmp_path / "deep" / "starts"))
    (tmp_path / "deep").mkdir()
    async with started(options("once")) as client:
        first = client.policy.worker_pid
        await client.ask()
        (tmp_path / "deep").rename(tmp_path / "away")
        assert isinstance(await client.ask(), PolicyFailed)
        async with asyncio.timeout(LONG_S):
            while "FileNotFoundError" not in (await client.ask()).detail:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        (tmp_path / "away").rename(tmp_path / "deep")
        await client.until_up(other_than=first)
        assert isinstance(await client.ask(), PolicyMove)


# ---------------------------------------------------------------------- starting and ending


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"factory": "no_such"}, "AttributeError"),
        ({"factory": "fails_to_load"}, "no licence for this model (policies.py, line "),
        ({"factory": "no_function"}, "no_function() returned int, not a function"),
        ({"factory": "bad_from_the_start"}, "not finite"),
        ({"factory": "slow_to_load", "start_timeout_s": 0.5}, "not ready within 0.5 s"),
        ({"mvs": ["F", "T", "X"], "warm_up": replace(SAMPLE, mv=np.ones(3)), "factory": "tells"},
         "gave 2 numbers, 3 are wanted"),
        ({"load": {"factory": "absent:make", "folder": "/"}}, "No module named 'absent'"),
        ({"python": Path("/no/such/python")}, "/no/such/python cannot be started"),
        ({"python": Path("/bin/true")}, "ended with exit code 0"),
        ({"python": Path("/bin/cat")}, "no message of the protocol"),
        ({"load": {"onnx": "/no/such.onnx"}}, "onnx"),
    ],
)  # fmt: skip
async def test_a_policy_that_does_not_start_is_told_in_its_own_words(changes, words):
    wanted = options(changes.pop("factory", "holds"), **changes)
    client = Client(wanted)
    reason = await client.policy.start(client.bugs.append)
    assert words in reason
    assert words in await probe(wanted)
    await client.policy.close()
    assert client.policy.worker_pid is None


async def test_probing_a_good_policy_leaves_no_process_behind(monkeypatch):
    spawned = []
    spawn = process.WorkerProcess.spawn

    async def noted(python):
        spawned.append(await spawn(python))
        return spawned[-1]

    monkeypatch.setattr(process.WorkerProcess, "spawn", noted)
    assert await probe(options()) is None
    assert not alive(spawned[0].pid)


async def test_at_the_end_whoever_waits_is_told_at_once_and_a_hung_worker_is_ended():
    async with started(options("hangs")) as client:
        pid = client.policy.worker_pid
        await client.ask()
        waiting = asyncio.create_task(client.ask())
        await asyncio.sleep(0.05)
        client.policy.abandon()
        answer = await waiting
        assert isinstance(answer, PolicyFailed)
        assert "ending" in answer.detail
        assert "ending" in (await client.ask()).detail
        await client.policy.close()
        assert not alive(pid)


def test_a_controller_that_is_killed_takes_even_a_busy_worker_with_it(tmp_path):
    """The worker spins: it reads no end of its line, the kernel must end it."""
    code = (
        "import subprocess, sys, time\n"
        f"sys.path.insert(0, {str(WORKER.parents[2])!r})\n"
        "from controller.policy.worker import pack\n"
        f"child = subprocess.Popen([sys.executable, {str(WORKER)!r}], stdin=subprocess.PIPE,\n"
        "    stdout=subprocess.PIPE)\n"
        "child.stdin.write(pack({'factory': 'endless:make', 'folder': sys.argv[1]}))\n"
        "child.stdin.flush()\n"
        "child.stdout.read(5)\n"
        "child.stdin.write(pack({'number': 0, 'observation': {}}))\n"
        "child.stdin.flush()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(3600)\n"
    )
    (tmp_path / "endless.py").write_text(
        "def policy(_):\n    while True:\n        pass\n\n\ndef make():\n    return policy\n",
        encoding="utf-8",
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + LONG_S
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not alive(pid)
