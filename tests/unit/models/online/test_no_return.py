"""The point of no return, against a search over every later move and on plain cases."""

import math
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from models.online.no_return import NoReturn

SAMPLE_S = 300.0
STARTS = np.array([0, 1, 2])


def no_return(ceilings=(None, 100.0), n_mv=1):
    manifest = SimpleNamespace(
        cvs=[SimpleNamespace(safe_high=value) for value in ceilings],
        mvs=[SimpleNamespace(low=0.0, high=20.0)] * n_mv,
        sample_time_s=SAMPLE_S,
    )
    return NoReturn(manifest, SimpleNamespace(starts=STARTS))


def request(mv=(10.0,), step=5.0):
    mv = np.array(mv)
    low, high = np.zeros_like(mv), np.full_like(mv, 20.0)
    return SimpleNamespace(
        sample=SimpleNamespace(mv=mv),
        low=np.maximum(mv - step, low),
        high=np.minimum(mv + step, high),
        range_low=low,
        range_high=high,
    )


def gains(values, n_cv=2):
    """The same gain of every CV from every move to every later block end, by MV."""
    found = np.zeros((3, n_cv, 3, len(values)))
    for end, move in product(range(3), range(3)):
        if move <= end:
            found[end, :, move, :] = values
    return found


def held(*second):
    """Predictions of two CVs; the first has no ceiling."""
    return np.column_stack((np.full(3, 1e6), second))


def test_a_process_that_stays_below_its_ceiling_has_the_whole_horizon():
    assert no_return().time_s(request(), held=held(90, 95, 99), gains=gains([1.0])) == math.inf


def test_without_a_ceiling_there_is_no_such_time():
    found = no_return((None, None)).time_s(request(), held=held(1, 1, 1), gains=gains([1.0]))
    assert math.isnan(found)


def test_what_can_still_be_prevented_by_a_late_move_is_not_lost():
    # From the last block on one step down of half the span is left: 0.5 of 20 in scaled moves.
    assert no_return().time_s(request(), held=held(90, 95, 105), gains=gains([20.0])) == math.inf


def test_the_last_block_from_which_it_can_be_kept_is_told():
    # The steps down scaled are 0.5, 1.0, 1.0 (range) from block 0; 0, 0.5, 1.0 from block 1.
    found = no_return().time_s(request(), held=held(90, 95, 115), gains=gains([10.0]))
    assert found == SAMPLE_S * STARTS[1]


def test_a_ceiling_that_no_move_keeps_leaves_no_time():
    assert no_return().time_s(request(), held=held(90, 101, 99), gains=gains([0.0])) == 0.0


def test_an_mv_that_may_not_move_does_not_help():
    fixed = request(step=0.0)
    fixed.range_low = fixed.range_high = fixed.low
    assert no_return().time_s(fixed, held=held(90, 95, 105), gains=gains([20.0])) == 0.0


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_a_search_over_the_corners_finds(seed):
    rng = np.random.default_rng(seed)
    g = np.tril(np.ones((3, 3)))[:, None, :, None] * rng.normal(0.0, 8.0, (3, 2, 3, 2))
    asked = request(mv=rng.uniform(0.0, 20.0, 2), step=4.0)
    now = np.column_stack((np.zeros(3), rng.uniform(90.0, 112.0, 3)))
    found = no_return(n_mv=2).time_s(asked, held=now, gains=g)

    def kept(first: int) -> bool:
        """Each block end has moves that keep it; the moves before `first` are not made."""
        for end in range(3):
            best = math.inf
            for corner in product((-1.0, 1.0), repeat=6):
                moves = np.array(corner).reshape(3, 2)
                z = np.zeros((3, 2))
                for block in range(first, 3):
                    reach = (STARTS[block] - STARTS[first] + 1) * 4.0
                    lowest = np.maximum(asked.sample.mv - reach, 0.0)
                    highest = np.minimum(asked.sample.mv + reach, 20.0)
                    edge = np.where(moves[block] < 0.0, lowest, highest)
                    z[block] = (edge - asked.sample.mv) / 10.0
                best = min(best, now[end, 1] + float((g[end, 1] * z).sum()))
            if best > 100.0:
                return False
        return True

    lost = [first for first in range(3) if not kept(first)]
    wanted = math.inf if not lost else SAMPLE_S * STARTS[max(lost[0] - 1, 0)]
    assert found == wanted
