"""Interleaved repetitions: who is called when, what is counted, and what a quantile needs."""

import gc
import math
import time

import numpy as np
import pytest

from benchmarks.measure import (
    FEWEST_ROUNDS,
    WARM_UP_ROUNDS,
    Contender,
    Quantiles,
    measure,
    measure_async,
)

SHORT_S = 1e-6


def recorder(log, name, **more):
    return Contender(name=name, work=lambda: log.append(name), **more)


def test_contenders_take_turns_and_the_warm_up_does_not_count():
    calls = []
    contenders = [recorder(calls, "a", calls=2, lead_in=False), recorder(calls, "b", lead_in=False)]
    found = measure(contenders, seconds=SHORT_S)
    assert calls[: 2 * WARM_UP_ROUNDS] == ["a", "b"] * WARM_UP_ROUNDS
    rounds = np.array(calls[2 * WARM_UP_ROUNDS :]).reshape(-1, 3).tolist()
    assert len(rounds) >= FEWEST_ROUNDS
    assert all(order in (["a", "a", "b"], ["b", "a", "a"]) for order in rounds)
    assert found["a"].repetitions == 2 * len(rounds)
    assert found["b"].repetitions == len(rounds)


def test_the_order_is_random_from_the_seed():
    def first_of_rounds(seed):
        calls = []
        names = ["a", "b", "c", "d"]
        measure([recorder(calls, name, lead_in=False) for name in names], seconds=0.02, seed=seed)
        return calls[4 * WARM_UP_ROUNDS :][:40]

    assert first_of_rounds(1) == first_of_rounds(1)
    assert first_of_rounds(1) != first_of_rounds(2)


def test_a_lead_in_and_what_prepares_are_not_timed():
    calls = []

    def prepare():
        calls.append("prepare")
        time.sleep(0.01)

    contender = Contender(name="a", work=lambda: calls.append("work"), prepare=prepare)
    found = measure([contender], seconds=SHORT_S)["a"]
    assert calls == ["prepare", "work"] * (WARM_UP_ROUNDS + 2 * found.repetitions)
    assert found.wall.p50 < 0.005


def test_cpu_time_leaves_out_what_the_thread_waited():
    found = measure([Contender(name="a", work=lambda: time.sleep(0.01))], seconds=SHORT_S)["a"]
    assert found.wall.p50 >= 0.01
    assert found.cpu.p50 < 0.005


def test_idling_goes_before_every_timed_call():
    began = time.perf_counter()
    found = measure(
        [Contender(name="a", work=lambda: None, calls=2)], seconds=SHORT_S, idle_s=0.01
    )["a"]
    assert time.perf_counter() - began >= 0.01 * found.repetitions
    assert found.wall.p50 < 0.005


def test_two_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two of one name"):
        measure([recorder([], "a"), recorder([], "a")], seconds=SHORT_S)


def test_the_collector_is_as_it_was_afterwards():
    measure([recorder([], "a")], seconds=SHORT_S)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


async def test_awaitables_are_awaited_and_timed():
    rounds = []

    async def work():
        time.sleep(0.01)  # noqa: ASYNC251 - it is to take CPU's place in the measurement

    async def between():
        rounds.append(1)

    found = await measure_async([Contender(name="a", work=work)], seconds=SHORT_S, between=between)
    assert found["a"].wall.p50 >= 0.01
    assert found["a"].repetitions == len(rounds) == FEWEST_ROUNDS


def test_quantiles_are_numpys_and_nan_where_too_few_repetitions_know_them():
    durations = np.random.default_rng(0).exponential(size=1000)
    found = Quantiles.of(durations.tolist())
    wanted = np.quantile(durations, (0.5, 0.99, 0.999))
    assert (found.p50, found.p99, found.p999) == pytest.approx(wanted)
    few = Quantiles.of(durations[:999].tolist())
    assert math.isnan(few.p999)
    assert math.isnan(Quantiles.of([1.0] * 99).p99)
    assert Quantiles.of([1.0] * 100).p99 == 1.0
    with pytest.raises(ValueError, match="no repetition"):
        Quantiles.of([])
    assert found.scaled(1e6).p50 == pytest.approx(1e6 * found.p50)
