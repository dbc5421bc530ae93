"""Score, median, intervals: arithmetic that can be done by hand."""

import numpy as np
import pytest

from models.evaluation.scoring import best_overall, interval, lower_median, score


def test_zero_is_the_pi_and_a_hundred_the_optimum():
    pi, optimum = np.array([-10.0, -20.0]), np.array([-2.0, -4.0])
    assert score(pi, pi, optimum) == 0.0
    assert score(optimum, pi, optimum) == 100.0


def test_sums_come_before_the_ratio():
    pi, optimum = np.array([-100.0, -10.0]), np.array([0.0, -8.0])
    returns = np.array([-50.0, -10.0])
    assert score(returns, pi, optimum) == pytest.approx(100.0 * 50.0 / 102.0)


def test_no_score_where_the_optimum_gains_nothing():
    assert score(np.array([-1.0]), np.array([-2.0]), np.array([-2.0])) is None


@pytest.mark.parametrize(("sums", "row"), [([3, 1, 2], 2), ([4, 1, 2, 3], 2), ([7], 0)])
def test_the_median_is_a_controller_and_the_lower_of_two(sums, row):
    halves = np.array(sums, float)[:, None] * [0.5, 0.5]
    assert lower_median(halves) == row


def test_the_median_of_a_hundred_is_the_fiftieth_from_below():
    order = np.random.default_rng(0).permutation(100)
    assert order[lower_median(order[:, None].astype(float))] == 49


def test_the_interval_holds_the_score_and_repeats():
    rng = np.random.default_rng(1)
    pi = -rng.uniform(90, 110, 24)
    optimum, returns = 0.1 * pi, 0.2 * pi + rng.normal(0, 3, 24)
    low, high = interval(returns, pi, optimum)
    assert low < score(returns, pi, optimum) < high
    assert interval(returns, pi, optimum) == (low, high)


def test_pairs_stay_together_in_the_interval():
    """A controller that gains the same share on every start has an interval without width."""
    pi = -np.array([1.0, 100.0, 10000.0])
    low, high = interval(0.1 * pi, pi, 0.0 * pi)
    assert low == pytest.approx(90.0)
    assert high == pytest.approx(90.0)


def test_the_best_tuning_is_good_everywhere():
    one = np.array([[-100.0], [-10.0], [-50.0]])
    other = np.array([[-10.0], [-100.0], [-20.0]])
    assert best_overall([one, other]) == 2
