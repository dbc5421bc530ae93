"""Whatever a plant says, the runtime answers: a certified move inside the box, or a refusal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle import default_bundle
from models.runtime import Advice, AdviceRequest, ProcessSample, Refusal, Runtime

HERE = np.array([1.79, 339.9])
LOW, HIGH = np.array([0.0, 300.0]), np.array([2.5, 350.0])

wild = st.one_of(
    st.floats(-1e12, 1e12),
    st.floats(-1e-12, 1e-12),
    st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0, 100.0, 350.0]),
)
usual = st.tuples(st.floats(60.0, 150.0), st.floats(340.0, 366.0))
pairs = st.one_of(usual, st.tuples(wild, wild))


@pytest.fixture(scope="module")
def runtime():
    return Runtime.load(default_bundle())


def asked(  # noqa: PLR0917
    time, cv, sp, mv, dv, low, high
):
    return AdviceRequest(
        sample=ProcessSample(
            plant_time_s=time,
            cv=np.array(cv),
            sp=np.array(sp),
            mv=np.array(mv),
            dv=np.array([dv]),
        ),
        low=np.array(low),
        high=np.array(high),
        range_low=LOW,
        range_high=HIGH,
        windup_low=np.zeros(2, dtype=np.bool_),
        windup_high=np.zeros(2, dtype=np.bool_),
        freeze=False,
    )


scans = st.lists(
    st.tuples(
        pairs,
        st.sampled_from([(100.0, 350.0), (140.0, 355.0), (70.0, 345.0)]),
        st.one_of(st.just(tuple(HERE)), st.tuples(wild, wild)),
        st.one_of(st.just(440.0), wild),
        st.one_of(st.just((tuple(HERE - 0.3), tuple(HERE + 0.3))), st.tuples(pairs, pairs)),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=300, deadline=None)
@given(scans=scans)
def test_every_answer_is_certified_or_a_refusal(runtime, scans):
    memory = runtime.initial_memory()
    for k, (cv, sp, mv, dv, (low, high)) in enumerate(scans):
        request = asked(300.0 * k, cv, sp, mv, dv, low, high)
        answer, memory = runtime.advise(request, memory)
        if isinstance(answer, Refusal):
            assert answer.detail
            continue
        assert isinstance(answer, Advice)
        assert answer.certified
        assert np.isfinite(answer.move).all()
        assert np.all((request.low <= answer.move) & (answer.move <= request.high))


def test_after_any_nonsense_it_finds_back(runtime):
    """A disturbed estimate is filtered out again: scans of sound values are answered as before."""
    memory = runtime.initial_memory()
    sound = (100.0, 350.0), (100.0, 350.0), tuple(HERE), 440.0, tuple(HERE - 0.3), tuple(HERE + 0.3)
    for k in range(5):
        _, memory = runtime.advise(asked(300.0 * k, *sound), memory)
    _, memory = runtime.advise(asked(1500.0, (1e12, -1e12), *sound[1:]), memory)
    for k in range(6, 400):
        answer, memory = runtime.advise(asked(300.0 * k, *sound), memory)
    assert isinstance(answer, Advice)
    assert memory.estimate == pytest.approx([100.0, 350.0], abs=1.0)
