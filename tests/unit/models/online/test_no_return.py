"""The point of no return, against a search over every later move and on plain cases."""

import math
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from models.online.no_return import NoReturn

SAMPLE_S = 300.0
STARTS = np.array([0, 1, 2])


def no_return(ceilings=(None, 100.0), n_mv=1, starts=STARTS):
    manifest = SimpleNamespace(
        cvs=[SimpleNamespace(safe_high=value) for value in ceilings],
        mvs=[SimpleNamespace(low=0.0, high=20.0)] * n_mv,
        sample_time_s=SAMPLE_S,
    )
    return NoReturn(manifest, SimpleNamespace(starts=starts))


def request(mv=(10.0,), step=5.0, target=None):
    """Actual and a box of `step` around the target in force, which is Actual unless told."""
    mv = np.array(mv)
    target = mv if target is None else np.array(target)
    low, high = np.zeros_like(mv), np.full_like(mv, 20.0)
    return SimpleNamespace(
        sample=SimpleNamespace(mv=mv),
        low=np.maximum(target - step, low),
        high=np.minimum(target + step, high),
        range_low=low,
        range_high=high,
    )


def gains(values, n_cv=2, blocks=3):
    """The same gain of every CV from every move to every later block end, by MV."""
    found = np.zeros((blocks, n_cv, blocks, len(values)))
    for end, move in product(range(blocks), range(blocks)):
        if move <= end:
            found[end, :, move, :] = values
    return found


def held(*second):
    """Predictions of two CVs; the first has no ceiling."""
    return np.column_stack((np.full(len(second), 1e6), second))


def test_a_process_that_stays_below_its_ceiling_has_the_whole_horizon():
    assert no_return().time_s(request(), held=held(90, 95, 99), gains=gains([1.0])) == math.inf


def test_without_a_ceiling_there_is_no_such_time():
    found = no_return((None, None)).time_s(request(), held=held(1, 1, 1), gains=gains([1.0]))
    assert math.isnan(found)


def test_a_move_is_in_force_a_sample_after_it_is_written():
    # Begun in the second block, a step of half the half span is in force in the third.
    found = no_return().time_s(request(), held=held(90, 95, 105), gains=gains([20.0]))
    assert found == SAMPLE_S * STARTS[1]
    assert no_return().time_s(request(), held=held(90, 105, 99), gains=gains([20.0])) == 0.0


@pytest.mark.parametrize(("excess", "block"), [(11.5, 1), (12.5, 0)])
def test_an_mv_behind_its_target_does_not_count_the_distance_with_every_move(excess, block):
    # Actual 13, target 10, at most 2 a move: 8, 6, 4, which is -0.5, -0.7, -0.9 scaled.
    starts = np.arange(4)
    asked = request(mv=(13.0,), step=2.0, target=(10.0,))
    found = no_return(starts=starts).time_s(
        asked, held=held(90, 90, 90, 100 + excess), gains=gains([10.0], blocks=4)
    )
    assert found == SAMPLE_S * block


def test_what_is_on_its_way_to_a_target_counts_where_it_is_worse():
    up = request(mv=(10.0,), step=2.0, target=(13.0,))
    assert no_return().time_s(up, held=held(99, 99, 99), gains=gains([1.0])) == math.inf
    assert no_return().time_s(up, held=held(99, 99, 99), gains=gains([2.0])) == 0.0
    assert no_return().time_s(up, held=held(99, 99, 99), gains=gains([-2.0])) == math.inf
    down = request(mv=(10.0,), step=2.0, target=(7.0,))
    found = no_return().time_s(down, held=held(90, 95, 101), gains=gains([10.0]))
    assert found == SAMPLE_S * STARTS[1]


@pytest.mark.parametrize("at", [0.0, 20.0])
def test_an_mv_at_its_limit_is_not_taken_for_one_on_its_way(at):
    asked = request(mv=(at,))
    assert no_return().time_s(asked, held=held(99, 99, 99), gains=gains([10.0])) == math.inf
    assert no_return().time_s(asked, held=held(99, 99, 99), gains=gains([-10.0])) == math.inf


def test_a_ceiling_that_no_move_keeps_leaves_no_time():
    assert no_return().time_s(request(), held=held(90, 101, 99), gains=gains([0.0])) == 0.0


def test_an_mv_that_may_not_move_does_not_help():
    fixed = request(step=0.0)
    fixed.range_low = fixed.range_high = fixed.low
    assert no_return().time_s(fixed, held=held(90, 95, 105), gains=gains([20.0])) == 0.0


def way(asked, mv, first, block, *, up, gain):
    """Where an MV is in a block, in scaled moves, with the recovery begun in `first`."""
    actual, low, high = asked.sample.mv[mv], asked.low[mv], asked.high[mv]
    if block > first:
        later = (block - first - 1) * (high - low) / 2.0
        return (min(high + later, 20.0) if up else max(low - later, 0.0)) / 10.0 - actual / 10.0
    nearest = low if low == 0.0 else (low + high) / 2.0
    farthest = high if high == 20.0 else (low + high) / 2.0
    target = min(max(actual, nearest), farthest)
    return max((0.0, (target - actual) / 10.0), key=lambda moved: gain * moved)


@pytest.mark.parametrize("seed", range(40))
def test_it_is_what_a_search_over_the_corners_finds(seed):
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], (2, 2))
    size = np.abs(rng.normal(0.0, 8.0, (3, 2, 3, 2))) * signs[:, None, :]
    g = np.tril(np.ones((3, 3)))[:, None, :, None] * size
    mv = rng.uniform(0.0, 20.0, 2)
    target = np.clip(mv + rng.uniform(-3.0, 3.0, 2), 0.0, 20.0)
    asked = request(mv=mv, step=4.0, target=target)
    now = np.column_stack((np.zeros(3), rng.uniform(90.0, 112.0, 3)))
    found = no_return(n_mv=2).time_s(asked, held=now, gains=g)

    def kept(first: int) -> bool:
        """Every MV goes one way from `first` on, and some choice of ways keeps every end."""
        for up in product((False, True), repeat=2):
            z = [
                [way(asked, m, first, block, up=up[m], gain=signs[1, m]) for m in range(2)]
                for block in range(3)
            ]
            reached = now[:, 1] + (g[:, 1] * z).sum(axis=(1, 2))
            if (reached <= 100.0).all():
                return True
        return False

    lost = [first for first in range(3) if not kept(first)]
    wanted = math.inf if not lost else SAMPLE_S * STARTS[max(lost[0] - 1, 0)]
    assert found == wanted
